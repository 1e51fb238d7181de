"""Kernel ridge regression: smooth boundaries, where trees draw steps.

Nyström features of a Gaussian kernel (Williams, Seeger 2000) on the columns of ``TableEncoder``,
then ridge regression with its penalty by leave-one-out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import eigh
from scipy.spatial.distance import cdist

from .. import config
from ..budget import Deadline
from ..data import Extractor, Floats, Task
from ..features.tables import Columns, TableEncoder, count_columns, read_columns
from ..heads import fit_ridge
from ..split import Rows, sample_rows
from .base import Predictor, Step

NUMBERS, CATEGORIES = 1, 2


class Kernel:
    """First on numbers alone, then with categories; ``size`` tells which."""

    def __init__(self, extractor: Extractor | None = None, row_seconds: float = 0.0) -> None:
        self._extractor = extractor or Columns()
        self._row_seconds = row_seconds
        self.name = f"kernel-{self._extractor.name}"

    def steps(self, task: Task) -> Sequence[Step]:
        """One step a choice of columns; none for sparse tables."""
        if task.shape.sparse:
            return []
        n = min(len(task.train), config.RIDGE_MAX_ROWS)
        landmarks = min(n, config.KERNEL_LANDMARKS)
        columns = count_columns(task, self._extractor)
        seconds = (
            0.05
            + self._row_seconds * n
            + 5e-10 * n * landmarks * (columns + landmarks)
            + 1e-9 * landmarks**3
            + 1.5e-7 * n * columns  # every value is sorted
        )
        return [
            Step(seconds, closes, rows=n, size=size)
            for size, closes in ((NUMBERS, 0.15), (CATEGORIES, 0.05))
            if size == NUMBERS or isinstance(self._extractor, Columns)
        ]

    def fit(self, task: Task, step: Step, rows: Rows, deadline: Deadline) -> Predictor:
        """Closed form."""
        extractor = self._extractor
        table = read_columns(task.train, rows, extractor, deadline)
        named = task.shape.categories if step.size == CATEGORIES else ()
        encode = TableEncoder.of(table, named, guess=step.size == CATEGORIES)
        x = encode(table)
        mean, scale = x.mean(axis=0), x.std(axis=0) + np.float32(1e-6)

        def standardise(table: Floats) -> Floats:
            return np.asarray(np.clip((encode(table) - mean) / scale, -5, 5), np.float32)

        chosen = sample_rows(task.labels, rows, config.KERNEL_LANDMARKS)
        landmarks = standardise(read_columns(task.train, chosen, extractor))
        distances = cdist(landmarks, landmarks, "sqeuclidean")
        typical = float(np.median(distances[distances > 0])) if distances.any() else 1.0
        gamma = 1 / (typical * config.KERNEL_WIDTH**2)
        deadline.check()
        values, vectors = eigh(np.exp(-gamma * distances), driver="evd")
        kept = values > 1e-6 * values[-1]
        whiten = vectors[:, kept] / np.sqrt(values[kept])

        def features(table: Floats) -> Floats:
            z = standardise(table)
            return np.asarray(np.exp(-gamma * cdist(z, landmarks, "sqeuclidean")) @ whiten)

        phi = features(table)
        head = fit_ridge(phi, task.labels[rows], deadline, standardise=False)
        return lambda subset, rows: head(features(read_columns(subset, rows, extractor)))
