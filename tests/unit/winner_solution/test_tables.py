"""What linear models and networks read of a table, and the heads that choose for themselves."""

import time

import numpy as np
from scipy import sparse

from winner_solution.budget import Deadline
from winner_solution.features.tables import Bins, TableEncoder
from winner_solution.logistic import choose_penalty
from winner_solution.nets.perceptron import train_perceptron
from winner_solution.svm import fit_svm

from .fakes import one_hot

LATER = Deadline(time.monotonic() + 1e6)
NAN = np.nan
TABLE = np.array(
    [[1.5, 0, 3, 7], [2.5, 1, 1, 7], [NAN, 2, 2, 7], [0.5, 1, 3, 7], [9.0, 0, 2, 7]], np.float32
)


def test_named_columns_are_told_apart_and_never_sized() -> None:
    encode = TableEncoder.of(TABLE, named=(1,), guess=False)
    assert encode.numbers.tolist() == [0, 2]
    assert [column for column, _ in encode.categories] == [1]
    unseen = np.array([[1, 99, 1, 7], [1, NAN, 1, 7]], np.float32)
    x = encode(unseen)
    assert x.shape == (2, 2 + 3 + 1)  # two numbers, three names, one column with gaps
    assert not x[:, 2:5].any()


def test_guessed_categories_stay_numbers_too() -> None:
    encode = TableEncoder.of(TABLE)
    assert encode.numbers.tolist() == [0, 1, 2]
    assert [column for column, _ in encode.categories] == [1, 2]


def test_bins_place_a_value_and_miss_nothing() -> None:
    values = np.arange(100, dtype=np.float32)[:, None]
    bins = Bins.of(values, np.array([0]), 4)
    place = bins(np.array([[0], [99], [NAN], [-5], [1e9]], np.float32))
    assert place.shape == (5, 4)
    assert place[0].tolist() == place[3].tolist() == [-0.5] * 4
    assert place[1].tolist() == place[4].tolist() == [0.5] * 4
    assert not place[2].any()


def test_bins_of_a_constant_are_none() -> None:
    table = np.full((9, 1), 3, np.float32)
    assert Bins.of(table, np.array([0]), 4)(table).shape == (9, 0)


def test_noise_is_penalised_more_than_signal() -> None:
    rng = np.random.default_rng(0)
    targets = rng.integers(2, size=120)
    noise = rng.normal(size=(120, 60)).astype(np.float32)
    noise[:, 0] += targets
    clear = (targets[:, None] * 2 - 1 + 0.1 * rng.normal(size=(120, 3))).astype(np.float32)
    labels = one_hot(targets, 2)
    chosen = [choose_penalty(x, labels, exclusive=True, deadline=LATER) for x in (noise, clear)]
    assert chosen[0] <= 0.1
    assert chosen[1] == 1e-3  # equal scores: the simplest


def test_a_perceptron_draws_what_no_line_can() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 2)).astype(np.float32)
    targets = (x[:, 0] * x[:, 1] > 0).astype(int)
    network = train_perceptron(x, one_hot(targets, 2), exclusive=True, deadline=LATER, seed=1)
    assert (network(x).argmax(axis=1) == targets).mean() > 0.9


def test_log_count_ratios_favour_what_marks_a_class() -> None:
    rng = np.random.default_rng(0)
    targets = rng.integers(3, size=90)
    counts = rng.poisson(0.3, size=(90, 40)).astype(np.float32)
    counts[np.arange(90), targets] += 2
    x = sparse.csr_matrix(counts)
    head = fit_svm(x, one_hot(targets, 3), True, LATER, ratios=True)
    assert (head(x).argmax(axis=1) == targets).mean() > 0.95
    assert np.abs(head.weights[:3]).mean() > 3 * np.abs(head.weights[3:]).mean()
