"""NAUC: the contest's score, 2 AUC - 1 averaged over the classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Floats = NDArray[np.floating]


def nauc(labels: Floats, scores: Floats) -> float:
    """Score of shape-(n, C) ``scores`` for 0/1 ``labels`` of the same shape.

    Classes whose labels are all equal are left out, as in the contest; 0 when none remains.
    """
    areas = class_naucs(labels, scores)
    return float(np.nanmean(areas)) if not np.isnan(areas).all() else 0.0


def class_naucs(labels: Floats, scores: Floats) -> Floats:
    """NAUC of each class, float64 (C,); NaN where the labels are all equal."""
    positive = labels > 0.5
    n_positive = positive.sum(axis=0, dtype=np.float64)
    n_negative = len(labels) - n_positive
    ranks = rankdata(scores, axis=0)
    below = (ranks * positive).sum(axis=0) - n_positive * (n_positive + 1) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(2 * below / (n_positive * n_negative) - 1)
