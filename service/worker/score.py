"""Beside ``solve``, out of its reach: score each prediction as it is completed, keep it, report it.

Whatever happens to the solution afterwards, what was completed counts. Killed and started again, it
goes on after the last point that it kept.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from autodl.errors import AutoDLError
from autodl.predictions import read_labels, read_start
from autodl.score import LearningCurve, Point, follow
from autodl.untrusted import open_plain
from service.worker.program import Json, describe_error, read_json, run_program, write_json
from service.worker.report import Reporter, open_reporter
from service.worker.supervisor import read_status
from service.worker.tasks import ScoreTask


def score(task: ScoreTask) -> Json:
    """Follow the ingestion to its end; the value says what was refused last, if anything was."""
    labels = read_labels(find_labels(task.labels))
    reporter = open_reporter(task.report_to)
    curve = LearningCurve(task.budget_seconds, read_points(task.curve))
    for point in curve.points:
        _report(reporter, point)
    refused: list[Json] = []

    def refuse(index: int, error: AutoDLError) -> None:
        print(f"prediction {index} does not count: {error}", file=sys.stderr)  # noqa: T201
        refused.append(describe_error(error))

    for point in follow(
        task.output,
        labels,
        task.budget_seconds,
        lambda: task.over.exists() or _is_left(task.over.parent),
        resume=tuple(curve.points),
        on_refused=refuse,
    ):
        _store(reporter, task.output, point.index)
        curve.points.append(point)
        write_json(task.curve, curve.to_json())
        _report(reporter, point)
    return {"refused": refused[-1] if refused else None}


def _is_left(folder: Path) -> bool:
    """Whether the supervisor or the folder is gone: nobody will say that the solution stopped.

    In a pod none writes a status; there the pod's end is ours.
    """
    status = read_status(folder)
    return not folder.exists() if status is None else status.pid != os.getppid()


def find_labels(folder: Path) -> Path:
    """The one ``.solution`` file that ``stage`` put there."""
    (path,) = folder.glob("*.solution")
    return path


def read_points(path: Path) -> list[Point]:
    """The points of a curve that was written here."""
    curve: dict[str, Any] = read_json(path) or {"points": []}
    return [Point(**point) for point in curve["points"]]


def _report(reporter: Reporter, point: Point) -> None:
    reporter.point(
        {
            "index": point.index,
            "seconds": point.seconds,
            "nauc": point.nauc,
            "accuracy": point.accuracy,
            "alc": point.alc,
        }
    )


def _store(reporter: Reporter, output: Path, index: int) -> None:
    """A prediction goes to storage before the row that speaks of it."""
    start = read_start(output / "start.txt")
    assert start is not None  # the point was read with its help
    path = output / f"{start.task_name}.predict_{index}"
    with open_plain(path) as file:
        reporter.storage.put(reporter.key(f"predictions/{index}.predict"), file)


if __name__ == "__main__":
    run_program(ScoreTask, score)
