"""The solution's score against its own processor time: a loaded machine gives the same curve.

    taskset -c 0 python -m benchmarks.learning ../shared/data/tabular_* --budget 120

Each dataset (see sources.py) is learnt in this process, with the clock
replaced by processor seconds: pin it to one core, so that threads do not count twice. Printed are
the scores of the test part at some seconds, the final one, the ALC, and what each member of the
pool has scored, on held-out and on test rows.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from autodl.bundle import find_bundle
from autodl.dataset import open_subset
from autodl.predictions import read_labels
from autodl.score import alc, nauc
from benchmarks.sources import bundle_of

ROOT = Path(__file__).resolve().parent.parent

MARKS = (1, 3, 10, 30, 60, 120, 300)


def load_model(solution: Path) -> tuple[ModuleType, ModuleType]:
    """The solution's `model` and `controller`, imported with processor seconds for a clock."""
    time.monotonic = time.process_time
    sys.path.insert(0, str(solution.parent))
    model = importlib.import_module(f"{solution.name}.model")
    return model, importlib.import_module(f"{solution.name}.controller")


def learn(bundle_root: Path, model_module: ModuleType, budget: float) -> dict[str, Any]:
    """Points (seconds, NAUC on test), ALC, and the members as they were at the end."""
    bundle = find_bundle(bundle_root)
    train, test = open_subset(bundle.train), open_subset(bundle.test)
    assert bundle.labels is not None
    truth = read_labels(bundle.labels, train.metadata.get_output_size())
    model = model_module.Model(train.metadata)
    start = time.process_time()
    points: list[tuple[float, float]] = []
    while not model.done_training and (left := budget - (time.process_time() - start)) > 0:
        model.train(train, remaining_time_budget=left)
        left = budget - (time.process_time() - start)
        scores = model.test(test, remaining_time_budget=left)
        if scores is None:  # there is nothing to add
            break
        points.append((time.process_time() - start, nauc(truth, scores)))
    seconds, naucs = zip(*points, strict=True)
    ended = time.process_time() - start
    return {
        "dataset": bundle_root.name,
        "points": points,
        "ended": ended,
        "nauc": naucs[-1],
        "alc": alc(np.array(seconds), np.array(naucs), budget),
        "members": _members(model, test, truth),
    }


def _members(model: Any, test: Any, truth: np.ndarray) -> list[tuple[str, float, float]]:
    """(name, held-out NAUC, test NAUC) of every member, before it learns from all rows."""
    found = []
    subset = model._engine.task.test
    for member in model._engine._members:
        scores = np.concatenate(
            [member.predict(subset, part) for part in np.array_split(subset.rows, 8) if len(part)]
        )
        found.append((member.name, member.score, nauc(truth, scores)))
    return found


def line(result: dict[str, Any], budget: float) -> str:
    """One row of the table."""
    cells = [f"{result['dataset']:32}"]
    for mark in (m for m in MARKS if m < budget):
        known = [score for seconds, score in result["points"] if seconds <= mark]
        cells.append(f"{known[-1]:.3f}" if known else "  -  ")
    cells += [f"{result['nauc']:.4f}", f"{result['alc']:.4f}", f"{result['ended']:.0f}"]
    return " | ".join(cells)


def main() -> int:
    """Learn every dataset; 1 when one has failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", nargs="+")
    parser.add_argument("--solution", type=Path, default=ROOT / "winner_solution")
    parser.add_argument("--budget", type=float, default=60)
    parser.add_argument("--members", action="store_true", help="print the members too")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "benchmarks")
    parser.add_argument("--out", type=Path, help="JSON lines are added to this file")
    options = parser.parse_args()
    solution = options.solution.resolve()
    model, _ = load_model(solution)
    heads = [str(m) for m in MARKS if m < options.budget]
    print(" | ".join([f"{'dataset':32}", *heads, "end", "ALC", "ended"]), flush=True)
    finals = []
    for dataset in options.datasets:
        result = learn(
            bundle_of(dataset, options.work, Path(sys.executable)), model, options.budget
        )
        finals.append((result["nauc"], result["alc"]))
        print(line(result, options.budget), flush=True)
        if options.members:
            for name, valid, test in result["members"]:
                print(f"    {name:40} {valid:.4f} {test:.4f}", flush=True)
        if options.out:
            with options.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(result) + "\n")
    final, area = np.mean(finals, axis=0)
    print(f"{'mean':32} | NAUC {final:.4f} | ALC {area:.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
