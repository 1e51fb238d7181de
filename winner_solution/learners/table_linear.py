"""Linear models of dense tables: ridge regression at once, logistic regression then."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .. import config
from ..budget import Deadline
from ..data import Floats, Subset, Task
from ..features.tables import TableEncoder
from ..heads import LinearHead, fit_ridge
from ..logistic import LogisticHead, choose_penalty, fit_logistic
from ..split import Rows
from .base import Predictor, Scores, Step

RIDGE, LOGISTIC = 1, 2


class TableLinear:
    """Numbers standardised, categories one-hot, then a linear head."""

    name = "table-linear"

    def steps(self, task: Task) -> Sequence[Step]:
        """Ridge regression, and logistic regression where the table is not too wide for it."""
        if task.shape.sparse:
            return []
        n = len(task.train)
        few = min(n, config.RIDGE_MAX_ROWS)
        columns = task.shape.rows * task.shape.cols * task.shape.channels
        wide = min(columns, config.RIDGE_MAX_FEATURES)
        seconds = 0.02 + 4e-10 * few * wide * min(few, wide) + 2e-5 * few
        steps = [Step(seconds, 0.5, rows=few, size=RIDGE)]
        work = n * columns * task.classes
        if work <= config.LOGISTIC_MAX_WORK:
            fits = 1 + len(config.LOGISTIC_INVERSE_PENALTIES)
            seconds = 0.05 + fits * (4e-8 * work + 0.01 * (task.classes if task.multilabel else 1))
            steps.append(Step(seconds, 0.1, rows=n, size=LOGISTIC))
        return steps

    def fit(self, task: Task, step: Step, rows: Rows, deadline: Deadline) -> Predictor:
        """Learn the encoding and the head from ``rows``."""
        table = task.train.table(rows)
        encode = TableEncoder.of(table, task.shape.categories)
        x, labels = encode(table), task.labels[rows]
        head: LinearHead | LogisticHead
        if step.size == RIDGE:
            head = fit_ridge(x, labels, deadline)
            return lambda subset, rows: head(encode(subset.table(rows)))
        mean, scale = x.mean(axis=0), x.std(axis=0) + np.float32(1e-6)

        def standardise(x: Floats) -> Floats:
            return np.asarray(np.clip((x - mean) / scale, -8, 8), np.float32)

        z, exclusive = standardise(x), not task.multilabel
        penalty = choose_penalty(z, labels, exclusive=exclusive, deadline=deadline)
        head = fit_logistic(
            z, labels, exclusive=exclusive, inverse_penalty=penalty, deadline=deadline
        )

        def predict(subset: Subset, rows: Rows) -> Scores:
            return head(standardise(encode(subset.table(rows))))

        return predict
