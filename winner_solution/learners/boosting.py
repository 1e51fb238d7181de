"""Gradient boosting on tables (LightGBM), with more trees at each step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .. import config
from ..budget import Deadline, OutOfTimeError
from ..data import Floats, Subset, Task
from ..machine import cores
from ..split import Rows
from .base import Predictor, Scores, Step

_SETTINGS = {
    "feature_fraction": 0.5,
    "bagging_fraction": 0.9,
    "bagging_freq": 1,
    "max_bin": 127,
    "verbosity": -1,
    "seed": config.SEED,
    "deterministic": True,
    "force_row_wise": True,
}


class Boosting:
    """LightGBM on the raw table: missing values and scales need no care.

    ``name`` is one of ``config.BOOSTING``, which says what its steps are.
    """

    def __init__(self, name: str = "boosting") -> None:
        self.name = name
        self._plans = {plan.rounds: plan for plan in config.BOOSTING[name]}

    def steps(self, task: Task) -> list[Step]:
        """One step a number of trees."""
        n, columns = len(task.train), max(task.shape.cols * task.shape.rows, 1)
        if n < config.TREES_MIN_ROWS or task.classes > config.BOOSTING_MAX_CLASSES:
            return []
        trees = 1 if task.classes == 2 and not task.multilabel else task.classes
        work = 2e-9 * n * min(columns, 3000) + 4e-4 + 1e-7 * n
        return [
            Step(
                0.05 + rounds * trees * work * (plan.leaves / 31) ** 0.5,
                plan.closes,
                rows=n,
                size=rounds,
            )
            for rounds, plan in self._plans.items()
            if n >= plan.least_rows
        ]

    def fit(self, task: Task, step: Step, rows: Rows, deadline: Deadline) -> Predictor:
        """Train ``step.size`` rounds, fewer at the deadline."""
        x = _table(task.train, rows)
        plan = self._plans[step.size]
        settings = dict(_SETTINGS, learning_rate=plan.learning_rate, num_leaves=plan.leaves)
        settings["lambda_l2"] = plan.l2
        settings["num_threads"] = cores() if x.shape[0] * x.shape[1] > 1_000_000 else 1
        settings["min_data_in_leaf"] = int(np.clip(len(rows) // 50, 1, 10))
        names = list(task.shape.categories) if plan.named else []

        def stop(environment: lgb.callback.CallbackEnv) -> None:
            if deadline.remaining < 0:
                if environment.iteration < 5:
                    raise OutOfTimeError
                raise lgb.callback.EarlyStopException(environment.iteration, [])

        def train(y: NDArray[np.generic], **more: object) -> Any:
            data = lgb.Dataset(x, y, params=settings, categorical_feature=names)
            return lgb.train({**settings, **more}, data, step.size, callbacks=[stop])

        labels = task.labels[rows]
        if task.multilabel or task.classes <= 2:
            columns = range(task.classes) if task.multilabel else [task.classes - 1]
            twins = task.classes == 2 and not task.multilabel
            return _binary([_train_or_none(train, labels[:, c] > 0.5) for c in columns], twins)
        booster = train(labels.argmax(axis=1), objective="multiclass", num_class=task.classes)
        return lambda subset, rows: _raw(booster, subset, rows)


def _train_or_none(train: Callable[..., Any], y: NDArray[np.bool_]) -> Any | None:
    """A booster, or None where there is nothing to tell apart."""
    return None if y.all() or not y.any() else train(y.astype(np.float32), objective="binary")


def _binary(boosters: list[Any | None], twins: bool) -> Predictor:
    """One booster a column; of ``twins`` the second one's alone."""

    def predict(subset: Subset, rows: Rows) -> Scores:
        zero = np.zeros(len(rows), np.float32)
        columns: list[Any] = [zero if b is None else _raw(b, subset, rows) for b in boosters]
        if twins:
            columns = [-columns[0] / 2, columns[0] / 2]
        return np.stack(columns, axis=1).astype(np.float32)

    return predict


def _raw(booster: Any, subset: Subset, rows: Rows) -> Scores:
    return np.asarray(booster.predict(_table(subset, rows), raw_score=True), np.float32)


def _table(subset: Subset, rows: Rows) -> Floats | sparse.csr_matrix:
    return subset.sparse_table(rows) if subset.shape.sparse else subset.table(rows)
