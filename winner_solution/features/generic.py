"""Features of any tensor at all: what is left when nothing better fits or works."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .. import config
from ..data import Subset, spread
from ..split import Rows

Floats = NDArray[np.float32]


class Generic:
    """Small pictures, statistics of a series, or the values of a table, whatever is there."""

    name = "generic"
    count = 3  # frames of a clip

    def __call__(self, subset: Subset, rows: Rows) -> Floats:
        """float32 (n, F)."""
        if subset.frame is not None:
            count = 1 if subset.shape.steps == 1 else self.count
            frames = subset.frames(rows, config.GENERIC_PIXELS, count)
            return frames.reshape(len(rows), -1).astype(np.float32)
        if subset.shape.sparse and subset.shape.cols > 1:
            return hashed_columns(subset, rows)
        return np.stack([_describe(series) for series in subset.series(rows)])


def hashed_columns(subset: Subset, rows: Rows, size: int = 1024) -> Floats:
    """A sparse table folded to ``size`` columns, float32 (n, size)."""
    table = subset.sparse_table(rows).tocoo()
    folded = np.zeros((len(rows), size), np.float32)
    sign = 1 - 2 * ((table.col // size) % 2)
    np.add.at(folded, (table.row, table.col % size), table.data * sign)
    return folded


def _describe(series: Floats) -> Floats:
    """Moments, changes and evenly spread values of (T, d); d above 64 is averaged away."""
    if series.shape[1] > config.GENERIC_STEPS:
        if len(series) == 1:
            return np.asarray(series[0][:4096])
        series = series.mean(axis=1, keepdims=True)
    change = np.abs(np.diff(series, axis=0)) if len(series) > 1 else np.zeros_like(series)
    points = np.stack(spread(series, config.GENERIC_STEPS)).ravel()
    parts = [series.mean(0), series.std(0), series.min(0), series.max(0), change.mean(0)]
    return np.concatenate([*parts, np.log1p([len(series)]), points]).astype(np.float32)
