"""Predictions in blocks of rows: a look at the clock, and no more memory than a block needs."""

from __future__ import annotations

import time

import numpy as np

from .budget import Deadline
from .data import BLOCK, Subset
from .learners.base import Predictor, Scores
from .split import Rows

CHEAP_SECONDS = 0.05
LARGEST_BLOCK = 4096


def predict_blocks(predict: Predictor, subset: Subset, rows: Rows, deadline: Deadline) -> Scores:
    """Scores of ``rows``, NaN for those that are not predicted at ``deadline``."""
    parts: list[Scores] = []
    done, size = 0, BLOCK
    while done < len(rows) and (deadline.remaining > 0 or not done):
        block = rows[done : done + size]
        start = time.monotonic()
        parts.append(predict(subset, block))
        done += len(block)
        if time.monotonic() - start < CHEAP_SECONDS:  # fewer, larger blocks
            size = min(2 * size, LARGEST_BLOCK)
    if not parts:
        return np.zeros((0, subset.shape.classes), np.float32)
    scores = np.full((len(rows), parts[0].shape[1]), np.nan, np.float32)
    scores[:done] = np.concatenate(parts)
    return scores
