"""A small residual network for pictures and sounds, from scratch, in cycles of growing length.

The shape is that of the fast CIFAR networks (ResNet9: Page 2018, DAWNBench), narrow enough for two
cores.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from .. import config
from ..budget import Deadline
from ..data import Floats, Subset, Task
from ..nets.cycles import Training, has_accelerator
from ..nets.views import View
from ..split import Rows
from .base import Predictor, Scores, Step


class ConvNet:
    """ResNet9 on what ``view`` shows; each cycle goes on where the last one ended.

    ``row_seconds``: of the view's features, for one row.
    """

    def __init__(self, view: View, row_seconds: float = 0.0) -> None:
        self.name = f"convnet-{view.name}"
        self._view = view
        self._row_seconds = row_seconds
        self._training: Training | None = None
        self._weights: list[Any] | None = None  # which know no validation row

    def steps(self, task: Task) -> Sequence[Step]:
        """One step a cycle that sees every example some times; ``size`` is its seconds."""
        n = len(task.train)
        if n < config.NET_MIN_ROWS:
            return []
        height, width = self._view.size(task)
        row = config.NET_PIXEL_SECONDS * height * width
        if has_accelerator():
            row /= config.ACCELERATION
        test = len(task.test) if task.test else n // 4
        predict = row * (test + n // 5) / 3
        return [
            Step(
                config.NET_START_SECONDS + predict,
                closes,
                rows=n,
                size=int(seconds),
                folds=False,
                extractor=self._view.extractor,
                row_seconds=self._row_seconds,
                clock_seconds=seconds,
            )
            for seconds, closes in config.NET_CYCLES
            if seconds >= config.NET_LEAST_EPOCHS * row * n
        ]

    def fit(self, task: Task, step: Step, rows: Rows, deadline: Deadline) -> Predictor:
        """One cycle of ``step.size`` seconds, or what the deadline leaves of it."""
        view = self._view
        pixels = view.show(task.train, rows, deadline)
        if self._training is None:
            network = build(pixels.shape[1:], task.classes)
            rate = config.NET_LEARNING_RATE
            self._training = Training(network, task.multilabel, rate, *view.range)
        network = self._training.network
        if self._weights is not None:
            network.set_weights(self._weights)
        labels, augment = targets(task, rows), view.augment(task)
        self._training.cycle(pixels, labels, step.size, deadline, augment)
        weights = network.get_weights()  # copies
        if len(rows) <= len(task.folds[0].learn):
            self._weights = weights
        reader, mirror = self._training.reader, view.mirrors(task)

        def predict(subset: Subset, rows: Rows) -> Scores:
            return reader.predict(weights, view.show(subset, rows), mirror)

        return predict


def load_framework() -> bool:
    """Import Keras and its backend, which takes seconds: in construction time.

    False where they are not installed; nothing is learnt from scratch by networks then.
    """
    try:
        with _quiet():
            import keras

            return bool(keras.backend.backend())
    except ImportError as error:
        print(f"solution: without networks from scratch: {error}", file=sys.stderr)  # noqa: T201
        return False


@contextmanager
def _quiet() -> Iterator[None]:
    """TensorFlow's native code greets on standard error when it is loaded; nobody asked."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as nowhere:
        kept = os.dup(2)
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def build(shape: tuple[int, ...], classes: int) -> Any:
    """The network for pictures (height, width, channels) as floats about -2..2, to logits."""
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
    return keras.Model(inputs, layers.Dense(classes, kernel_initializer="zeros")(x))


def targets(task: Task, rows: Rows) -> Floats:
    """Labels of these rows, of sum one unless there are several."""
    labels = task.labels[rows]
    return labels if task.multilabel else labels / labels.sum(axis=1, keepdims=True).clip(1)
