"""Which rows learn and which validate."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winner_solution.split import make_folds, sample_rows


def labels_of(targets) -> np.ndarray:
    return np.eye(max(targets) + 1, dtype=np.float32)[np.asarray(targets)]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=80))
def test_every_fold_learns_and_validates_on_different_rows(targets) -> None:
    labels = labels_of(targets)
    for fold in make_folds(labels):
        assert len(fold.learn)
        assert len(fold.validate)
        if len(fold.learn) < len(labels):
            assert not np.intersect1d(fold.learn, fold.validate).size


def test_two_examples_of_a_class_never_both_validate() -> None:
    labels = labels_of([0] * 50 + [1] * 2 + [2] * 3)
    for fold in make_folds(labels):
        assert labels[fold.learn].any(axis=0).all()


def test_larger_sets_hold_a_stratified_fifth_out() -> None:
    labels = labels_of(np.arange(5000) % 10)
    (fold,) = make_folds(labels)
    assert len(fold.validate) == pytest.approx(1000, abs=20)
    assert labels[fold.validate].sum(axis=0) == pytest.approx(np.full(10, 100), abs=3)


def test_a_sample_holds_every_class() -> None:
    labels = labels_of([0] * 500 + [1] * 500 + [2])
    rows = sample_rows(labels, np.arange(1001), 20)
    assert len(rows) == 20
    assert labels[rows].any(axis=0).all()
