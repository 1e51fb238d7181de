"""What the contents of a dataset suggest: too few examples, empty classes, duplicates, leaks."""

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


def column_findings(train: Dataset, seen: Survey, file: str) -> Iterator[Finding]:
    """Findings about the columns of a table, whose training subset lies at ``file``."""
    if seen.columns is not None and seen.columns.constant.any():
        constant = np.flatnonzero(seen.columns.constant)
        columns = {c: name for name, c in train.metadata_.feature_to_index_map.items()}
        named = [columns.get(c, str(c)) for c in range(len(seen.columns.constant))]
        yield Finding(
            "columns-constant",
            "note",
            f"The same value in every training row: column {_listed(constant, named)}.",
            "Such columns carry nothing to learn from.",
            file,
        )


def duplicate_findings(
    surveys: Mapping[str, Survey], files: Mapping[str, str]
) -> Iterator[Finding]:
    """Findings about examples that are there more than once; ``files`` says where subsets lie."""
    train = surveys.get("train")
    if train is not None:
        first, again = _repeats(train)
        conflict = train.label_digest[first] != train.label_digest[again]
        if conflict.any():
            at = int(np.argmax(conflict))
            yield Finding(
                "duplicates-with-other-labels",
                "warning",
                f"{int(conflict.sum()):,} training examples repeat another with other labels,"
                f" such as records {first[at]} and {again[at]}.",
                "One of the two labels is wrong, or the example belongs to both classes.",
                files["train"],
                int(again[at]),
            )
        if len(again):
            yield Finding(
                "duplicate-examples",
                "note",
                f"{len(again):,} training examples repeat another, such as records"
                f" {first[0]} and {again[0]}.",
                "Repeated examples count twice in training.",
                files["train"],
                int(again[0]),
            )
    if train is None or "test" not in surveys:
        return
    for kind, code in (("digest", "test-in-train"), ("near", "test-like-train")):
        inside, outside = _shared(getattr(train, kind), getattr(surveys["test"], kind))
        if kind == "near":
            same = train.digest[inside] == surveys["test"].digest[outside]
            inside, outside = inside[~same], outside[~same]
        if len(outside):
            yield _leak(code, files["test"], int(inside[0]), int(outside[0]), len(outside))


def _leak(code: str, file: str, train: int, test: int, count: int) -> Finding:
    hint = "Scores will be too good. Keep what belongs together in one subset (--group)."
    if code == "test-in-train":
        return Finding(
            "test-in-train",
            "warning",
            f"{count:,} test examples are also in train, such as test record {test}"
            f" and train record {train}.",
            hint,
            file,
            test,
        )
    return Finding(
        "test-like-train",
        "note",
        f"{count:,} test pictures look like one in train, such as test record {test}"
        f" and train record {train}.",
        hint,
        file,
        test,
    )


def _repeats(seen: Survey) -> tuple[Records, Records]:
    """(first, again): the records that repeat an earlier one, and which."""
    records = np.flatnonzero(seen.readable)
    _, first, inverse = np.unique(seen.digest[records], return_index=True, return_inverse=True)
    again = np.flatnonzero(first[inverse] != np.arange(len(records)))
    return records[first[inverse][again]], records[again]


def _shared(train: NDArray[np.uint64], test: NDArray[np.uint64]) -> tuple[Records, Records]:
    """(record in train, record in test) of every test record whose non-zero digest is in train."""
    order = np.argsort(train, kind="stable")
    at = np.searchsorted(train, test, sorter=order)
    inside = order[np.minimum(at, len(order) - 1)] if len(order) else np.zeros(len(test), np.intp)
    same = (train[inside] == test) & (test != 0) if len(order) else np.zeros(len(test), bool)
    return inside[same], np.flatnonzero(same)


def _listed(which: Records, names: list[str], counts: NDArray[np.int64] | None = None) -> str:
    listed = [names[i] if counts is None else f"{names[i]} ({counts[i]})" for i in which[:_NAMED]]
    more = f" and {len(which) - _NAMED} more" if len(which) > _NAMED else ""
    return ", ".join(listed) + more
