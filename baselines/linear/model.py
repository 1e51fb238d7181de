"""A linear model on small vectors by stochastic gradients; a step is a twentieth of an epoch.

Rows are decoded when they are first drawn, so the first answer needs a few batches only.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from baselines.arrays import Layout
from baselines.base import BATCH, Baseline, Floats, Head

if TYPE_CHECKING:
    from autodl.dataset import Dataset, Metadata

LEAST_BATCHES = 4  # of a step
STEP_SHARE = 0.05  # of an epoch
MAX_ROWS = 50_000  # learnt from, evenly spread
SEED = 0


class Model(Baseline):
    """See the top of this file."""

    file = "linear.npz"

    def __init__(self, metadata: Metadata) -> None:
        super().__init__(metadata)
        self.head: Head | None = None
        self._vectors: dict[int, Floats] = {}
        self._tested: Floats | None = None
        self._random = np.random.default_rng(SEED)
        self._order = np.zeros(0, np.intp)

    def learn(self, dataset: Dataset, steps: int) -> None:
        """Batches in random order, each row once an epoch."""
        rows = np.linspace(0, len(dataset) - 1, min(len(dataset), MAX_ROWS)).astype(np.intp)
        batches = steps * max(LEAST_BATCHES, round(STEP_SHARE * len(rows) / BATCH))
        assert self.labels is not None
        for _ in range(batches):
            if not len(self._order):
                self._order = self._random.permutation(rows)
            drawn, self._order = self._order[:BATCH], self._order[BATCH:]
            x = self._read(dataset, drawn)
            if self.head is None:
                self.head = Head(x.shape[1], self.classes)
                self.head.standardise(x)
            self.head.step(x, self.labels[drawn], self.multilabel)

    def predict(self, dataset: Dataset) -> Floats:
        """Logits; the vectors are kept from call to call."""
        assert self.head is not None
        if self._tested is None:
            self._tested = np.stack([self.vector(dataset[i][0]) for i in range(len(dataset))])
        return self.head(self._tested)

    def vector(self, example: Floats) -> Floats:
        """float32 (F,) of one example."""
        return self.layout.vector(example)

    def _read(self, dataset: Dataset, rows: np.ndarray[tuple[int], np.dtype[np.intp]]) -> Floats:
        for row in rows.tolist():
            if row not in self._vectors:
                self._vectors[row] = self.vector(dataset[row][0])
        return np.stack([self._vectors[row] for row in rows.tolist()])

    def open(self) -> None:
        """Make ready what is not saved; nothing here."""

    def save(self, folder: Path) -> None:
        """The head, and how examples become vectors."""
        assert self.head is not None
        np.savez(
            folder / self.file,
            mean=self.head.mean,
            scale=self.head.scale,
            weights=self.head.weights,
            layout=self.layout.to_list(),
            multilabel=self.multilabel,
        )

    @classmethod
    def load(cls, folder: Path) -> Model:
        """What ``save`` wrote, ready for ``test``."""
        with np.load(folder / cls.file, allow_pickle=False) as file:
            values = dict(file)
        model = cls.__new__(cls)
        model.open()
        model.layout = Layout.from_list(values["layout"].tolist())
        model.multilabel = bool(values["multilabel"])
        model.head = Head(*values["weights"].shape)
        model.head.mean, model.head.scale = values["mean"], values["scale"]
        model.head.weights = values["weights"]
        model._tested, model._calls, model._called = None, 0, 0.0
        return model
