"""AutoGluon on tables, used any-time as it best can: fits with time limits that double.

A fit starts anew, for AutoGluon cannot go on with one; what it said last stands until a longer fit
is done. Long fits are bagged and stacked, as its authors advise.
Source: Erickson et al. 2020 (arXiv 2003.06505); https://auto.gluon.ai. Needs ``make peers``, which
leaves out the models that need PyTorch.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time

import numpy as np
import pandas as pd
from autogluon.tabular import TabularPredictor

FIRST_SECONDS = 1.0
STACKED_SECONDS = 60.0  # fits of at least this are stacked
RESERVE_SECONDS = 5.0  # fits end late, and predictions of a stack take their time
LABEL = "label"
THREADS = len(os.sched_getaffinity(0))


class Model:
    """Tables with one label only; NotImplementedError for anything else."""

    def __init__(self, metadata):
        steps, rows, columns, _ = metadata.get_tensor_shape()
        if metadata.is_sparse() or steps != 1 or min(rows, columns) != 1 or columns <= 0:
            raise NotImplementedError("AutoGluon takes dense tables")
        self.done_training = False
        self.classes = metadata.get_output_size()
        self.seconds = FIRST_SECONDS
        self.best = None
        self.table = None
        self.scratch = tempfile.TemporaryDirectory()  # models are written as they are learnt

    def train(self, dataset, remaining_time_budget=None):
        if self.table is None:
            labels = np.stack([y for _, y in dataset])
            if (labels.sum(axis=1) != 1).any():
                raise NotImplementedError("AutoGluon takes one label")
            self.table = as_frame(dataset).assign(**{LABEL: labels.argmax(axis=1)})
        began = time.monotonic()
        left = (remaining_time_budget or 1200.0) - RESERVE_SECONDS
        # The last fit takes all that is left rather than a part which another could not follow.
        seconds = left if left < 3 * self.seconds else self.seconds
        predictor = TabularPredictor(
            LABEL,
            problem_type="binary" if self.classes == 2 else "multiclass",
            eval_metric="roc_auc" if self.classes == 2 else "roc_auc_ovr",
            path=tempfile.mkdtemp(dir=self.scratch.name),
            verbosity=0,
        )
        stacked = {"presets": "best_quality", "dynamic_stacking": False}
        try:
            predictor.fit(
                self.table,
                time_limit=max(seconds, 1.0),
                num_cpus=THREADS,
                **(stacked if seconds >= STACKED_SECONDS else {"presets": "medium_quality"}),
            )
            self.best = predictor
        except (RuntimeError, AssertionError, ValueError) as error:  # no model in that time
            print(f"AutoGluon in {seconds:.0f} s: {error}", file=sys.stderr)
        self.seconds *= 2
        self.done_training = left - (time.monotonic() - began) < 2 * FIRST_SECONDS

    def test(self, dataset, remaining_time_budget=None):
        if self.best is None:
            return np.full((len(dataset), self.classes), 0.5)
        found = self.best.predict_proba(as_frame(dataset))
        scores = np.zeros((len(dataset), self.classes))
        scores[:, np.asarray(found.columns, int)] = found.to_numpy()
        return scores


def as_frame(dataset):
    """What AutoGluon fills missing values in."""
    return pd.DataFrame(np.stack([x.ravel() for x, _ in dataset])).add_prefix("column")
