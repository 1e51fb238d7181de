"""Predictions as tables that people open: items by name, classes by name, as CSV, Parquet, JSON.

``answers.csv`` has the answers alone, beside the labels: small at any number of classes;
``confusion.csv`` counts them by true and by predicted class.

One row per predicted item. Columns: the ``subset``, the ``row`` in it (0-based), the ``item``'s
name (its row where it has none), the class with the highest score as ``prediction``, that
``score``, and each class's score. A class whose name is taken gets its column's number added.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from autodl.bundle import find_bundle, read_items
from autodl.dataset import open_subset
from autodl.metrics import Metrics
from autodl.predictions import read_predictions
from autodl.score import Matrix
from autodl.untrusted import write_over

if TYPE_CHECKING:
    import polars

FIXED = ("subset", "row", "item", "prediction", "score")
ANSWERS_NAME = "answers.csv"
ANSWERS = (*FIXED, "label", "right")
CONFUSION_NAME = "confusion.csv"
CONFUSION = ("true", "predicted", "items", "share")


@dataclass(frozen=True)
class Predicted:
    """The scores of one subset, shape (n, C), and the names of its n items."""

    subset: str
    items: list[str]
    scores: Matrix


@dataclass(frozen=True)
class Predictions:
    """What was predicted for a bundle, by subset, and the names of its C classes."""

    classes: list[str]
    parts: list[Predicted]

    @property
    def columns(self) -> list[str]:
        """A heading for each class; all differ from each other and from the other columns."""
        taken, names = set(FIXED), []
        for column, name in enumerate(self.classes):
            unique = name if name not in taken else f"{name} ({column})"
            while unique in taken:
                unique += "'"
            taken.add(unique)
            names.append(unique)
        return names


def read(bundle_root: Path, files: dict[str, Path]) -> Predictions:
    """Read a ``.predict`` file for each subset by name (``test``, ``unlabelled``).

    Raises ``BundleError`` or ``SolutionError`` when a file cannot be read.
    """
    bundle = find_bundle(bundle_root)
    classes = open_subset(bundle.train).get_class_labels()
    parts = []
    for subset, path in files.items():
        folder = bundle.subsets[subset]
        shape = (len(open_subset(folder)), len(classes))
        items = read_items(folder) or []
        if len(items) != shape[0]:
            items = [str(row) for row in range(shape[0])]
        parts.append(Predicted(subset, items, read_predictions(path, shape)))
    return Predictions(classes, parts)


def write(predictions: Predictions, folder: Path) -> list[Path]:
    """Write ``predictions.csv``, ``.parquet`` and ``.json`` into ``folder``; return their paths."""
    frame = _frame(predictions)
    writers: dict[str, Callable[[Path], object]] = {
        "csv": frame.write_csv,
        "parquet": frame.write_parquet,
        "json": lambda path: _write_json(predictions, path),
    }
    paths = []
    for suffix, write_to in writers.items():
        paths.append(folder / f"predictions.{suffix}")
        write_to(paths[-1])
    return paths


def write_answers(predictions: Predictions, labels: Matrix, folder: Path) -> Path:
    """Write ``answers.csv`` into ``folder``; ``labels`` (n, C) are those of the test set.

    After the columns of the other tables: ``label`` (the classes that are true, empty where nothing
    is known) and ``right`` (``yes`` if the prediction is one of them).
    """
    path = folder / ANSWERS_NAME
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(ANSWERS)
        for part in predictions.parts:
            truth = labels >= 0.5 if part.subset == "test" else None
            best = part.scores.argmax(axis=1)
            for row, (item, column) in enumerate(zip(part.items, best.tolist(), strict=True)):
                answer = predictions.classes[column]
                written = [part.subset, row, item, answer, f"{part.scores[row, column]:.6g}"]
                if truth is None:
                    writer.writerow([*written, "", ""])
                    continue
                true = [predictions.classes[c] for c in np.flatnonzero(truth[row])]
                right = "yes" if truth[row, column] else "no"
                writer.writerow([*written, "; ".join(true), right])
    return path


def write_confusion(metrics: Metrics, folder: Path) -> Path | None:
    """Write ``confusion.csv`` into ``folder``: what was taken for what, the commonest first.

    Columns: the true class, ``predicted``, how many ``items``, and their ``share`` of the true
    class's. None, and nothing written, where a row has several classes.
    """
    if metrics.confusion is None:
        return None
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CONFUSION)
    for true, predicted, items in sorted(metrics.confusion, key=lambda cell: -cell[2]):
        actual = metrics.classes[true]
        share = f"{items / actual.support:.6g}"
        writer.writerow([actual.name, metrics.classes[predicted].name, items, share])
    path = folder / CONFUSION_NAME
    write_over(path, text.getvalue().encode())
    return path


def _frame(predictions: Predictions) -> polars.DataFrame:
    import polars as pl

    frames = []
    for part in predictions.parts:
        best = part.scores.argmax(axis=1)
        columns = {
            "subset": [part.subset] * len(best),
            "row": np.arange(len(best)),
            "item": part.items,
            "prediction": [predictions.classes[column] for column in best],
            "score": part.scores[np.arange(len(best)), best],
        }
        columns |= dict(zip(predictions.columns, part.scores.T, strict=True))
        frames.append(pl.DataFrame(columns, schema_overrides={"item": pl.String}))
    return pl.concat(frames)


def _write_json(predictions: Predictions, path: Path) -> None:
    """``{"classes": [...], "items": [...]}``; an item's ``scores`` are in the classes' order."""
    with path.open("w", encoding="utf-8") as file:
        head = json.dumps(predictions.classes, ensure_ascii=False)
        file.write(f'{{"classes": {head}, "items": [')
        for number, item in enumerate(_list_items(predictions)):
            file.write((",\n" if number else "\n") + json.dumps(item, ensure_ascii=False))
        file.write("\n]}\n")


def _list_items(predictions: Predictions) -> Iterator[dict[str, object]]:
    for part in predictions.parts:
        for row, (item, values) in enumerate(zip(part.items, part.scores.tolist(), strict=True)):
            best = int(part.scores[row].argmax())
            scores = [value if math.isfinite(value) else None for value in values]
            yield {
                "subset": part.subset,
                "row": row,
                "item": item,
                "prediction": predictions.classes[best],
                "score": scores[best],
                "scores": scores,
            }
