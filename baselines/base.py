"""What the learning baselines share: the doubling schedule, and a linear head."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from baselines.arrays import Layout

if TYPE_CHECKING:
    from autodl.dataset import Dataset, Metadata

Floats = NDArray[np.float32]

DEFAULT_BUDGET_SECONDS = 1200.0
RESERVE_SECONDS = 2.0  # kept at the end
MAX_CALLS = 16
BATCH = 64
LEARNING_RATE = 1e-2
DECAY = 1e-4


class Baseline(ABC):
    """Learns 1, 2, 4, ... steps from call to call, while the next call still fits the budget."""

    def __init__(self, metadata: Metadata) -> None:
        self.done_training = False
        self.layout = Layout.of(metadata)
        self.classes = metadata.get_output_size()
        self.labels: Floats | None = None
        self.multilabel = False
        self._calls = 0
        self._called = 0.0

    def train(self, dataset: Dataset, remaining_time_budget: float | None = None) -> None:
        """One call of the schedule; ``learn`` gets its number of steps."""
        self._called = time.monotonic()
        if self.labels is None:
            self.labels = dataset.labels()
            self.multilabel = bool((np.round(self.labels.sum(axis=1), 3) != 1).any())
        self.learn(dataset, 2**self._calls)
        self._calls += 1

    def test(
        self, dataset: Dataset, remaining_time_budget: float | None = None
    ) -> NDArray[np.floating]:
        """Probabilities, float32 (len(dataset), classes)."""
        remaining = remaining_time_budget or DEFAULT_BUDGET_SECONDS
        called = time.monotonic()
        scores = activate(self.predict(dataset), self.multilabel)
        now = time.monotonic()
        next_call = 2.5 * (called - self._called) + (now - called)  # the double, and some
        left = remaining - (now - called) - RESERVE_SECONDS
        self.done_training = self._calls >= MAX_CALLS or next_call > left
        return scores

    @abstractmethod
    def learn(self, dataset: Dataset, steps: int) -> None:
        """Take so many steps of learning."""

    @abstractmethod
    def predict(self, dataset: Dataset) -> Floats:
        """Logits, float32 (len(dataset), classes)."""


class Head:
    """A linear model of standardised features by Adam (Kingma, Ba 2015): softmax or sigmoids."""

    def __init__(self, features: int, classes: int) -> None:
        self.mean = np.zeros(features, np.float32)
        self.scale = np.ones(features, np.float32)
        self.weights = np.zeros((features + 1, classes), np.float32)
        self._first = np.zeros_like(self.weights)
        self._second = np.zeros_like(self.weights)
        self._count = 0

    def standardise(self, features: Floats) -> None:
        """Learn the scale of each feature."""
        self.mean = features.mean(axis=0)
        deviation = features.std(axis=0)
        self.scale = np.where(deviation > 1e-6, 1 / np.maximum(deviation, 1e-6), 0)

    def step(self, features: Floats, labels: Floats, multilabel: bool) -> None:
        """One batch."""
        x = self._prepare(features)
        error = activate(x @ self.weights, multilabel) - labels
        gradient = x.T @ error / len(x) + DECAY * self.weights
        self._count += 1
        self._first += 0.1 * (gradient - self._first)
        self._second += 0.001 * (gradient**2 - self._second)
        first = self._first / (1 - 0.9**self._count)
        second = self._second / (1 - 0.999**self._count)
        self.weights -= LEARNING_RATE * first / (np.sqrt(second) + 1e-8)

    def __call__(self, features: Floats) -> Floats:
        """Logits, float32 (n, classes)."""
        return np.asarray(self._prepare(features) @ self.weights, np.float32)

    def _prepare(self, features: Floats) -> Floats:
        x = np.clip((features - self.mean) * self.scale, -8, 8) / np.sqrt(len(self.mean))
        return np.concatenate([x, np.ones((len(x), 1))], axis=1).astype(np.float32)


def activate(logits: Floats, multilabel: bool) -> Floats:
    """Probabilities: each class by itself, or all together 1."""
    if multilabel:
        return np.asarray(1 / (1 + np.exp(-np.clip(logits, -30, 30))), np.float32)
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), np.float32)
