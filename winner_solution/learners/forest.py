"""Extremely randomised trees (Geurts et al. 2006), for small sets of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier

from .. import config
from ..budget import Deadline
from ..data import Extractor, Floats, Subset, Task
from ..features.tables import Columns, count_columns, read_columns
from ..machine import cores
from ..split import Rows
from .base import Predictor, Scores, Step


class Forest:
    """Extra-Trees on ``extractor``, missing values at the median; all labels in one forest."""

    def __init__(self, extractor: Extractor | None = None, row_seconds: float = 0.0) -> None:
        self._extractor = extractor or Columns()
        self._row_seconds = row_seconds
        self.name = f"forest-{self._extractor.name}"

    def steps(self, task: Task) -> Sequence[Step]:
        """One step a number of trees; none for large or sparse tables, where boosting is better."""
        n = len(task.train)
        if task.shape.sparse or not config.TREES_MIN_ROWS <= n <= config.FOREST_MAX_ROWS:
            return []
        columns = count_columns(task, self._extractor)
        tree_seconds = 3e-4 + 5e-8 * n * np.sqrt(columns) * np.log2(n)
        return [
            Step(
                0.05 + trees * tree_seconds,
                closes,
                rows=n,
                size=trees,
                extractor=self._extractor,
                row_seconds=self._row_seconds,
            )
            for trees, closes in config.FOREST_TREES
        ]

    def fit(self, task: Task, step: Step, rows: Rows, deadline: Deadline) -> Predictor:
        """Grow the trees in lots, until all are grown or the time is out."""
        extractor = self._extractor
        table = read_columns(task.train, rows, extractor, deadline)
        known = [column[np.isfinite(column)] for column in table.T]
        median = np.array([np.median(c) if c.size else 0 for c in known], np.float32)
        labels = task.labels[rows] > 0.5
        target = labels if task.multilabel else labels.argmax(axis=1)
        model = ExtraTreesClassifier(
            n_estimators=0,
            min_samples_leaf=config.FOREST_MIN_LEAF,
            max_features=config.FOREST_FEATURES,
            n_jobs=cores(),
            random_state=config.SEED,
            warm_start=True,
        )
        x = _fill(table, median)
        while model.n_estimators < step.size and (deadline.remaining > 0 or not model.n_estimators):
            model.n_estimators = min(model.n_estimators + config.FOREST_LOT, step.size)
            model.fit(x, target)

        classes, multilabel = task.classes, task.multilabel

        def predict(subset: Subset, rows: Rows) -> Scores:
            table = _fill(read_columns(subset, rows, extractor), median)
            p = _probabilities(model, table, classes, multilabel)
            p = np.clip(p, 0.5 / step.size, 1 - 0.5 / step.size)
            return np.asarray(np.log(p / (1 - p) if multilabel else p), np.float32)

        return predict


def _fill(table: Floats, median: Floats) -> Floats:
    filled = np.where(np.isfinite(table), table, median)
    return filled.astype(np.float32)


def _probabilities(model: Any, table: Floats, columns: int, multilabel: bool) -> Floats:
    """(n, C), whatever classes the trees have seen."""
    found = model.predict_proba(table)
    p = np.zeros((len(table), columns), np.float32)
    if not multilabel:
        p[:, model.classes_.astype(int)] = found
        return p
    for column, (classes, part) in enumerate(zip(_listed(model), found, strict=True)):
        if len(classes) == 2:
            p[:, column] = part[:, 1]
        else:
            p[:, column] = float(classes[0])
    return p


def _listed(model: Any) -> Any:
    return model.classes_ if isinstance(model.classes_, list) else [model.classes_]
