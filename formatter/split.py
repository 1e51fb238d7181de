"""Which example goes to which subset, where the source does not say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from autodl.errors import UsageError
from formatter.source import SUBSETS, Index

Numbers = NDArray[np.int32]
TRAIN, TEST = SUBSETS.index("train"), SUBSETS.index("test")
ENOUGH = 3  # units of a label, of which one can be spared for test
BLOCK = 1 << 20  # marks computed at a time


def split(index: Index, test: float, seed: int) -> NDArray[np.int8]:
    """The subset of every row: a share ``test`` of each class is for test, the rest for train.

    A source that is already split stays as it is. Rows of one group stay together; a label that
    only one row or group has is kept for training, one that three have is in both parts. The same
    rows and seed give the same split.

    Raises UsageError (``split-share-invalid``, ``split-too-small``).
    """
    subsets = index.subsets.copy()
    free = subsets < 0
    if ((subsets == TRAIN) | (subsets == TEST)).any():
        subsets[free] = TRAIN
        return subsets
    if not 0 < test < 1:
        raise UsageError(
            "split-share-invalid",
            f"The test share must lie between 0 and 1, not be {test:g}.",
            hint="Give for example --test 0.2.",
        )
    subsets[free] = TRAIN
    rows = np.flatnonzero(free).astype(np.int32)
    labels = index.labels[rows]
    if index.groups is None:
        chosen = _choose(index, labels, test, seed)
    else:
        groups, unit = np.unique(index.groups[rows], return_inverse=True)
        of_test = np.zeros(len(groups), bool)
        of_test[_choose(index, _common_labels(unit, labels), test, seed)] = True
        chosen = np.flatnonzero(of_test[unit]).astype(np.int32)
    if not len(chosen):
        units = len(rows) if index.groups is None else len(groups)
        raise UsageError(
            "split-too-small",
            f"{units} examples or groups are too few to set a test subset apart.",
            hint="Add examples, or bring train and test already split.",
        )
    subsets[rows[chosen]] = TEST
    return subsets


def _choose(index: Index, labels: Numbers, test: float, seed: int) -> Numbers:
    """Systematic sampling from the units in order of their labels: every class gets its share.

    ``labels`` (units,) is the label set of each.
    """
    counts = np.bincount(labels, minlength=len(index.label_sets)).tolist()
    present = [names for names, count in zip(index.label_sets, counts, strict=True) if count]
    of_name: Counter[str] = Counter()
    for names, count in zip(index.label_sets, counts, strict=True):
        of_name.update(dict.fromkeys(names, count))
    rank = {names: number for number, names in enumerate(sorted(present))}
    ranks = np.array([rank.get(names, 0) for names in index.label_sets], np.int32)
    shared = np.array([all(of_name[n] > 1 for n in names) for names in index.label_sets], bool)
    ordered = np.flatnonzero(shared[labels]).astype(np.int32)
    np.random.default_rng(seed).shuffle(ordered)
    ordered = ordered[np.argsort(ranks[labels[ordered]], kind="stable")]
    chosen = [ordered[:0]]
    for start in range(0, len(ordered), BLOCK):
        block = ordered[start : start + BLOCK]
        marks = np.floor((np.arange(start, start + len(block) + 1) + 0.5) * test)
        chosen.append(block[np.diff(marks) > 0])
    of_test = np.concatenate(chosen)
    tested = {n for at in np.unique(labels[of_test]).tolist() for n in index.label_sets[at]}
    more = list(_untested(index, labels, ordered, of_name, tested))
    return np.append(of_test, np.array(more, np.int32))


def _untested(
    index: Index, labels: Numbers, ordered: Numbers, of_name: Counter[str], tested: set[str]
) -> Iterator[np.int32]:
    """A unit of each label that several have and none of those chosen so far."""
    sets, first = np.unique(labels[ordered], return_index=True)
    for at, place in zip(sets.tolist(), first.tolist(), strict=True):
        names = index.label_sets[at]
        if any(of_name[name] >= ENOUGH and name not in tested for name in names):
            tested.update(names)
            yield ordered[place]


def _common_labels(unit: NDArray[np.intp], labels: Numbers) -> Numbers:
    """The label set that most rows of each unit have."""
    pairs, counts = np.unique(np.stack([unit, labels]), axis=1, return_counts=True)
    order = np.lexsort((-counts, pairs[0]))  # the commonest first within each unit
    _, first = np.unique(pairs[0][order], return_index=True)
    return np.asarray(pairs[1][order][first], np.int32)


def order_for_training(numbers: Numbers, seed: int) -> Numbers:
    """Mixed, for a solution that learns from the first records while it reads on."""
    return np.random.default_rng(seed).permutation(numbers)
