"""Run solutions on datasets inside budgets, each in processes of its own, and tabulate the curves.

    python -m benchmarks.solution ../shared/data/*_*/ sklearn:wine aeon:GunPoint --budget 60

A dataset is what ``benchmarks/sources.py`` says. A solution is a name of ours, a folder, or a peer
(``--peers`` takes all of ``benchmarks/peers``; they run in an environment of their own, ``make
peers``). Results go to --out as JSON after each run, and as a Markdown table beside it; runs whose
result is there already are not repeated, so that the same command goes on where it was stopped.
With ``--seeds K`` the winner runs K times, each time with another seed, and the noise is tabulated.
Draw them with ``benchmarks/curves.py``. Times are seconds of the budget. A run is pinned to as many
cores as --threads says.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import psutil

from benchmarks.sources import SourceError, bundle_of
from benchmarks.tables import MARKS, OURS, SKIPPED, Result, noise, summary, table, verdicts

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / "benchmarks" / "peers"
PEERS_PYTHON = ROOT / "build" / "peers" / "bin" / "python"
OUTSIDE_SECONDS = 1300  # a run may take this much beyond its budget: construction, checks


def nauc_at(points: list[dict[str, float]], seconds: float) -> float | None:
    """The score of the newest prediction at that time; None before the first."""
    known = [p["nauc"] for p in points if p["seconds"] <= seconds]
    return known[-1] if known else None


def largest_fall(points: list[dict[str, float]]) -> float:
    """The largest drop of the score from one prediction to the next."""
    return max([0.0, *(before["nauc"] - after["nauc"] for before, after in pairwise(points))])


def run(result: Result, dataset: str, solution: str, options: Options) -> Result:
    """Fill in the run that is wanted, through `autodl run`, in its own process."""
    budget = result.budget_seconds
    result.load = round(os.getloadavg()[0], 1)
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
    chosen = with_seed(result.seed, options.work) if result.seed else solution
    command += ["--solution", chosen, "--budget", str(budget)]
    command += [] if result.weights else ["--weights", "none"]
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


def with_seed(number: int, work: Path) -> str:
    """The winner's folder, copied, with the seed in ``config.py`` raised by ``number``."""
    source, target = ROOT / "winner_solution", work / "seeds" / str(number) / "winner_solution"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    knobs = target / "config.py"
    text = knobs.read_text(encoding="utf-8")
    changed = re.sub(r"^SEED = \d+$", rf"\g<0> + {number}", text, count=1, flags=re.MULTILINE)
    assert changed != text, "config.py has a seed"
    knobs.write_text(changed, encoding="utf-8")
    return str(target)


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
        return
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


class Options(argparse.Namespace):
    """The command's options."""

    datasets: list[str]
    solution: list[str]
    budget: list[float]
    threads: int
    no_weights: bool
    seeds: int
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
    parser.add_argument("--seeds", type=int, default=1, help="of the winner, each a run")
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
        parts = [summary(chosen), verdicts(chosen), noise(chosen), table(chosen, budget)]
        text += f"\n## Budget {budget:g} s\n\n" + "\n".join(part for part in parts if part)
    out.with_suffix(".md").write_text(text, encoding="utf-8")


def wanted(options: Options) -> Iterator[tuple[Result, str, str]]:
    """All that was asked for: a run without figures, its dataset and its solution."""
    for budget in options.budget:
        for dataset in options.datasets:
            name = Path(dataset).name.replace(":", "_")
            for solution in options.solution:
                ours = solution == OURS
                for weights in (True, False) if options.no_weights and ours else (True,):
                    for seed in range(options.seeds if ours else 1):
                        run = Result(name, Path(solution).name, weights, budget, seed)
                        yield run, dataset, solution


def main() -> int:
    """Run all that is still missing, printing each line as it is known; 1 when any run failed."""
    options = parse()
    results = load(options.out)
    known = {result.key for result in results}
    for missing, dataset, solution in wanted(options):
        if missing.key in known:
            continue
        results.append(run(missing, dataset, solution, options))
        print(table(results[-1:], missing.budget_seconds).splitlines()[-1], flush=True)
        if options.out:
            write(results, options.out, options.threads)
    return int(any(result.status not in ("succeeded", SKIPPED) for result in results))


if __name__ == "__main__":
    sys.exit(main())
