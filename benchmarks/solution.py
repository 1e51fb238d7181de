"""Run solutions on datasets inside budgets, each in processes of its own, and tabulate the curves.

    python -m benchmarks.solution ../shared/data/*_*/ sklearn:wine aeon:GunPoint --budget 60

A dataset is what ``benchmarks/sources.py`` says. A solution is a name of ours, a folder, or a peer
(``--peers`` takes all of ``benchmarks/peers``; they run in an environment of their own, ``make
peers``). Results go to --out as JSON after each run, and as a Markdown table beside it; runs whose
result is there already are not repeated, so that the same command goes on where it was stopped.
Draw them with ``benchmarks/curves.py``. Times are seconds of the budget. A run is pinned to as many
cores as --threads says.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path

import psutil

from benchmarks.sources import SourceError, bundle_of

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / "benchmarks" / "peers"
PEERS_PYTHON = ROOT / "build" / "peers" / "bin" / "python"
MARKS = (3, 10, 30, 60, 120, 300, 600)  # seconds at which the curve is read
SKIPPED = "not its kind"
OUTSIDE_SECONDS = 1300  # a run may take this much beyond its budget: construction, checks


@dataclass
class Result:
    """One solution on one dataset; scores are None where it gave none."""

    dataset: str
    solution: str
    weights: bool
    budget_seconds: float
    status: str = "failed"
    message: str = ""
    alc: float | None = None
    nauc: float | None = None
    accuracy: float | None = None
    first_prediction_seconds: float | None = None
    nauc_at: dict[str, float | None] = field(default_factory=dict)
    points: list[tuple[float, float]] = field(default_factory=list)  # (seconds, NAUC)
    largest_fall: float = 0.0
    peak_rss_bytes: int = 0
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    load: float = 0.0  # of the machine, when the run began

    @property
    def key(self) -> tuple[str, str, bool, float]:
        """What makes it the same run."""
        return self.dataset, self.solution, self.weights, self.budget_seconds


def nauc_at(points: list[dict[str, float]], seconds: float) -> float | None:
    """The score of the newest prediction at that time; None before the first."""
    known = [p["nauc"] for p in points if p["seconds"] <= seconds]
    return known[-1] if known else None


def largest_fall(points: list[dict[str, float]]) -> float:
    """The largest drop of the score from one prediction to the next."""
    return max([0.0, *(before["nauc"] - after["nauc"] for before, after in pairwise(points))])


def run(dataset: str, solution: str, weights: bool, budget: float, options: Options) -> Result:
    """Run one solution on one dataset through `autodl run`, in its own process."""
    name = Path(dataset).name.replace(":", "_")
    result = Result(name, Path(solution).name, weights, budget, load=round(os.getloadavg()[0], 1))
    try:
        bundle = bundle_of(dataset, options.work, PEERS_PYTHON)
    except SourceError as error:
        result.message = str(error)
        return result
    is_peer = Path(solution).parent == PEERS
    python = str(PEERS_PYTHON) if is_peer else sys.executable
    if not Path(python).is_file():
        result.message = "the peers are not installed: make peers"
        return result
    command = [python, "-m", "cli.main", "run", str(bundle), "--json"]
    command += ["--solution", solution, "--budget", str(budget)]
    command += [] if weights else ["--weights", "none"]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            timeout=budget + OUTSIDE_SECONDS,
            preexec_fn=lambda: _pin(options.threads),
        )
    except subprocess.TimeoutExpired:
        result.message = "it did not end"
        return result
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    result.wall_seconds = round(time.monotonic() - start, 1)
    result.cpu_seconds = round(
        after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1
    )
    _read(done, result)
    return result


def _pin(threads: int) -> None:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def _read(done: subprocess.CompletedProcess[str], result: Result) -> None:
    """Take the figures from what `autodl run --json` printed."""
    try:
        said = json.loads(done.stdout)
    except ValueError:
        result.message = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return
    points = said.get("points") or []
    result.status, result.message = said["status"], said.get("message") or ""
    if "raised NotImplementedError" in result.message:  # how a peer says what it is not for
        result.status = SKIPPED
    result.alc, result.nauc, result.accuracy = said["alc"], said["nauc"], said["accuracy"]
    result.first_prediction_seconds = said["first_prediction_seconds"]
    result.nauc_at = {str(mark): nauc_at(points, mark) for mark in MARKS}
    result.points = [(round(p["seconds"], 2), round(p["nauc"], 5)) for p in points]
    result.largest_fall = largest_fall(points)
    result.peak_rss_bytes = said["peak_rss_bytes"] or 0


def machine(threads: int) -> dict[str, object]:
    """The machine in words; nothing that names it."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    return {
        "cores": os.cpu_count(),
        "threads_used": threads,
        "processor": model,
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "python": platform.python_version(),
        "load_at_the_end": round(os.getloadavg()[0], 1),
    }


