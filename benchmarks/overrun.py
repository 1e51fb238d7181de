"""Run adversarial solutions and report the overrun of the budget, and what was left behind.

    python benchmarks/overrun.py [--runs 100] [--budget 1.0]

Takes the hostile guests of the tests in turn, each on a dataset of 20 test rows. Prints one JSON
object: the largest and the median overrun in seconds, processes left, predictions lost, and the
ends by guest.
"""

import argparse
import collections
import itertools
import json
import statistics
import tempfile
from pathlib import Path

import numpy as np
import psutil

from autodl.metadata import DataSpecification, Format, MatrixSpec, write_metadata
from autodl.records import Example, RecordWriter, encode_example
from autodl.solve import solve
from autodl.verdict import Limits

GUESTS = Path(__file__).resolve().parent.parent / "tests/guests"
PREDICT_FIRST = (
    "sleeper", "ignores_term", "orphans", "headless", "fork_bomb", "thread_bomb", "memory_bomb",
    "hidden_memory", "disk_bomb", "many_files", "prints", "closes_pipes", "sets_the_clock",
    "half_written", "plants_links", "raises_later",
)  # fmt: skip
LIMITS = Limits(memory_bytes=600 << 20, disk_bytes=256 << 20, processes=200, threads=1000)


def write_bundle(root: Path) -> None:
    for subset, rows in (("train", 10), ("test", 20)):
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--budget", type=float, default=1.0)
    options = parser.parse_args()
    overruns, left, lost = [], 0, 0
    ends: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    with tempfile.TemporaryDirectory() as folder:
        write_bundle(Path(folder) / "bundle")
        for run, guest in zip(range(options.runs), itertools.cycle(PREDICT_FIRST), strict=False):
            output = Path(folder) / f"run{run}"
            outcome = solve(
                Path(folder) / "bundle",
                GUESTS / guest,
                output,
                budget_seconds=options.budget,
                construction_seconds=60.0,
                limits=LIMITS,
            )
            overruns.append(outcome.seconds - options.budget)
            left += len(psutil.Process().children(recursive=True))
            lost += not (output / "toy.predict_0").is_file()
            ends[guest][outcome.end] += 1
    result = {
        "runs": options.runs,
        "budget_seconds": options.budget,
        "overrun_seconds_max": round(max(overruns), 2),
        "overrun_seconds_median": round(statistics.median(overruns), 2),
        "processes_left": left,
        "first_predictions_lost": lost,
        "ends": {guest: dict(counter) for guest, counter in ends.items()},
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
