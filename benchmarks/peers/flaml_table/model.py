"""FLAML on tables, used any-time as it best can: budgets that double, each starting from the last.

Source: Wang et al. 2021 (MLSys); https://microsoft.github.io/FLAML. Needs ``make peers``.
"""

from __future__ import annotations

import os
import time

import numpy as np
import pandas as pd
from flaml import AutoML

FIRST_SECONDS = 1.0
RESERVE_SECONDS = 3.0
THREADS = len(os.sched_getaffinity(0))


class Model:
    """Tables with one label only; NotImplementedError for anything else."""

    def __init__(self, metadata):
        steps, rows, columns, _ = metadata.get_tensor_shape()
        if metadata.is_sparse() or steps != 1 or min(rows, columns) != 1 or columns <= 0:
            raise NotImplementedError("FLAML takes dense tables")
        self.done_training = False
        self.classes = metadata.get_output_size()
        self.seconds = FIRST_SECONDS
        self.best = None
        self.start = {}
        self.table = None

    def train(self, dataset, remaining_time_budget=None):
        if self.table is None:
            self.table = as_frame(dataset)
            labels = np.stack([y for _, y in dataset])
            if (labels.sum(axis=1) != 1).any():
                raise NotImplementedError("FLAML takes one label")
            self.target = labels.argmax(axis=1)
        left = (remaining_time_budget or 1200.0) - RESERVE_SECONDS
        seconds = min(self.seconds, left)
        began = time.monotonic()
        automl = AutoML()
        automl.fit(
            self.table,
            self.target,
            task="classification",
            metric="roc_auc" if self.classes == 2 else "roc_auc_ovr",
            time_budget=max(seconds, 0.5),
            estimator_list=["lgbm", "rf", "extra_tree", "lrl1"],
            n_jobs=THREADS,
            starting_points=self.start,
            seed=0,
            verbose=0,
        )
        if automl.model is not None:
            self.best, self.start = automl, automl.best_config_per_estimator
        self.seconds *= 2
        spent = time.monotonic() - began
        self.done_training = left - spent < 2 * FIRST_SECONDS

    def test(self, dataset, remaining_time_budget=None):
        if self.best is None:
            return np.full((len(dataset), self.classes), 0.5)
        found = self.best.predict_proba(as_frame(dataset))
        scores = np.zeros((len(dataset), self.classes))
        scores[:, np.asarray(self.best.classes_, int)] = found
        return scores


def as_frame(dataset):
    """What FLAML fills missing values in."""
    return pd.DataFrame(np.stack([x.ravel() for x, _ in dataset])).add_prefix("column")
