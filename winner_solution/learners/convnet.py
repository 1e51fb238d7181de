"""A small residual network for pictures, trained from scratch in cycles of growing length.

The shape is that of the fast CIFAR networks (ResNet9: Page 2018, DAWNBench), narrow enough for two
cores; each step is one cycle of learning rate up and down (Loshchilov, Hutter 2016), so that every
prediction is made at a low rate.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import config
from ..budget import Deadline, OutOfTimeError
from ..data import Floats, Subset, Task
from ..pictures import Pixels
from ..split import Rows
from .base import Predictor, Scores, Step


class _Training:
    """A network and how far it has come; it goes on where the last cycle ended."""

    def __init__(self, network: Any) -> None:
        self.network = network
        self.twin = _Twin(network)
        self.step_seconds = 0.0  # of one batch, measured


class ConvNet:
    """ResNet9, ``side`` pixels; warm from cycle to cycle, first on the learning rows, then all."""

    def __init__(self, side: int) -> None:
        self.name = f"convnet-{side}"
        self._side = side
        self._training: _Training | None = None

    def steps(self, task: Task) -> Sequence[Step]:
        """One step a cycle; ``size`` is its length in seconds."""
        n = len(task.train)
        if n < config.NET_MIN_ROWS:
            return []
        test = len(task.test) if task.test else n // 4
        predict = 2e-6 * self._side**2 * (test + n // 5) * 0.6
        return [
            Step(seconds + predict, closes, rows=n, size=int(seconds), folds=False)
            for seconds, closes in config.NET_CYCLES
        ]

    def fit(self, task: Task, step: Step, rows: Rows, deadline: Deadline) -> Predictor:
        """One cycle of ``step.size`` seconds, or what the deadline leaves of it."""
        pixels = task.train.images(rows, self._side)
        labels = _targets(task, rows)
        if self._training is None:
            self._training = _Training(build(pixels.shape[1:], task.classes, task.multilabel))
        seconds = min(float(step.size), deadline.remaining)
        if seconds < config.NET_MIN_SECONDS:
            raise OutOfTimeError
        train_cycle(self._training, pixels, labels, Deadline(deadline.now() + seconds), flips(task))
        weights = self._training.network.get_weights()  # copies
        twin, side, mirror = self._training.twin, self._side, flips(task)

        def predict(subset: Subset, rows: Rows) -> Scores:
            return twin.predict(weights, subset.images(rows, side), mirror)

        return predict


def load_framework() -> bool:
    """Import Keras and its backend, which takes seconds: in construction time.

    False where they are not installed; pictures are learnt without a network then.
    """
    try:
        import keras
    except ImportError as error:
        print(f"solution: without networks from scratch: {error}", file=sys.stderr)  # noqa: T201
        return False
    return bool(keras.backend.backend())


def build(shape: tuple[int, ...], classes: int, multilabel: bool) -> Any:
    """The compiled network for pictures (height, width, channels) as floats about -1..1."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(config.SEED)
    width = config.NET_WIDTH

    def conv(x: Any, filters: int) -> Any:
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        return layers.Activation("relu")(x)

    inputs = keras.Input(shape)
    x = conv(inputs, width)
    size = min(shape[:2])
    for stage, filters in enumerate((2 * width, 4 * width, 8 * width)):
        x = conv(x, filters)
        if size >= 2:
            x, size = layers.MaxPooling2D(2)(x), size // 2
        if stage != 1:
            x = layers.Add()([x, conv(conv(x, filters), filters)])
    x = layers.Concatenate()([layers.GlobalMaxPooling2D()(x), layers.GlobalAveragePooling2D()(x)])
    outputs = layers.Dense(classes, kernel_initializer="zeros")(x)
    network = keras.Model(inputs, outputs)
    losses = keras.losses
    loss: Any
    if multilabel:
        loss = losses.BinaryCrossentropy(from_logits=True)
    else:
        loss = losses.CategoricalCrossentropy(True, label_smoothing=config.LABEL_SMOOTHING)
    optimizer = keras.optimizers.AdamW(1e-3, weight_decay=config.NET_WEIGHT_DECAY)
    network.compile(optimizer=optimizer, loss=loss)
    return network


def train_cycle(
    training: _Training, pixels: Pixels, labels: Floats, until: Deadline, mirror: bool
) -> None:
    """Batches at a rate that rises for a quarter of the time and falls to nothing by its end."""
    rng = np.random.default_rng(config.SEED + int(training.network.optimizer.iterations))
    total = until.remaining
    batch = min(config.NET_BATCH, len(pixels))
    order = np.zeros(0, np.intp)
    while until.remaining > training.step_seconds:
        done = 1 - until.remaining / total
        rate = min(done / 0.25 + 0.05, (1 - done) / 0.75, 1.0)
        training.network.optimizer.learning_rate = config.NET_LEARNING_RATE * rate
        if len(order) < batch:
            order = np.concatenate([order, rng.permutation(len(pixels))])
        drawn, order = order[:batch], order[batch:]
        start = until.now()
        x = augment(pixels[drawn], rng, mirror)
        training.network.train_on_batch(x, labels[drawn])
        training.step_seconds = until.now() - start


class _Twin:
    """The same network with the weights of any earlier state; compiled once for all of them."""

    def __init__(self, network: Any) -> None:
        import keras

        self._network = keras.models.clone_model(network)
        self._weights: list[Any] = []

    def predict(self, weights: list[Any], pixels: Pixels, mirror: bool) -> Scores:
        """Logits in batches of one size; the mean over both mirrorings where ``mirror``."""
        if self._weights is not weights:
            self._network.set_weights(weights)
            self._weights = weights
        batch = 2 * config.NET_BATCH
        parts = []
        for start in range(0, len(pixels), batch):
            x = normalise(pixels[start : start + batch])
            known = len(x)
            x = np.pad(x, ((0, batch - known), (0, 0), (0, 0), (0, 0)))
            logits = self._network.predict_on_batch(x)
            if mirror:
                logits = (logits + self._network.predict_on_batch(x[:, :, ::-1])) / 2
            parts.append(logits[:known])
        return np.concatenate(parts)


def augment(pixels: Pixels, rng: np.random.Generator, mirror: bool) -> Floats:
    """Shifts of up to an eighth, the same for four parts of the batch, and mirrored pictures."""
    x = normalise(pixels)
    reach = max(1, min(x.shape[1:3]) // 8)
    for part in np.array_split(np.arange(len(x)), 4):
        down, right = rng.integers(-reach, reach + 1, 2)
        x[part] = np.roll(x[part], (down, right), (1, 2))
    if mirror:
        flipped = rng.random(len(x)) < 0.5
        x[flipped] = x[flipped, :, ::-1]
    return x


def normalise(pixels: Pixels) -> Floats:
    """Bytes to about -2..2."""
    return np.asarray((pixels.astype(np.float32) - 127.5) / 64)


def flips(task: Task) -> bool:
    """Whether mirrored pictures are of the same class: not digits and letters (small and grey)."""
    frame = task.train.frame
    assert frame is not None
    return frame.channels >= 3 and frame.side > config.NET_GLYPH_SIDE


def _targets(task: Task, rows: Rows) -> Floats:
    labels = task.labels[rows]
    return labels if task.multilabel else labels / np.maximum(labels.sum(axis=1, keepdims=True), 1)
