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
    features: sparse.csr_matrix, labels: Floats, exclusive: bool, deadline: Deadline
) -> MarginHead:
    """By coordinate descent. Raises OutOfTimeError when the deadline passes between two classes."""
    classes = labels.shape[1]
    weights = np.zeros((features.shape[1], classes), np.float32)
    bias = np.full(classes, -2, np.float32)
    model = LinearSVC(C=config.SVM_C, tol=1e-3, max_iter=300, dual=True, random_state=config.SEED)
    twins = exclusive and classes == 2
    for column in [1] if twins else range(classes):
        deadline.check()
        positive = labels[:, column] > 0.5
        if positive.any() and not positive.all():
            model.fit(features, positive)
            weights[:, column], bias[column] = model.coef_[0], model.intercept_[0]
    if twins:
        weights[:, 0], bias[0] = -weights[:, 1], -bias[1]
    return MarginHead(weights, bias)
