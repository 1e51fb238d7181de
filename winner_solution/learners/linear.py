"""Ridge regression on features: the first answer of every domain, and a good one on many."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .. import config
from ..budget import Deadline, OutOfTimeError
from ..data import Extractor, Subset, Task
from ..heads import affordable_rows, fit_ridge
from ..split import Rows, sample_rows
from .base import Predictor, Scores, Step


class Linear:
    """Features that need no training, then ridge regression on them.

    ``row_seconds``: of the extractor, for one row. ``sizes``: how many rows each step learns from.
    """

    def __init__(
        self,
        extractor: Extractor,
        row_seconds: float,
        sizes: Sequence[int] = (config.RIDGE_MAX_ROWS,),
        closes: float = 0.5,
    ) -> None:
        self.name = f"linear-{extractor.name}"
        self._extractor = extractor
        self._row_seconds = row_seconds
        self._sizes = sizes
        self._closes = closes

    def steps(self, task: Task) -> list[Step]:
        """One step for each size that is much smaller than the dataset, and one for all of it."""
        n = len(task.train)
        largest = min(max(self._sizes), n)
        sizes = [size for size in self._sizes if 2 * size <= largest] + [largest]
        return [
            Step(
                2e-10 * size**2.5 + 0.02,
                self._closes,
                rows=size,
                extractor=self._extractor,
                row_seconds=self._row_seconds,
            )
            for size in sizes
        ]

    def fit(self, task: Task, step: Step, rows: Rows, deadline: Deadline) -> Predictor:
        """Closed form, on the rows whose features are there at the deadline."""
        extractor = self._extractor
        known = task.train.ready(extractor, rows, deadline)
        if len(known) < min(len(rows), config.RIDGE_MIN_ROWS):
            raise OutOfTimeError
        columns = task.train.features(extractor, known[:1]).shape[1]
        known = sample_rows(task.labels, known, affordable_rows(columns))
        head = fit_ridge(task.train.features(extractor, known), task.labels[known])

        def predict(subset: Subset, rows: Rows) -> Scores:
            return np.asarray(head(subset.features(extractor, rows)), np.float32)

        return predict
