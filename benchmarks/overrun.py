"""Run adversarial solutions, and see by how much each passes its budget and what it leaves.

    python -m benchmarks.overrun [--runs 1000] [--budget 2.0] [--parallel 4] [--write]

Takes the hostile guests of the tests in turn, each on a dataset of 20 test rows, some at once:
most of them sleep. An overrun counts from the end of the budget to the moment at which none of the
solution's processes is left; one that ended before has none. What each had predicted is scored, as
`score` does it in a run. Prints one JSON object, and with ``--write`` leaves it in
``benchmarks/results/overrun.json`` and as tables beside it.
"""

import argparse
import collections
import concurrent.futures
import itertools
import json
import multiprocessing
import os
import shutil
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil

from autodl import sandbox
from autodl.metadata import DataSpecification, Format, MatrixSpec, write_metadata
from autodl.records import Example, RecordWriter, encode_example
from autodl.score import follow
from autodl.solve import solve
from autodl.verdict import Limits
from benchmarks.solution import machine

ROOT = Path(__file__).resolve().parent
GUESTS, RESULTS = ROOT.parent / "tests/guests", ROOT / "results/overrun"
LIMITS = Limits(memory_bytes=600 << 20, disk_bytes=640 << 20, processes=200, threads=1000)
LABELS = np.eye(3)[np.arange(20) % 3]
#: Whatever they were at, the budget may end them first.
ENDS = {  # of those that predict once before they misbehave
    "sleeper": {"timeout"},
    "ignores_term": {"timeout"},
    "orphans": {"ok"},
    "headless": {"ok"},
    "fork_bomb": {"too_many_processes"},
    "thread_bomb": {"too_many_processes"},
    "memory_bomb": {"out_of_memory"},
    "hidden_memory": {"out_of_memory", "disk_full"},  # what it fills is a file, too
    "disk_bomb": {"disk_full"},
    "many_files": {"timeout"},
    "prints": {"timeout"},
    "closes_pipes": {"timeout"},
    "sets_the_clock": {"ok"},
    "stamps_early": {"timeout"},
    "half_written": {"timeout"},
    "plants_links": {"solution_error"},
    "raises_later": {"solution_error"},
}
SILENT = {"crashes": {"solution_error"}, "leaves": {"solution_error"}, "exits": {"solution_error"}}


class Run(NamedTuple):
    guest: str
    end: str
    overrun_seconds: float
    points: int  #: predictions that count
    processes_left: int


def write_bundle(root: Path) -> None:
    for subset, rows in (("train", 10), ("test", len(LABELS))):
        folder = root / "toy.data" / subset
        folder.mkdir(parents=True)
        matrix = MatrixSpec(row_count=1, col_count=4, format=Format.DENSE)
        write_metadata(
            DataSpecification(matrix_spec=(matrix,), output_dim=3, sample_count=rows),
            folder / "metadata.textproto",
        )
        with RecordWriter(folder / f"sample-toy-{subset}.tfrecord") as writer:
            for _ in range(rows):
                writer.write(encode_example(Example(dense=[np.zeros(4, np.float32)])))


def attempt(root: Path, budget_seconds: float, number: int, guest: str) -> Run:
    output = root / f"run{number}"
    outcome = solve(
        root / "bundle",
        GUESTS / guest,
        output,
        budget_seconds=budget_seconds,
        construction_seconds=60.0,
        limits=LIMITS,
    )
    left = len(psutil.Process().children(recursive=True))
    points = list(follow(output, LABELS, budget_seconds, lambda: True))
    shutil.rmtree(output)
    overrun = max(0.0, outcome.seconds - budget_seconds)
    return Run(guest, outcome.end, overrun, len(points), left)


def attempt_all(options: argparse.Namespace) -> list[Run]:
    guests = itertools.islice(itertools.cycle(ENDS | SILENT), options.runs)
    context = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as folder,
        concurrent.futures.ProcessPoolExecutor(options.parallel, context) as pool,
    ):
        write_bundle(Path(folder) / "bundle")
        act = partial(attempt, Path(folder), options.budget)
        return list(pool.map(act, range(options.runs), guests))


def summarize(runs: list[Run]) -> dict[str, Any]:
    overruns = sorted(run.overrun_seconds for run in runs)
    quantiles = statistics.quantiles(overruns, n=1000, method="inclusive")
    expected = ENDS | SILENT
    return {
        "overrun_seconds": {
            "median": round(quantiles[499], 2),
            "p90": round(quantiles[899], 2),
            "p99": round(quantiles[989], 2),
            "max": round(overruns[-1], 2),
        },
        "overruns_above_15_s": sum(seconds > 15 for seconds in overruns),
        "processes_left": sum(run.processes_left for run in runs),
        "predicted_and_lost": sum(run.guest in ENDS and not run.points for run in runs),
        "ended_otherwise": sum(run.end not in expected[run.guest] | {"timeout"} for run in runs),
        "guests": {
            guest: {
                "runs": len(of_guest),
                "ends": dict(collections.Counter(run.end for run in of_guest)),
                "overrun_seconds_median": round(
                    statistics.median(run.overrun_seconds for run in of_guest), 2
                ),
                "overrun_seconds_max": round(max(run.overrun_seconds for run in of_guest), 2),
            }
            for guest in expected
            if (of_guest := [run for run in runs if run.guest == guest])
        },
    }


def write(result: dict[str, Any]) -> None:
    RESULTS.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    on, overruns = result["machine"], result["overrun_seconds"]
    lines = [
        f"{result['runs']} runs of {result['budget_seconds']:g} s, {result['parallel']} at once,"
        f" in {result['minutes']} minutes; {on['cores']} cores, {on['processor']}, load"
        f" {result['load_before']} before and {on['load_at_the_end']} at the end; isolation"
        f" {result['isolation']}. Written by `python -m benchmarks.overrun --write`.",
        "",
        "| overrun | seconds |",
        "|---|---|",
        *(f"| {name} | {seconds:.2f} |" for name, seconds in overruns.items()),
        "",
        "| what | count |",
        "|---|---|",
        f"| overruns above 15 s | {result['overruns_above_15_s']} |",
        f"| processes left | {result['processes_left']} |",
        f"| predicted, and nothing of it counted | {result['predicted_and_lost']} |",
        f"| ended neither as expected nor by the budget | {result['ended_otherwise']} |",
        "",
        "| solution | runs | ended by | overrun, median s | overrun, most s |",
        "|---|---|---|---|---|",
    ]
    for guest, of_guest in result["guests"].items():
        ends = ", ".join(f"{end} {count}" for end, count in sorted(of_guest["ends"].items()))
        median, most = of_guest["overrun_seconds_median"], of_guest["overrun_seconds_max"]
        lines.append(f"| {guest} | {of_guest['runs']} | {ends} | {median:.2f} | {most:.2f} |")
    RESULTS.with_suffix(".md").write_text("\n".join(lines) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--budget", type=float, default=2.0)
    parser.add_argument("--parallel", type=int, default=4)
    parser.add_argument("--write", action="store_true", help="leave it in benchmarks/results")
    options = parser.parse_args()
    load_before, began = psutil.getloadavg()[0], time.monotonic()
    runs = attempt_all(options)
    result = {
        "runs": options.runs,
        "budget_seconds": options.budget,
        "parallel": options.parallel,
        "minutes": round((time.monotonic() - began) / 60, 1),
        "load_before": round(load_before, 1),
        "machine": machine(os.cpu_count() or 1),
        "isolation": sandbox.level(sandbox.strength()),
        **summarize(runs),
    }
    if options.write:
        write(result)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