def table(results: list[Result], budget: float) -> str:
    """A Markdown table of one budget's runs, one line each."""
    marks = [mark for mark in MARKS if mark < budget]
    head = ["dataset", "solution", "weights", "first s", *(f"{mark} s" for mark in marks)]
    head += ["end", "ALC", "accuracy", "fall", "peak GB", "CPU s", "status"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for r in sorted(results, key=lambda r: (r.dataset, -(r.alc or 0))):
        cells = [r.dataset, r.solution, "yes" if r.weights else "no"]
        cells.append(_number(r.first_prediction_seconds, 1))
        cells += [_number(r.nauc_at.get(str(mark)), 3) for mark in marks]
        cells += [_number(x, 3) for x in (r.nauc, r.alc, r.accuracy, r.largest_fall)]
        cells += [_number(r.peak_rss_bytes / 1e9, 2), _number(r.cpu_seconds, 0)]
        cells.append(r.status + (f": {r.message}" if r.message else ""))
        lines.append("| " + " | ".join(cells).replace("\n", " ") + " |")
    return "\n".join(lines) + "\n"


def summary(results: list[Result]) -> str:
    """A Markdown table of the solutions: mean ALC, mean rank and failures on what they take."""
    by_dataset = defaultdict(list)
    for result in results:
        if result.status != SKIPPED:
            by_dataset[result.dataset].append(result)
    ranks = defaultdict(list)
    for runs in by_dataset.values():
        for r in runs:
            better = sum((other.alc or 0) > (r.alc or 0) for other in runs)
            equal = sum((other.alc or 0) == (r.alc or 0) for other in runs)
            ranks[r.solution, r.weights].append((1 + better + (equal - 1) / 2, r))
    lines = [
        "| solution | weights | datasets | mean ALC | mean rank | failures |",
        "|" + "---|" * 6,
    ]
    means = {who: sum(rank for rank, _ in found) / len(found) for who, found in ranks.items()}
    for (name, weights), mean in sorted(means.items(), key=lambda item: item[1]):
        found = [r for _, r in ranks[name, weights]]
        alc = sum(r.alc or 0 for r in found) / len(found)
        failures = sum(r.status != "succeeded" for r in found)
        cells = [name, "yes" if weights else "no", str(len(found)), f"{alc:.3f}"]
        lines.append("| " + " | ".join([*cells, f"{mean:.2f}", str(failures)]) + " |")
    return "\n".join(lines) + "\n"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


class Options(argparse.Namespace):
    """The command's options."""

    datasets: list[str]
    solution: list[str]
    budget: list[float]
    threads: int
    no_weights: bool
    peers: bool
    work: Path
    out: Path | None


def parse(arguments: list[str] | None = None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", nargs="+", help="see benchmarks/sources.py")
    parser.add_argument("--solution", action="append", help="a name or a folder; may be repeated")
    parser.add_argument("--budget", action="append", type=float, help="seconds; may be repeated")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-weights", action="store_true", help="also the winner without weights")
    parser.add_argument("--peers", action="store_true", help="and every one of benchmarks/peers")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "benchmarks")
    parser.add_argument("--out", type=Path, help="JSON file; the table goes beside it")
    options = parser.parse_args(arguments, Options())
    options.solution = options.solution or ["winner"]
    options.budget = options.budget or [60.0]
    options.solution += sorted(map(str, PEERS.glob("*/"))) if options.peers else []
    options.work = options.work.resolve()
    return options


def load(out: Path | None) -> list[Result]:
    """The results that are there already; those that failed are tried again."""
    if out is None or not out.is_file():
        return []
    found = json.loads(out.read_text(encoding="utf-8"))["results"]
    results = [Result(**values) for values in found]
    return [result for result in results if result.points or result.status == SKIPPED]


def write(results: list[Result], out: Path, threads: int) -> None:
    """The JSON file, and the tables beside it."""
    facts = {"machine": machine(threads), "results": [asdict(result) for result in results]}
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_suffix(".part")
    part.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    part.replace(out)
    text = ", ".join(f"{key} {value}" for key, value in facts["machine"].items()) + ".\n"
    loads = [result.load for result in results]
    text += f"Load when a run began: {min(loads):g} to {max(loads):g}.\n"
    for budget in sorted({result.budget_seconds for result in results}):
        chosen = [result for result in results if result.budget_seconds == budget]
        text += f"\n## Budget {budget:g} s\n\n{summary(chosen)}\n{table(chosen, budget)}"
    out.with_suffix(".md").write_text(text, encoding="utf-8")


def main() -> int:
    """Run all that is still missing, printing each line as it is known; 1 when any run failed."""
    options = parse()
    results = load(options.out)
    known = {result.key for result in results}
    for budget in options.budget:
        for dataset in options.datasets:
            for solution in options.solution:
                choices = (True, False) if options.no_weights and solution == "winner" else (True,)
                for weights in choices:
                    name = Path(dataset).name.replace(":", "_")
                    if (name, Path(solution).name, weights, budget) in known:
                        continue
                    results.append(run(dataset, solution, weights, budget, options))
                    print(table(results[-1:], budget).splitlines()[-1], flush=True)
                    if options.out:
                        write(results, options.out, options.threads)
    return int(any(result.status not in ("succeeded", SKIPPED) for result in results))


if __name__ == "__main__":
    sys.exit(main())
