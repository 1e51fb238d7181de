"""Train Keras networks on pictures in cycles, and predict with any state that they have been in.

Each cycle takes the learning rate up and down again (Loshchilov, Hutter 2016, arXiv 1608.03983), so
that what is published was made at a low rate, and ends with its time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import config
from ..budget import Deadline, OutOfTimeError
from ..pictures import Pixels

Floats = NDArray[np.float32]
Augment = Callable[[Floats, np.random.Generator], Floats]
"""Changes a batch (n, height, width, channels), in place or not, and leaves its meaning."""


def has_accelerator() -> bool:
    """Whether Keras computes on something faster than this machine's cores."""
    import keras

    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


class Training:
    """A network with its optimizer; ``rate`` is the highest learning rate.

    Inputs are (pixels - ``centre``) / ``scale``.
    """

    def __init__(
        self, network: Any, multilabel: bool, rate: float, centre: float = 0.0, scale: float = 1.0
    ) -> None:
        import keras

        loss: Any
        if multilabel:
            loss = keras.losses.BinaryCrossentropy(from_logits=True)
        else:
            smoothing = config.LABEL_SMOOTHING
            loss = keras.losses.CategoricalCrossentropy(True, label_smoothing=smoothing)
        optimizer = keras.optimizers.AdamW(rate, weight_decay=config.NET_WEIGHT_DECAY)
        network.compile(optimizer=optimizer, loss=loss)
        self.network = network
        self.reader = Reader(keras.models.clone_model(network), centre, scale)
        self._rate, self._centre, self._scale = rate, centre, scale
        self._batch_seconds = 0.0  # measured

    def cycle(
        self,
        pixels: Pixels | Floats,
        labels: Floats,
        seconds: float,
        deadline: Deadline,
        augment: Augment,
    ) -> None:
        """Batches at a rate that rises for a quarter of the time and falls to nothing by its end.

        pixels: (n, height, width, channels); labels: (n, C), rows of sum one unless multi-label.
        The time to compile comes on top. Raises OutOfTimeError when there was none to learn in.
        """
        optimizer = self.network.optimizer
        rng = np.random.default_rng(config.SEED + int(optimizer.iterations))
        batch = min(config.NET_BATCH, len(pixels))
        if not self._batch_seconds:  # the first batch compiles; it must not teach
            optimizer.learning_rate = 0.0
            self._step(pixels[:batch], labels[:batch], rng, augment)
            self._batch_seconds = 1e-3
        until = Deadline(min(deadline.now() + seconds, deadline.at), deadline.now)
        if until.remaining < config.NET_MIN_SECONDS:
            raise OutOfTimeError
        total = until.remaining
        order = np.zeros(0, np.intp)
        while until.remaining > self._batch_seconds:
            done = 1 - until.remaining / total
            optimizer.learning_rate = self._rate * min(done / 0.25 + 0.05, (1 - done) / 0.75, 1.0)
            if len(order) < batch:
                order = np.concatenate([order, rng.permutation(len(pixels))])
            drawn, order = order[:batch], order[batch:]
            start = until.now()
            self._step(pixels[drawn], labels[drawn], rng, augment)
            self._batch_seconds = until.now() - start

    def _step(
        self, pixels: Pixels | Floats, labels: Floats, rng: np.random.Generator, augment: Augment
    ) -> None:
        x = augment(pixels.astype(np.float32), rng)
        x = np.asarray((x - np.float32(self._centre)) / np.float32(self._scale))
        self.network.train_on_batch(x, labels)


class Reader:
    """A twin of the network that predicts with the weights of any state; compiled once."""

    def __init__(self, network: Any, centre: float, scale: float) -> None:
        self._network, self._centre, self._scale = network, centre, scale
        self._weights: list[Any] = []

    def predict(self, weights: list[Any], pixels: Pixels | Floats, mirror: bool) -> Floats:
        """Logits in batches of one size; the mean over both mirrorings where ``mirror``."""
        if self._weights is not weights:
            self._network.set_weights(weights)
            self._weights = weights
        batch = 2 * config.NET_BATCH
        parts = []
        for start in range(0, len(pixels), batch):
            x = pixels[start : start + batch].astype(np.float32)
            known = len(x)
            x = (np.pad(x, ((0, batch - known), (0, 0), (0, 0), (0, 0))) - self._centre) / (
                self._scale
            )
            logits = self._network.predict_on_batch(x)
            if mirror:
                logits = (logits + self._network.predict_on_batch(x[:, :, ::-1])) / 2
            parts.append(np.asarray(logits[:known], np.float32))
        return np.concatenate(parts)


def shift(x: Floats, rng: np.random.Generator) -> Floats:
    """Up to an eighth in both directions, the same for four parts of the batch."""
    reach = max(1, min(x.shape[1:3]) // 8)
    for part in np.array_split(np.arange(len(x)), 4):
        down, right = rng.integers(-reach, reach + 1, 2)
        x[part] = np.roll(x[part], (down, right), (1, 2))
    return x


def shift_and_mirror(x: Floats, rng: np.random.Generator) -> Floats:
    """The same, and every second picture is mirrored by chance."""
    x = shift(x, rng)
    flipped = rng.random(len(x)) < 0.5
    x[flipped] = x[flipped, :, ::-1]
    return x


def mask_bands(x: Floats, rng: np.random.Generator) -> Floats:
    """Sounds (n, steps, bands, 1) of mean 0 begin earlier or later; a stretch and some bands are 0.

    SpecAugment without the warping of time: Park et al. 2019 (arXiv 1904.08779).
    """
    reach = max(1, x.shape[1] // 8)
    for example in x:
        example[:] = np.roll(example, rng.integers(-reach, reach + 1), 0)
        for turned in (example, example.swapaxes(0, 1)):
            width = rng.integers(0, int(config.MASK_SHARE * len(turned)) + 1)
            start = rng.integers(0, len(turned) - width + 1)
            turned[start : start + width] = 0
    return x
