"""What a scored run leaves for people beside its score: tables of predictions, and metrics."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

from autodl import bootstrap, tables
from autodl.errors import SolutionError
from autodl.metrics import Metrics, measure
from autodl.predictions import read_predictions
from autodl.score import LearningCurve, Matrix
from autodl.untrusted import write_over

METRICS_NAME = "metrics.json"


def write_results(
    folder: Path,
    *,
    bundle_root: Path,
    labels: Matrix,
    curve: LearningCurve,
    prediction: Callable[[int], Path],
    unlabelled: Path | None,
) -> tuple[Metrics, list[str]]:
    """Write ``predictions.*``, ``answers.csv``, ``confusion.csv`` and ``metrics.json``.

    ``curve`` has a point at least; ``prediction`` gives the ``.predict`` file of an index,
    ``unlabelled`` is that of the unlabelled part. Returns the metrics and what a user must know.
    Raises SolutionError (``prediction-altered``) where a file is not what was scored.
    """
    last = curve.points[-1]
    files = {"test": prediction(last.index)}
    notes = []
    read = tables.read(bundle_root, files)
    if unlabelled is not None:
        try:
            read = tables.read(bundle_root, files | {"unlabelled": unlabelled})
        except SolutionError as error:
            notes.append(f"The predictions for the unlabelled part cannot be read: {error.message}")
    tables.write(read, folder)
    tables.write_answers(read, labels, folder)
    test = read.parts[0]
    metrics = measure(
        labels,
        test.scores,
        classes=read.classes,
        items=test.items,
        alc_interval=bootstrap.alc_interval(
            labels,
            curve.points,
            curve.budget_seconds,
            lambda index: read_predictions(prediction(index), labels.shape),
        ),
    )
    if not math.isclose(metrics.nauc, last.nauc, abs_tol=1e-9):
        raise SolutionError(
            "prediction-altered",
            "The last prediction's file was changed after it was scored.",
            hint="The score stands; a solution must leave its predictions alone.",
            file=files["test"].name,
        )
    text = json.dumps(metrics.to_json(), ensure_ascii=False)
    write_over(folder / METRICS_NAME, text.encode() + b"\n")
    tables.write_confusion(metrics, folder)
    return metrics, notes
