"""Run solutions on datasets inside a budget, each in a process of its own, and tabulate the curves.

    python benchmarks/solution.py ../shared/data/* --budget 60 --solution winner_solution

A dataset is a bundle, or raw files with a meta.json, which are formatted once under --work. The
results are written to --out as JSON, and as a Markdown table beside it. Times are seconds of the
budget. --no-weights also runs each solution with an empty manifest of pretrained weights. A run is
pinned to as many cores as --threads says.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
MARKS = (3, 10, 30, 60, 120, 300, 600)  # seconds at which the curve is read
FORMAT_TIMEOUT_SECONDS = 600
OUTSIDE_SECONDS = 1300  # a run may take this much beyond its budget: construction, checks


@dataclass
class Result:
    """One solution on one dataset; scores are None where it gave none."""

    dataset: str
    solution: str
    weights: bool
    status: str
    message: str = ""
    alc: float | None = None
    nauc: float | None = None
    accuracy: float | None = None
    first_prediction_seconds: float | None = None
    nauc_at: dict[str, float | None] = field(default_factory=dict)
    predictions: int = 0
    largest_fall: float = 0.0
    peak_rss_bytes: int = 0
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0


def nauc_at(points: list[dict[str, float]], seconds: float) -> float | None:
    """The score of the newest prediction at that time; None before the first."""
    known = [p["nauc"] for p in points if p["seconds"] <= seconds]
    return known[-1] if known else None


def largest_fall(points: list[dict[str, float]]) -> float:
    """The largest drop of the score from one prediction to the next."""
    return max([0.0, *(before["nauc"] - after["nauc"] for before, after in pairwise(points))])


def bundle_of(dataset: Path, work: Path) -> Path:
    """The dataset as a bundle: itself, or its formatted copy. Raises CalledProcessError."""
    meta = dataset / "meta.json"
    if not meta.is_file() or not (dataset / "README.md").is_file():
        return dataset
    target = work / "bundles" / dataset.name
    if not target.is_dir():
        command = [sys.executable, "-m", "cli.main", "format", str(dataset), str(target)]
        if columns := json.loads(meta.read_text(encoding="utf-8")).get("label_columns"):
            command += ["--label", ",".join(columns)]
        subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=FORMAT_TIMEOUT_SECONDS
        )
    return target


def without_weights(solution: Path, work: Path) -> Path:
    """A copy of the solution whose manifest of weights is empty."""
    copy = work / "without_weights" / solution.name
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(solution, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "weights_manifest.json").write_text("[]\n", encoding="utf-8")
    return copy


def run(dataset: Path, solution: Path, weights: bool, options: argparse.Namespace) -> Result:
    """Run one solution on one dataset through `autodl run`, in its own process."""
    result = Result(dataset.name, solution.name, weights, "failed")
    try:
        bundle = bundle_of(dataset, options.work)
    except subprocess.CalledProcessError as error:
        result.message = (error.stderr.strip().splitlines() or ["no message"])[-1]
        return result
    if not weights:
        solution = without_weights(solution, options.work)
    command = [sys.executable, "-m", "cli.main", "run", str(bundle), "--json"]
    command += ["--solution", str(solution), "--budget", str(options.budget)]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=options.budget + OUTSIDE_SECONDS,
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
    result.alc, result.nauc, result.accuracy = said["alc"], said["nauc"], said["accuracy"]
    result.first_prediction_seconds = said["first_prediction_seconds"]
    result.nauc_at = {str(mark): nauc_at(points, mark) for mark in MARKS}
    result.predictions, result.largest_fall = len(points), largest_fall(points)
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
    """A Markdown table, one line a run."""
    marks = [mark for mark in MARKS if mark < budget]
    head = ["dataset", "solution", "weights", "first s", *(f"{mark} s" for mark in marks)]
    head += ["end", "ALC", "accuracy", "fall", "peak GB", "CPU s", "status"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for r in results:
        cells = [r.dataset, r.solution, "yes" if r.weights else "no"]
        cells.append(_number(r.first_prediction_seconds, 1))
        cells += [_number(r.nauc_at.get(str(mark)), 3) for mark in marks]
        cells += [_number(x, 3) for x in (r.nauc, r.alc, r.accuracy, r.largest_fall)]
        cells += [_number(r.peak_rss_bytes / 1e9, 2), _number(r.cpu_seconds, 0)]
        cells.append(r.status + (f": {r.message}" if r.message else ""))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command's options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", nargs="+", type=Path, help="bundles, or raw practice datasets")
    parser.add_argument("--solution", action="append", type=Path, help="folder; may be repeated")
    parser.add_argument("--budget", type=float, default=60)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-weights", action="store_true", help="also run without any weights")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "benchmarks")
    parser.add_argument("--out", type=Path, help="JSON file; the table goes beside it")
    options = parser.parse_args(arguments)
    options.solution = options.solution or [ROOT / "winner_solution"]
    return options


def main() -> int:
    """Run all, printing each line as it is known; 1 when any run failed."""
    options = parse()
    choices = (True, False) if options.no_weights else (True,)
    results = []
    for dataset in options.datasets:
        for solution in options.solution:
            for weights in choices:
                results.append(run(dataset.resolve(), solution.resolve(), weights, options))
                print(table(results[-1:], options.budget).splitlines()[-1], flush=True)
    if options.out:
        facts = {"machine": machine(options.threads), "budget_seconds": options.budget}
        facts["results"] = [asdict(result) for result in results]
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        described = ", ".join(f"{key} {value}" for key, value in facts["machine"].items())
        text = f"Budget {options.budget:g} s; {described}.\n\n{table(results, options.budget)}"
        options.out.with_suffix(".md").write_text(text, encoding="utf-8")
    return int(any(result.status != "succeeded" for result in results))


if __name__ == "__main__":
    sys.exit(main())
