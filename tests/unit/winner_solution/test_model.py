"""The whole solution as the platform drives it, on small made-up data and on every drill."""

import threading

import numpy as np
import pytest

from winner_solution import config, portfolio
from winner_solution.learners.base import Step
from winner_solution.metric import nauc
from winner_solution.model import Model

from .fakes import FakeDataset, FakeMetadata, drive, generate, one_hot, png

DOMAINS = ("table", "sparse", "text", "series", "audio", "image", "video")


@pytest.fixture(autouse=True)
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without networks, whose loading takes longer than these runs."""
    monkeypatch.setattr(portfolio, "load_framework", lambda: False)
    monkeypatch.setattr(portfolio, "frozen_learners", lambda domain, shape: [])


def score(train, test, budget_seconds=8.0, most_calls=2):
    predictions, seconds = drive(Model, train, test, budget_seconds, most_calls)
    assert predictions
    assert seconds[-1] < budget_seconds + 3
    for prediction in predictions:
        assert prediction.shape == test.labels().shape
        assert np.isfinite(prediction).all()
    return nauc(test.labels(), predictions[-1])


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_domain_is_learnt(domain: str) -> None:
    train, test = generate(domain, 150, 3, seed=1), generate(domain, 60, 3, seed=2)
    assert score(train, test, most_calls=3) > 0.6


@pytest.mark.parametrize("domain", DOMAINS)
def test_several_labels_are_learnt(domain: str) -> None:
    train = generate(domain, 150, 3, seed=1, multilabel=True)
    test = generate(domain, 60, 3, seed=2, multilabel=True)
    assert score(train, test) > 0.3


@pytest.mark.parametrize("domain", ["table", "text"])
def test_a_file_sorted_by_class_is_learnt_as_well(domain: str) -> None:
    train, test = generate(domain, 200, 4, seed=1, sort=True), generate(domain, 60, 4, seed=2)
    assert score(train, test) > 0.6


def test_one_class_only_is_answered() -> None:
    train, test = generate("table", 40, 2, seed=1), generate("table", 20, 2, seed=2)
    train._labels[:] = (1, 0)
    assert score(train, test) == pytest.approx(0, abs=1)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_a_handful_of_examples_is_answered(n: int) -> None:
    train, test = generate("table", 10, 2, seed=1), generate("table", 20, 2, seed=2)
    score(FakeDataset(train._examples[:n], train._labels[:n], train.metadata), test)


def test_test_sets_may_be_a_hundred_times_larger() -> None:
    train, test = generate("table", 50, 2, seed=1), generate("table", 5000, 2, seed=2)
    assert score(train, test) > 0.6


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, 1e38])
def test_columns_of_no_use_do_no_harm(value: float) -> None:
    train, test = generate("table", 150, 2, seed=1), generate("table", 60, 2, seed=2)
    for dataset in (train, test):
        for example in dataset._examples:
            example[..., 3, :] = value
    assert score(train, test) > 0.6


@pytest.mark.parametrize("pixels", [np.zeros((9, 7), np.uint8), np.zeros((1, 1), np.uint8)])
def test_black_and_single_pixel_pictures_are_answered(pixels) -> None:
    metadata = FakeMetadata((1, -1, -1, 1), 2, compressed=True)
    labels = one_hot(np.arange(40) % 2, 2)
    dataset = FakeDataset([[png(pixels)]] * 40, labels, metadata)
    score(dataset, dataset)


def test_pictures_that_cannot_be_decoded_are_passed_over() -> None:
    train, test = generate("image", 100, 2, seed=1), generate("image", 40, 2, seed=2)
    train._examples[3] = [b"no picture"]
    test._examples[5] = []
    assert score(train, test) > 0.5


def test_sparse_tables_of_forty_thousand_columns_are_learnt() -> None:
    train, test = generate("sparse", 150, 3, seed=1), generate("sparse", 60, 3, seed=2)
    for dataset in (train, test):
        dataset.metadata = FakeMetadata((1, 1, 40_000, 1), 3, sparse=True)
        for example in dataset._examples:
            example[:, :, 0] *= 133
    assert score(train, test) > 0.5


def test_series_of_ten_points_and_empty_ones_are_answered() -> None:
    train, test = generate("series", 80, 2, seed=1), generate("series", 40, 2, seed=2)
    for dataset in (train, test):
        dataset._examples = [example[:10] for example in dataset._examples]
    test._examples[0] = test._examples[0][:0]
    assert score(train, test) > 0.3


def test_a_budget_of_two_seconds_still_gives_an_answer() -> None:
    train, test = generate("audio", 60, 2, seed=1), generate("audio", 30, 2, seed=2)
    assert score(train, test, budget_seconds=2.0) > 0.3


class Broken:
    """Learners that go wrong in every way there is."""

    name = "broken"

    def __init__(self, where: str) -> None:
        self._where = where

    def steps(self, task):
        if self._where == "steps":
            raise RuntimeError
        return [Step(1e-6, 0.9, rows=100)]

    def fit(self, task, step, rows, deadline):
        if self._where == "fit":
            raise MemoryError
        if self._where == "hang":
            threading.Event().wait(3600)
        return self._predict

    def _predict(self, subset, rows):
        if self._where == "predict" or (self._where == "test" and not subset.labels().any()):
            raise ValueError
        return np.full((len(rows), 2), np.nan if self._where == "nan" else 0, np.float32)


@pytest.mark.parametrize("where", ["steps", "fit", "predict", "test", "nan", "constant", "hang"])
def test_a_broken_learner_does_not_stop_the_others(where: str, monkeypatch) -> None:
    monkeypatch.setattr(config, "GUARD_SECONDS", 0.5)
    made = portfolio.Portfolio.learners
    monkeypatch.setattr(
        portfolio.Portfolio, "learners", lambda self, task: [Broken(where), *made(self, task)]
    )
    train, test = generate("table", 100, 2, seed=1), generate("table", 40, 2, seed=2)
    hidden = FakeDataset(test._examples, np.zeros_like(test._labels), test.metadata)
    predictions, _ = drive(Model, train, hidden, 6.0, 4)
    assert nauc(test.labels(), predictions[-1]) > 0.6


def test_when_nothing_works_the_class_shares_are_the_answer(monkeypatch) -> None:
    monkeypatch.setattr(
        portfolio.Portfolio, "learners", lambda self, task: [Broken("fit"), Broken("steps")]
    )
    train, test = generate("table", 30, 2, seed=1), generate("table", 10, 2, seed=2)
    predictions, _ = drive(Model, train, test, 6.0, 3)
    assert predictions[-1] == pytest.approx(np.tile(train.labels().mean(axis=0), (10, 1)))


def test_pictures_of_many_channels_and_a_hundred_times_as_many_of_them_are_learnt() -> None:
    rng = np.random.default_rng(0)
    metadata = FakeMetadata((1, 12, 10, 7), 2)

    def pictures(n: int) -> FakeDataset:
        targets = np.arange(n) % 2
        x = rng.normal(size=(n, 1, 12, 10, 7)).astype(np.float32)
        x[:, :, 3:6, :, 5] += 3 * targets[:, None, None, None]
        return FakeDataset(list(x), one_hot(targets, 2), metadata)

    assert score(pictures(30), pictures(3000), budget_seconds=20.0) > 0.6
