"""Which example goes to which subset, where the source does not say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from autodl.errors import UsageError
from formatter.source import SUBSETS, Codes, Index

Numbers = NDArray[np.int32]
TRAIN, TEST = SUBSETS.index("train"), SUBSETS.index("test")
ENOUGH = 3  # units of a label, of which one can be spared for test
BLOCK = 1 << 20  # rows that are worked on at a time: what NumPy makes of all takes 8 bytes a row


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
    rows = slice(None) if free.all() else numbers_where(free)  # no long list without need
    labels = index.labels[rows]
    if index.groups is None:
        chosen = _choose(index, labels, test, seed)
    else:
        groups, unit = np.unique(index.groups[rows], return_inverse=True)
        of_test = np.zeros(len(groups), bool)
        of_test[_choose(index, _common_labels(unit, labels), test, seed)] = True
        chosen = numbers_where(of_test[unit])
    if not len(chosen):
        units = len(labels) if index.groups is None else len(groups)
        raise UsageError(
            "split-too-small",
            f"{units} examples or groups are too few to set a test subset apart.",
            hint="Add examples, or bring train and test already split.",
        )
    subsets[chosen if isinstance(rows, slice) else rows[chosen]] = TEST
    return subsets


def _choose(index: Index, labels: Codes, test: float, seed: int) -> Numbers:
    """Systematic sampling from the units in order of their labels: every class gets its share.

    ``labels`` (units,) is the label set of each.
    """
    counts = count_numbers(labels, len(index.label_sets)).tolist()
    present = [names for names, count in zip(index.label_sets, counts, strict=True) if count]
    of_name: Counter[str] = Counter()
    for names, count in zip(index.label_sets, counts, strict=True):
        of_name.update(dict.fromkeys(names, count))
    rank = {names: number for number, names in enumerate(sorted(present))}
    ranks = np.array([rank.get(names, 0) for names in index.label_sets], np.int32)
    shared = np.array([all(of_name[n] > 1 for n in names) for names in index.label_sets], bool)
    ordered = numbers_where(_look_up(shared, labels))
    np.random.default_rng(seed).shuffle(ordered)
    ordered = _sort_by_rank(ordered, labels, ranks)
    chosen = [ordered[:0]]
    for start in range(0, len(ordered), BLOCK):
        block = ordered[start : start + BLOCK]
        marks = np.floor((np.arange(start, start + len(block) + 1) + 0.5) * test)
        chosen.append(block[np.diff(marks) > 0])
    of_test = np.concatenate(chosen)
    tested = {n for at in np.unique(labels[of_test]).tolist() for n in index.label_sets[at]}
    more = list(_untested(index, labels, ordered, of_name, tested))
    return np.append(of_test, np.array(more, np.int32))


def _sort_by_rank(units: Numbers, labels: Codes, ranks: Numbers) -> Numbers:
    """The units in order of their labels' ranks, equal ones as they were: a counting sort."""
    size = int(ranks.max(initial=0)) + 1
    blocks = [units[start : start + BLOCK] for start in range(0, len(units), BLOCK)]
    counts = np.sum([count_numbers(ranks[labels[b]], size) for b in blocks], axis=0, dtype=np.int64)
    ends = np.cumsum(counts)
    places = np.zeros(size, np.int64) + ends - counts  # of the next one of each rank
    result = np.empty_like(units)
    for block in blocks:
        rank = ranks[labels[block]]
        order = np.argsort(rank, kind="stable")
        rank = rank[order]
        count = count_numbers(rank, size)
        within = np.arange(len(block)) - (np.cumsum(count) - count)[rank]
        result[places[rank] + within] = block[order]
        places += count
    return result


def _look_up(table: NDArray[np.bool_], numbers: Codes) -> NDArray[np.bool_]:
    """``table[numbers]``, where NumPy would make eight bytes of each number first."""
    found = np.empty(len(numbers), bool)
    for start in range(0, len(numbers), BLOCK):
        found[start : start + BLOCK] = table[numbers[start : start + BLOCK]]
    return found


def numbers_where(chosen: NDArray[np.bool_]) -> Numbers:
    """int32 (n,): the places of what is true."""
    numbers = np.empty(np.count_nonzero(chosen), np.int32)
    at = 0
    for start in range(0, len(chosen), BLOCK):
        found = np.flatnonzero(chosen[start : start + BLOCK])
        numbers[at : at + len(found)] = found + start
        at += len(found)
    return numbers


def count_numbers(numbers: Codes, size: int) -> NDArray[np.int64]:
    """int64 (size,): how often each number below ``size`` is there."""
    counts = np.zeros(size, np.int64)
    for start in range(0, len(numbers), BLOCK):
        counts += np.bincount(numbers[start : start + BLOCK], minlength=size)
    return counts


def _untested(
    index: Index, labels: Codes, ordered: Numbers, of_name: Counter[str], tested: set[str]
) -> Iterator[np.int32]:
    """A unit of each label that several have and none of those chosen so far."""
    firsts: dict[int, np.int32] = {}
    for start in range(0, len(ordered), BLOCK):
        block = ordered[start : start + BLOCK]
        sets, first = np.unique(labels[block], return_index=True)
        for at, place in zip(sets.tolist(), first.tolist(), strict=True):
            firsts.setdefault(at, block[place])
    for at in sorted(firsts):
        names = index.label_sets[at]
        if any(of_name[name] >= ENOUGH and name not in tested for name in names):
            tested.update(names)
            yield firsts[at]


def _common_labels(unit: NDArray[np.intp], labels: Codes) -> Codes:
    """The label set that most rows of each unit have."""
    pairs, counts = np.unique(np.stack([unit, labels]), axis=1, return_counts=True)
    order = np.lexsort((-counts, pairs[0]))  # the commonest first within each unit
    _, first = np.unique(pairs[0][order], return_index=True)
    common: Codes = pairs[1][order][first]
    return common


def order_for_training(numbers: Numbers, seed: int) -> Numbers:
    """Mixed, for a solution that learns from the first records while it reads on."""
    return np.random.default_rng(seed).permutation(numbers)
