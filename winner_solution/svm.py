"""Linear support vector machines on sparse features, one a class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.svm import LinearSVC

from . import config
from .budget import Deadline

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class MarginHead:
    """Margins, one column a class; a class that was never seen has the lowest of all."""

    weights: Floats  # (F, C)
    bias: Floats  # (C,)

    def __call__(self, features: sparse.csr_matrix) -> Floats:
        """float32 (n, C)."""
        return np.asarray(features @ self.weights + self.bias, np.float32)


def fit_svm(
    features: sparse.csr_matrix,
    labels: Floats,
    exclusive: bool,
    deadline: Deadline,
    ratios: bool = False,
) -> MarginHead:
    """By coordinate descent. Raises OutOfTimeError when the deadline passes between two classes.

    With ``ratios`` each column is first scaled by how much likelier it is in a class than outside
    (naive Bayes log-count ratios: Wang, Manning 2012); features must not be negative.
    """
    classes = labels.shape[1]
    weights = np.zeros((features.shape[1], classes), np.float32)
    bias = np.full(classes, -2, np.float32)
    c = config.SVM_RATIO_C if ratios else config.SVM_C
    model = LinearSVC(C=c, tol=1e-3, max_iter=300, dual=True, random_state=config.SEED)
    twins = exclusive and classes == 2
    for column in [1] if twins else range(classes):
        deadline.check()
        positive = labels[:, column] > 0.5
        if positive.any() and not positive.all():
            if ratios:
                ratio = _log_ratio(features, positive)
                model.fit(_scaled(features, ratio), positive)
                weights[:, column] = model.coef_[0] * ratio
            else:
                model.fit(features, positive)
                weights[:, column] = model.coef_[0]
            bias[column] = model.intercept_[0]
    if twins:
        weights[:, 0], bias[0] = -weights[:, 1], -bias[1]
    return MarginHead(weights, bias)


def _log_ratio(features: sparse.csr_matrix, positive: NDArray[np.bool_]) -> Floats:
    """Of each column, its share inside over its share outside; on average 1 in size."""
    inside = features.T @ positive.astype(np.float32) + config.SVM_RATIO_PRIOR
    outside = features.T @ (~positive).astype(np.float32) + config.SVM_RATIO_PRIOR
    ratio = np.log(inside / inside.sum()) - np.log(outside / outside.sum())
    return np.asarray(ratio / max(float(np.abs(ratio).mean()), 1e-9), np.float32)


def _scaled(features: sparse.csr_matrix, scale: Floats) -> sparse.csr_matrix:
    parts = (features.data * scale[features.indices], features.indices, features.indptr)
    return sparse.csr_matrix(parts, shape=features.shape)
