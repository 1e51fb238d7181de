"""Features of pictures without pretrained weights: pixels, and responses of learnt patches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..data import Subset
from ..split import Rows

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class TinyPixels:
    """The picture at ``side`` pixels, and its gradient magnitudes at half that: a first look."""

    side: int

    @property
    def name(self) -> str:
        """Identity in the cache."""
        return f"pixels-{self.side}"

    def __call__(self, subset: Subset, rows: Rows) -> Floats:
        """float32 (n, F)."""
        x = subset.images(rows, self.side).astype(np.float32) / 255
        grey = x.mean(axis=3)
        energy = np.abs(np.gradient(grey, axis=1)) if x.shape[1] > 1 else grey * 0
        energy = energy + (np.abs(np.gradient(grey, axis=2)) if x.shape[2] > 1 else 0)
        return np.concatenate([x.reshape(len(x), -1), energy.reshape(len(x), -1)], axis=1)
