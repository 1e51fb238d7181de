"""A sentence encoder cut in two is the same encoder, and its upper half learns."""

import time

import numpy as np
import pytest

from winner_solution import config
from winner_solution.budget import Deadline, OutOfTimeError
from winner_solution.data import open_task
from winner_solution.domain import Shape
from winner_solution.features.frozen_text import FrozenMultilingual
from winner_solution.features.text_layers import LowerLayers, UpperLayers
from winner_solution.learners.tuned_text import TunedText
from winner_solution.metric import nauc
from winner_solution.nets.transformer import Head
from winner_solution.portable import decode, encode

from .fakes import FakeDataset, FakeMetadata, one_hot

TEXTS = ["The quick brown fox jumps.", "I did not like it at all", "你好，世界"]
GOOD, BAD = "lovely wonderful great superb charming".split(), "awful dreadful dull bad poor".split()
FILLER = "the film was and of it we saw".split()
VOCABULARY = [*GOOD, *BAD, *FILLER]
LATER = Deadline(time.monotonic() + 1e6)
pytestmark = pytest.mark.timeout(
    900
)  # TensorFlow traces for seconds, on a loaded machine for minutes


def test_both_halves_are_the_whole() -> None:
    lower = LowerLayers(2)
    width = lower.body.width
    zero = np.zeros(width, np.float32)
    upper = UpperLayers(lower.body, Head(zero, np.eye(width, dtype=np.float32), zero))
    found = upper(lower(TEXTS))
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    assert ((found * FrozenMultilingual().encode(TEXTS)).sum(axis=1) > 0.99).all()


@pytest.fixture(scope="module")
def learner() -> TunedText:
    return TunedText()


def reviews(n: int, seed: int) -> FakeDataset:
    """Texts of two classes that words tell apart which the training part has not shown."""
    rng = np.random.default_rng(seed)
    targets, texts = rng.integers(2, size=n), []
    for target in targets:
        marks = rng.choice(5, 2) + 5 * target
        words = [*rng.integers(10, len(VOCABULARY), 6), *marks]
        texts.append(rng.permutation(words).astype(float).reshape(-1, 1, 1, 1))
    return FakeDataset(
        texts, one_hot(targets, 2), FakeMetadata((-1, 1, 1, 1), 2, False, False, VOCABULARY)
    )


def test_it_learns_and_can_be_saved(learner: TunedText, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "TUNE_EPOCHS", 1)
    monkeypatch.setattr(config, "TUNE_MIN_ROWS", 64)
    train, test = reviews(80, seed=1), reviews(30, seed=2)
    task = open_task(train, Shape.of(train.metadata))
    task.attach_test(test)
    step = learner.steps(task)[-1]
    predict = learner.fit(task, step, task.train.rows, LATER)
    scores = predict(task.test, task.test.rows)
    assert scores.shape == (30, 2)
    assert nauc(test.labels(), scores) > 0.8
    again = decode(*encode(predict))(task.test, task.test.rows)
    assert np.allclose(again, scores, atol=1e-4)


def test_without_time_it_says_so(learner: TunedText, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "TUNE_MIN_ROWS", 64)
    train = reviews(80, seed=1)
    task = open_task(train, Shape.of(train.metadata))
    past = Deadline(time.monotonic() - 1)
    with pytest.raises(OutOfTimeError):
        learner.fit(task, learner.steps(task)[0], task.train.rows, past)
