"""A small multi-layer perceptron in NumPy: no framework's start, cut at any step, plain arrays.

Adam with decoupled weight decay (Loshchilov, Hutter 2019), dropout (Srivastava et al. 2014), and
one cosine cycle of the learning rate, which ends with the steps or with the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from .. import config
from ..budget import Deadline

Floats = NDArray[np.float32]

_MOMENTUM, _SQUARES = 0.9, 0.99  # of Adam
_LOOK = 16  # steps between two looks at the clock


@dataclass(frozen=True)
class Perceptron:
    """Layers of (weights (in, out), bias (out,)), rectified between."""

    layers: list[tuple[Floats, Floats]]

    def __call__(self, x: Floats) -> Floats:
        """Logits, float32 (n, C)."""
        for weights, bias in self.layers[:-1]:
            x = np.maximum(x @ weights + bias, 0)
        weights, bias = self.layers[-1]
        return np.asarray(x @ weights + bias, np.float32)


def count_steps(rows: int) -> int:
    """Steps of training, which is more than ``config.MLP_EPOCHS`` for few rows."""
    few, many = config.MLP_STEPS_RANGE
    return int(np.clip(config.MLP_EPOCHS * rows / batch_of(rows), few, many))


def batch_of(rows: int) -> int:
    """Rows a step."""
    return int(np.clip(rows // 8, 16, config.MLP_BATCH))


def train_perceptron(
    x: Floats, labels: Floats, *, exclusive: bool, deadline: Deadline, seed: int
) -> Perceptron:
    """Learn ``labels`` (n, C) from centred ``x`` (n, F), by cross entropy, on one core.

    On a busy machine threads wait for each other in products as small as these.
    """
    with threadpool_limits(1, "blas"):
        return _train(x, labels, exclusive, deadline, seed)


def _train(x: Floats, labels: Floats, exclusive: bool, deadline: Deadline, seed: int) -> Perceptron:
    rng = np.random.default_rng(seed)
    training = _Training(x, labels.shape[1], rng)
    share = 1 / labels.shape[1] if exclusive else 0.5
    targets = labels * (1 - config.MLP_SMOOTHING) + config.MLP_SMOOTHING * share
    steps, batch = count_steps(len(x)), batch_of(len(x))
    allowed = max(deadline.remaining, 1e-3)
    order, at, spent = rng.permutation(len(x)), 0, 0.0
    for step in range(steps):
        if at + batch > len(x):
            order, at = rng.permutation(len(x)), 0
        rows, at = order[at : at + batch], at + batch
        if step % _LOOK == 0:
            spent = 1 - deadline.remaining / allowed
            if spent >= 1:
                break
        progress = max(step / steps, spent)
        rate = config.MLP_LEARNING_RATE * 0.5 * (1 + np.cos(np.pi * progress))
        training.take(x[rows], targets[rows], exclusive, rate * min(1, 20 * (step + 1) / steps))
    return Perceptron([(layer[0], layer[1]) for layer in training.layers])


class _Training:
    """Weights, and Adam's moments of them."""

    def __init__(self, x: Floats, classes: int, rng: np.random.Generator) -> None:
        self._rng = rng
        sizes = [x.shape[1], *[config.MLP_WIDTH] * config.MLP_HIDDEN_LAYERS, classes]
        self.layers = []
        for inputs, outputs in pairwise(sizes):
            weights = rng.normal(size=(inputs, outputs), scale=np.sqrt(2 / inputs))
            self.layers.append([weights.astype(np.float32), np.zeros(outputs, np.float32)])
        self.layers[0][0] /= np.std(x[:1000] @ self.layers[0][0]) + np.float32(1e-6)
        self.layers[-1][0] *= np.float32(0.1)
        self._mean = [[np.zeros_like(p) for p in layer] for layer in self.layers]
        self._square = [[np.zeros_like(p) for p in layer] for layer in self.layers]
        self._taken = 0

    def take(self, x: Floats, targets: Floats, exclusive: bool, rate: float) -> None:
        """One step on a batch."""
        inputs, gates = [x], []
        keep = 1 - config.MLP_DROPOUT
        for weights, bias in self.layers[:-1]:
            x = x @ weights + bias
            gate = (x > 0) & (self._rng.random(x.shape, np.float32) < keep)
            gates.append(gate * np.float32(1 / keep))
            x = x * gates[-1]
            inputs.append(x)
        logits = x @ self.layers[-1][0] + self.layers[-1][1]
        if exclusive:
            odds = np.exp(logits - logits.max(axis=1, keepdims=True))
            p = odds / odds.sum(axis=1, keepdims=True)
        else:
            p = 1 / (1 + np.exp(-np.clip(logits, -30, 30)))
        slope = np.asarray((p - targets) / len(x), np.float32)
        self._taken += 1
        for number in range(len(self.layers) - 1, -1, -1):
            weights_slope, bias_slope = inputs[number].T @ slope, slope.sum(axis=0)
            if number:
                slope = (slope @ self.layers[number][0].T) * gates[number - 1]
            self._update(number, 0, weights_slope, rate)
            self._update(number, 1, bias_slope, rate)

    def _update(self, layer: int, which: int, slope: Floats, rate: float) -> None:
        mean, square = self._mean[layer][which], self._square[layer][which]
        mean += np.float32(1 - _MOMENTUM) * (slope - mean)
        square += np.float32(1 - _SQUARES) * (slope * slope - square)
        unbiased = np.float32(rate / (1 - _MOMENTUM**self._taken))
        norm = np.sqrt(square / np.float32(1 - _SQUARES**self._taken)) + np.float32(1e-8)
        parameter = self.layers[layer][which]
        if which == 0:
            parameter *= np.float32(1 - rate * config.MLP_WEIGHT_DECAY)
        parameter -= unbiased * mean / norm
