"""Folds: at random where the test part is like the training part, by cluster where it is new."""

import time

import numpy as np

from winner_solution.budget import Deadline
from winner_solution.data import open_task
from winner_solution.domain import Shape
from winner_solution.features.pixels import TinyPixels
from winner_solution.shift import deal_clusters, folds_for, matched_folds
from winner_solution.split import make_folds

from .fakes import generate


def groups(count: int, each: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Near-copies of ``count`` things, and the number of the thing that each row is a copy of."""
    rng = np.random.default_rng(seed)
    number = np.repeat(np.arange(count), each)
    place = rng.normal(size=(count, 6))
    return (place[number] + 0.02 * rng.normal(size=(len(number), 6))).astype(np.float32), number


def test_without_time_for_features_the_folds_stay() -> None:
    train = generate("image", 60, 2, seed=1)
    task = open_task(train, Shape.of(train.metadata))
    task.attach_test(generate("image", 40, 2, seed=2))
    task.look = TinyPixels(8)
    assert folds_for(task, Deadline(time.monotonic() - 1)) is task.folds


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
    x = np.random.default_rng(3).normal(size=(600, 6)).astype(np.float32)
    labels = labels_of(np.arange(400))
    folds = make_folds(labels)
    assert matched_folds(x[:400], x[400:], labels, folds) is folds


def test_rows_that_are_all_the_same_change_nothing() -> None:
    labels = labels_of(np.arange(80))
    folds = make_folds(labels)
    assert matched_folds(np.zeros((80, 3)), np.zeros((70, 3)), labels, folds) is folds


def test_clusters_are_dealt_evenly_with_their_classes() -> None:
    cluster = np.repeat(np.arange(24), 5)
    part = deal_clusters(cluster, labels_of(cluster), 4)
    assert np.bincount(part).tolist() == [30] * 4
    for number in range(4):
        assert labels_of(cluster)[part == number].sum(axis=0).tolist() == [15, 15]
