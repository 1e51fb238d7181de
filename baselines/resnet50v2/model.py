"""ResNet50V2 from random weights at 64 x 64 pixels, Adam, no augmentation; a step is a batch.

Each class has a sigmoid of its own, with one label or several, so that the graph can be traced in
the constructor, whose time is free. Its learning curve starts late: that is what it is compared for
(AutoCV's Table 2).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from baselines.arrays import Layout
from baselines.base import Baseline, Floats

if TYPE_CHECKING:
    from autodl.dataset import Dataset, Metadata

BATCH = 32
FIRST_BATCHES = 2
SEED = 0
KEPT_BYTES = 1 << 30  # of the test pictures


class Model(Baseline):
    """See the top of this file."""

    file = "resnet50v2.npz"
    side = 64
    learning_rate = 1e-3

    def __init__(self, metadata: Metadata) -> None:
        super().__init__(metadata)
        keras.utils.set_random_seed(SEED)
        self.network = self.build()
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
        self.network.compile(keras.optimizers.Adam(self.learning_rate), loss)
        self._trace()
        self.scale: Floats | None = None  # mean and deviation of the pixels
        self._random = np.random.default_rng(SEED)
        self._tested: Floats | None = None

    def _trace(self) -> None:
        """One batch of nothing, then the first weights again."""
        weights = self.network.get_weights()
        zeros = np.zeros((BATCH, self.side, self.side, 3), np.float32)
        self.network.train_on_batch(zeros, np.zeros((BATCH, self.classes), np.float32))
        self.network.predict_on_batch(zeros)
        self.network.set_weights(weights)

    def build(self) -> Any:
        """Pictures (side, side, 3) to logits."""
        trunk = keras.applications.ResNet50V2(
            include_top=False, weights=None, input_shape=(self.side, self.side, 3), pooling="avg"
        )
        return keras.Sequential([trunk, keras.layers.Dense(self.classes)])

    def measure(self, pictures: Floats) -> Floats:
        """Mean and deviation of the first pictures, by which all are standardised."""
        return np.array([pictures.mean(), pictures.std() + 1e-6], np.float32)

    def learn(self, dataset: Dataset, steps: int) -> None:
        """Batches drawn at random."""
        assert self.labels is not None
        for _ in range(FIRST_BATCHES * steps):
            rows = self._random.integers(len(dataset), size=BATCH)
            x = self._read(dataset, rows)
            if self.scale is None:
                self.scale = self.measure(x)
            self.network.train_on_batch((x - self.scale[0]) / self.scale[1], self.labels[rows])

    def predict(self, dataset: Dataset) -> Floats:
        """Logits; the pictures are kept from call to call where there is room."""
        assert self.scale is not None
        everything = np.arange(len(dataset))
        if self._tested is None and len(dataset) * self.side**2 * 12 <= KEPT_BYTES:
            self._tested = self._read(dataset, everything)
        parts = []
        for start in range(0, len(dataset), BATCH):
            rows = everything[start : start + BATCH]
            pictures = self._read(dataset, rows) if self._tested is None else self._tested[rows]
            x = (pictures - self.scale[0]) / self.scale[1]
            padded = np.pad(x, ((0, BATCH - len(x)), (0, 0), (0, 0), (0, 0)))
            parts.append(self.network.predict_on_batch(padded)[: len(x)])
        return np.concatenate(parts)

    def _read(self, dataset: Dataset, rows: np.ndarray[Any, np.dtype[np.intp]]) -> Floats:
        return np.stack([self.layout.image(dataset[int(row)][0], self.side) for row in rows])

    def save(self, folder: Path) -> None:
        """The weights, and how examples become pictures."""
        values: dict[str, Any] = {
            "scale": self.scale,
            "layout": self.layout.to_list(),
            "multilabel": self.multilabel,
            "classes": self.classes,
        }
        values |= {f"weight_{i}": w for i, w in enumerate(self.network.get_weights())}
        np.savez(folder / self.file, **values)

    @classmethod
    def load(cls, folder: Path) -> Model:
        """What ``save`` wrote, ready for ``test``."""
        with np.load(folder / cls.file, allow_pickle=False) as file:
            values = dict(file)
        model = cls.__new__(cls)
        model.layout = Layout.from_list(values["layout"].tolist())
        model.multilabel, model.classes = bool(values["multilabel"]), int(values["classes"])
        model.scale = values["scale"]
        model.network = model.build()
        count = sum(name.startswith("weight_") for name in values)
        model.network.set_weights([values[f"weight_{i}"] for i in range(count)])
        model._tested, model._calls, model._called = None, 0, 0.0
        return model
