"""What the contents of a dataset suggest: too few examples, empty classes, empty columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from autodl.dataset import Dataset
from autodl.report import Finding
from autodl.survey import Survey

Labels = NDArray[np.float64]
Records = NDArray[np.intp]

FEW_EXAMPLES = 10  # of a class to learn from, below which we say so
FEW_TRAIN, FEW_TEST = 100, 100  # of all classes
MOSTLY = 0.5  # of a column's values
_NAMED = 5  # classes or columns that a message lists


def class_findings(
    train: Dataset, seen: Survey, labels: Labels | None, file: str
) -> Iterator[Finding]:
    """Findings about the classes of the training subset, which lies at ``file``.

    ``labels`` are those of the test subset.
    """
    readable = int(seen.readable.sum())
    if not readable:
        return
    counts = seen.class_counts
    names = train.get_class_labels()
    varied = np.flatnonzero((counts > 0) & (counts < readable))
    if not len(varied):
        what = "carries a label" if not counts.any() else "differs in its labels"
        yield Finding(
            "one-class-only",
            "error",
            f"No training example {what}, so there is nothing to learn.",
            "Take training examples of at least two classes, with their labels.",
            file,
        )
        return
    tested = np.zeros(len(counts), bool) if labels is None else (labels == 1).any(0)
    unlearnt = np.flatnonzero((counts == 0) & tested)
    if len(unlearnt):
        yield Finding(
            "class-without-examples",
            "warning",
            f"No training example for {_listed(unlearnt, names)}, but test examples.",
            "Split the data anew so that each class is in both subsets.",
            file,
        )
    few = np.flatnonzero((counts > 0) & (counts < FEW_EXAMPLES))
    if len(few):
        yield Finding(
            "few-examples",
            "note",
            f"Fewer than {FEW_EXAMPLES} training examples for {_listed(few, names, counts)}.",
            "Scores of such classes are mostly chance; gather more examples, or merge classes.",
            file,
        )
    unlabelled = seen.label_counts[0]
    if unlabelled and set(seen.label_counts) == {0, 1}:
        yield Finding(
            "examples-without-label",
            "note",
            f"{unlabelled:,} training examples carry no label; all others carry exactly one.",
            "If every example belongs to a class, these were forgotten.",
            file,
        )


def size_findings(counts: Mapping[str, int], files: Mapping[str, str]) -> Iterator[Finding]:
    """Advice about subsets of few examples; ``counts`` and ``files`` are by subset."""
    train, test = counts.get("train", 0), counts.get("test", 0)
    if 0 < train < FEW_TRAIN:
        yield Finding(
            "few-training-examples",
            "note",
            f"There are only {train:,} training examples.",
            f"Less than {FEW_TRAIN} seldom suffice; pretrained networks make the most of few.",
            files["train"],
        )
    if 0 < test < FEW_TEST:
        yield Finding(
            "few-test-examples",
            "note",
            f"With {test:,} test examples, accuracy is known to {100 / test**0.5:.0f} points only.",
            "Two solutions that differ by less cannot be told apart; gather more test examples.",
            files["test"],
        )


def column_findings(train: Dataset, seen: Survey, file: str) -> Iterator[Finding]:
    """Findings about the columns of a table, whose training subset lies at ``file``."""
    if seen.columns is None:
        return
    by_number = {c: name for name, c in train.metadata_.feature_to_index_map.items()}
    names = [by_number.get(c, str(c)) for c in range(len(seen.columns.constant))]
    constant = np.flatnonzero(seen.columns.constant)
    if len(constant):
        yield Finding(
            "columns-constant",
            "note",
            f"The same value in every training row: column {_listed(constant, names)}.",
            "Such columns carry nothing to learn from.",
            file,
        )
    holes = np.flatnonzero((seen.columns.missing > MOSTLY * len(seen)) & ~seen.columns.constant)
    if len(holes):
        yield Finding(
            "columns-mostly-missing",
            "note",
            f"Missing in most training rows: column {_listed(holes, names, seen.columns.missing)}.",
            "See whether something went wrong on the way from the source.",
            file,
        )


def _listed(which: Records, names: list[str], counts: NDArray[np.int64] | None = None) -> str:
    listed = [names[i] if counts is None else f"{names[i]} ({counts[i]})" for i in which[:_NAMED]]
    more = f" and {len(which) - _NAMED} more" if len(which) > _NAMED else ""
    return ", ".join(listed) + more
