"""Features of clips without pretrained weights: what the place looks like, and what moves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..data import Subset
from ..split import Rows

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Stills:
    """The mean picture of a clip's frames."""

    side: int
    count: int

    @property
    def name(self) -> str:
        """Identity in the cache."""
        return f"stills-{self.side}-{self.count}"

    def __call__(self, subset: Subset, rows: Rows) -> Floats:
        """float32 (n, F)."""
        frames = subset.frames(rows, self.side, self.count)
        mean = frames.mean(axis=1, dtype=np.float32)
        return np.asarray(mean.reshape(len(rows), -1))


@dataclass(frozen=True)
class Motion:
    """Where the brightness varies over the clip and changes from frame to frame."""

    side: int
    count: int

    @property
    def name(self) -> str:
        """Identity in the cache."""
        return f"motion-{self.side}-{self.count}"

    def __call__(self, subset: Subset, rows: Rows) -> Floats:
        """float32 (n, F): deviation and mean absolute change of each pixel, and their spectra."""
        grey = subset.frames(rows, self.side, self.count).mean(axis=4, dtype=np.float32)
        deviation = np.log1p(grey.std(axis=1))
        change = np.abs(np.diff(grey, axis=1)) if grey.shape[1] > 1 else np.zeros_like(grey)
        mean_change = np.log1p(change.mean(axis=1))
        parts = [deviation, mean_change, np.log1p(change.max(axis=1))]
        parts += [np.abs(np.fft.rfft2(part)) for part in (deviation, mean_change)]
        amount = np.log1p(change.mean(axis=(2, 3)))
        flat = [part.reshape(len(rows), -1) for part in parts]
        return np.concatenate([*flat, np.sort(amount, axis=1)], axis=1).astype(np.float32)
