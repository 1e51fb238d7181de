"""Folds: at random where the test part is like the training part, by cluster where it is new."""

import numpy as np

from winner_solution.shift import deal_clusters, matched_folds
from winner_solution.split import make_folds

RNG = np.random.default_rng(0)


def groups(count: int, each: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Near-copies of ``count`` things, and the number of the thing that each row is a copy of."""
    rng = np.random.default_rng(seed)
    number = np.repeat(np.arange(count), each)
    place = rng.normal(size=(count, 6))
    return (place[number] + 0.02 * rng.normal(size=(len(number), 6))).astype(np.float32), number


def labels_of(number: np.ndarray) -> np.ndarray:
    return np.eye(2, dtype=np.float32)[number % 2]


def test_copies_stay_together_when_the_test_part_is_of_other_things() -> None:
    train, number = groups(40, 4, seed=1)
    test, _ = groups(20, 4, seed=2)
    labels = labels_of(number)
    folds = matched_folds(train, test, labels, make_folds(labels))
    assert len(folds) == 4
    assert sorted(np.concatenate([fold.validate for fold in folds])) == list(range(160))
    for fold in folds:
        assert not set(number[fold.learn]) & set(number[fold.validate])
        assert labels[fold.validate].sum(axis=0).min() > 10


def test_folds_stay_when_the_test_part_holds_copies_too() -> None:
    both, number = groups(40, 5, seed=1)
    labels = labels_of(number)
    is_test = np.arange(len(both)) % 5 == 0
    folds = make_folds(labels[~is_test])
    assert matched_folds(both[~is_test], both[is_test], labels[~is_test], folds) is folds


def test_folds_stay_when_there_are_no_copies() -> None:
    x = RNG.normal(size=(300, 6)).astype(np.float32)
    labels = labels_of(np.arange(200))
    folds = make_folds(labels)
    assert matched_folds(x[:200], x[200:], labels, folds) is folds


def test_rows_that_are_all_the_same_change_nothing() -> None:
    labels = labels_of(np.arange(60))
    folds = make_folds(labels)
    assert matched_folds(np.zeros((60, 3)), np.zeros((30, 3)), labels, folds) is folds


def test_clusters_are_dealt_evenly_with_their_classes() -> None:
    cluster = np.repeat(np.arange(24), 5)
    part = deal_clusters(cluster, labels_of(cluster), 4)
    assert np.bincount(part).tolist() == [30] * 4
    for number in range(4):
        assert labels_of(cluster)[part == number].sum(axis=0).tolist() == [15, 15]
