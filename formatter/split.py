"""Which example goes to which subset, where the source does not say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from autodl.errors import UsageError
from formatter.source import Row


def split(rows: Sequence[Row], test: float, seed: int) -> list[Row]:
    """Give every labelled row a subset: a share ``test`` of each class to test, the rest to train.

    A source that is already split stays as it is. Rows of one group stay together, and a label that
    only one row or group has is kept for training. The same rows and seed give the same split.

    Raises UsageError (``split-share-invalid``, ``split-too-small``).
    """
    if any(row.subset in ("train", "test") for row in rows):
        return list(rows)
    if not 0 < test < 1:
        raise UsageError(
            "split-share-invalid",
            f"The test share must lie between 0 and 1, not be {test:g}.",
            hint="Give for example --test 0.2.",
        )
    units: dict[object, list[int]] = {}
    for number, row in enumerate(rows):
        if row.subset is None:
            units.setdefault(number if row.group is None else row.group, []).append(number)
    chosen = {n for unit in _choose(rows, list(units.values()), test, seed) for n in unit}
    if not chosen:
        raise UsageError(
            "split-too-small",
            f"{len(units)} examples or groups are too few to set a test subset apart.",
            hint="Add examples, or bring train and test already split.",
        )
    return [
        row
        if row.subset
        else Row(row.name, row.labels, "test" if number in chosen else "train", row.group)
        for number, row in enumerate(rows)
    ]


def _choose(rows: Sequence[Row], units: list[list[int]], test: float, seed: int) -> list[list[int]]:
    """Systematic sampling from the units in order of their labels: every class gets its share."""
    labels = [_common_labels(rows, unit) for unit in units]
    distinct = sorted(set(labels))
    rank = {names: number for number, names in enumerate(distinct)}
    ranks = np.array([rank[names] for names in labels], np.int64)
    counts: Counter[str] = Counter()
    for names, count in zip(distinct, np.bincount(ranks), strict=True):
        counts.update(dict.fromkeys(names, int(count)))
    shared = np.array([all(counts[name] > 1 for name in names) for names in distinct], bool)
    free = np.flatnonzero(shared[ranks])
    shuffled = free[np.random.default_rng(seed).permutation(len(free))]
    ordered = shuffled[np.argsort(ranks[shuffled], kind="stable")]
    marks = np.floor((np.arange(len(ordered) + 1) + 0.5) * test)
    return [units[i] for i in ordered[np.diff(marks) > 0]]


def _common_labels(rows: Sequence[Row], unit: list[int]) -> tuple[str, ...]:
    if len(unit) == 1:
        return rows[unit[0]].labels
    return Counter(rows[n].labels for n in unit).most_common(1)[0][0]


def order_for_training(numbers: Sequence[int], seed: int) -> list[int]:
    """Mixed, for a solution that learns from the first records while it reads on."""
    return [numbers[i] for i in np.random.default_rng(seed).permutation(len(numbers))]
