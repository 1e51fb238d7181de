"""NAUC: the contest's score, 2 AUC - 1 averaged over the classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


def nauc(labels: Floats, scores: Floats) -> float:
    """Score of shape-(n, C) ``scores`` for 0/1 ``labels`` of the same shape.

    Classes whose labels are all equal are left out, as in the contest; 0 when none remains.
    """
    areas = class_naucs(labels, scores)
    return float(np.nanmean(areas)) if not np.isnan(areas).all() else 0.0


def class_naucs(labels: Floats, scores: Floats) -> Floats:
    """NAUC of each class, float64 (C,); NaN where the labels are all equal.

    Counts the negatives below and not above each positive by binary search, ties as half: with
    few positives a class that is several times faster than ranking the column.
    """
    positive = np.ascontiguousarray(labels.T > 0.5)
    columns = np.ascontiguousarray(scores.T)
    areas = np.full(len(columns), np.nan)
    for number, (is_positive, column) in enumerate(zip(positive, columns, strict=True)):
        ours, others = np.sort(column[is_positive]), np.sort(column[~is_positive])
        if len(ours) and len(others):
            below = np.searchsorted(others, ours, "left").sum()
            not_above = np.searchsorted(others, ours, "right").sum()
            areas[number] = (below + not_above) / (len(ours) * len(others)) - 1
    return areas
