"""Quantiles of series over nested intervals (QUANT: Dempster et al. 2024, arXiv 2308.00928).

The series, its first and second differences and its spectrum are cut into halves, quarters and so
on, and each part gives its sorted values at even steps. Trees find what matters.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfft

from .. import config
from ..data import Subset
from ..split import Rows
from .mel import resampled

Floats = NDArray[np.float32]


class Intervals:
    """Series of vectors brought to ``steps`` points; ``of_mel`` takes the mel bands of sound."""

    def __init__(self, steps: int, of_mel: bool = False) -> None:
        self.name = f"intervals-{'mel-' if of_mel else ''}{steps}"
        self._steps = steps
        self._of_mel = of_mel

    def __call__(self, subset: Subset, rows: Rows) -> Floats:
        """float32 (n, F), of at most about ``config.INTERVAL_FEATURES``; last the log length."""
        x, lengths = resampled(subset, rows, self._steps, self._of_mel)
        x = x.transpose(0, 2, 1)
        parts = [part for view in _views(x) for part in self._describe(view)]
        return np.concatenate([*parts, lengths], axis=1).astype(np.float32)

    def _describe(self, view: Floats) -> Iterator[Floats]:
        """(n, channels x quantiles) of every interval of (n, channels, T)."""
        length, channels = view.shape[2], view.shape[1]
        for depth in range(depth_of(self._steps, channels) + 1):
            edges = np.linspace(0, length, 2**depth + 1).astype(int)
            for start, stop in pairwise(edges.tolist()):
                if stop - start < 2 and depth:
                    continue
                part = np.sort(view[:, :, start:stop], axis=2)
                count = 1 + (stop - start - 1) // config.INTERVAL_STEPS_PER_QUANTILE
                at = ((np.arange(count) + 0.5) * (stop - start) / count).astype(int)
                values = part[:, :, at]
                values[:, :, 1::2] -= part.mean(axis=2, keepdims=True)
                yield values.reshape(len(view), -1)


def depth_of(steps: int, channels: int) -> int:
    """How often intervals are halved: at most 5 times, less for many channels."""
    quantiles = 3.5 * channels * (1 + steps / config.INTERVAL_STEPS_PER_QUANTILE)
    affordable = int(config.INTERVAL_FEATURES / quantiles) - 1
    return int(np.clip(affordable, 0, min(5, max(0, int(np.log2(steps)) - 2))))


def _views(x: Floats) -> list[Floats]:
    """The series (n, d, T), smoothed differences, and the size of the spectrum."""
    change = np.diff(x, axis=2)
    views = [x, change, np.diff(change, axis=2), np.abs(rfft(x, axis=2))]
    return [np.asarray(view, np.float32) for view in views if view.shape[2] > 1]
