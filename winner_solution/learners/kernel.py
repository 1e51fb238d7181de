"""Kernel ridge regression: smooth boundaries, where trees draw steps.

Nyström features of a Gaussian kernel (Williams, Seeger 2000) on the columns of ``TableEncoder``,
then ridge regression with its penalty by leave-one-out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import eigh

from .. import config
from ..budget import Deadline
from ..data import Extractor, Floats, Task
from ..features.tables import Columns, TableEncoder, count_columns, read_columns
from ..heads import fit_ridge
from ..split import Rows, sample_rows
from .base import Predictor, Step

NUMBERS, CATEGORIES, FINER = 1, 2, 3


class Kernel:
    """First on numbers alone, then with categories, or on features with more landmarks.

    ``size`` tells which.
    """

    def __init__(self, extractor: Extractor | None = None, row_seconds: float = 0.0) -> None:
        self._extractor = extractor or Columns()
        self._row_seconds = row_seconds
        self.name = f"kernel-{self._extractor.name}"

    def steps(self, task: Task) -> Sequence[Step]:
        """One step a choice of columns; none for sparse tables."""
        if task.shape.sparse:
            return []
        n = min(len(task.train), config.RIDGE_MAX_ROWS)
        columns = count_columns(task, self._extractor)

        def step(size: int, closes: float) -> Step:
            landmarks = min(n, _landmarks(size))
            seconds = (
                0.05
                + 6e-11 * n * landmarks * (columns + landmarks)
                + 1e-9 * landmarks**3
                + 1.5e-7 * min(n, config.KERNEL_ENCODER_ROWS) * columns  # every value is sorted
            )
            return Step(
                seconds,
                closes,
                rows=n,
                size=size,
                extractor=self._extractor,
                row_seconds=self._row_seconds,
            )

        steps = [step(NUMBERS, 0.15)]
        if isinstance(self._extractor, Columns):
            steps.append(step(CATEGORIES, 0.05))
        elif n > config.KERNEL_LANDMARKS:
            steps.append(step(FINER, 0.08))
        return steps

    def fit(self, task: Task, step: Step, rows: Rows, deadline: Deadline) -> Predictor:
        """Closed form."""
        extractor = self._extractor
        table = read_columns(task.train, rows, extractor, deadline)
        named = task.shape.categories if step.size == CATEGORIES else ()
        some = table if named else table[:: -(-len(table) // config.KERNEL_ENCODER_ROWS)]
        encode = TableEncoder.of(some, named, guess=step.size == CATEGORIES)
        x = encode(table)
        mean, scale = x.mean(axis=0), x.std(axis=0) + np.float32(1e-6)

        def standardise(table: Floats) -> Floats:
            return np.asarray(np.clip((encode(table) - mean) / scale, -5, 5), np.float32)

        chosen = sample_rows(task.labels, rows, _landmarks(step.size))
        landmarks = standardise(read_columns(task.train, chosen, extractor))
        distances = squared_distances(landmarks, landmarks)
        typical = float(np.median(distances[distances > 0])) if distances.any() else 1.0
        gamma = 1 / (typical * config.KERNEL_WIDTH**2)
        deadline.check()
        values, vectors = eigh(np.exp(-gamma * distances), driver="evd")
        kept = values > 1e-6 * values[-1]
        whiten = vectors[:, kept] / np.sqrt(values[kept])

        def features(table: Floats) -> Floats:
            z = standardise(table)
            return np.asarray(np.exp(-gamma * squared_distances(z, landmarks)) @ whiten)

        phi = features(table)
        head = fit_ridge(phi, task.labels[rows], deadline, standardise=False)
        return lambda subset, rows: head(features(read_columns(subset, rows, extractor)))


def _landmarks(size: int) -> int:
    return config.KERNEL_MORE_LANDMARKS if size == FINER else config.KERNEL_LANDMARKS


def squared_distances(x: Floats, y: Floats) -> Floats:
    """float32 (n, m) between the rows of (n, F) and (m, F), by one matrix product."""
    squares = (x**2).sum(axis=1)[:, None] + (y**2).sum(axis=1)
    return np.asarray(np.maximum(squares - 2 * (x @ y.T), 0), np.float32)
