"""Predictions as a table that people open: items by name, classes by name."""

from __future__ import annotations

import csv
from pathlib import Path

from autodl.bundle import find_bundle, read_items
from autodl.dataset import open_subset
from autodl.predictions import read_predictions


def write_table(bundle_root: Path, predictions: dict[str, Path], target: Path) -> None:
    """Write one CSV row per predicted item.

    ``predictions`` holds a ``.predict`` file for each subset by name (``test``, ``unlabelled``).
    Columns: the subset, the row in it (0-based), the item's name (its row where it has none), the
    class with the highest score, and each class's score. Raises ``BundleError`` or
    ``SolutionError`` when a file cannot be read.
    """
    bundle = find_bundle(bundle_root)
    classes = open_subset(bundle.train).get_class_labels()
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["subset", "row", "item", "prediction", *classes])
        for subset, path in predictions.items():
            folder = bundle.subsets[subset]
            shape = (len(open_subset(folder)), len(classes))
            scores = read_predictions(path, shape)
            items = read_items(folder) or [str(row) for row in range(shape[0])]
            for row, (item, values) in enumerate(zip(items, scores, strict=True)):
                best = classes[int(values.argmax())]
                writer.writerow([subset, row, item, best, *(f"{value:g}" for value in values)])
