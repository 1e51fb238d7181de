"""Logistic regression heads, on dense or sparse features, with unseen classes and one class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from . import config
from .budget import Deadline
from .metric import nauc
from .split import assign_parts

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class LogisticHead:
    """Log-odds, one column a class; a class that was never seen has the lowest of all."""

    weights: Floats  # (F, C)
    bias: Floats  # (C,)

    def __call__(self, features: Floats | sparse.csr_matrix) -> Floats:
        """float32 (n, C)."""
        return np.asarray(features @ self.weights + self.bias, np.float32)


def choose_penalty(
    features: Floats, labels: Floats, *, exclusive: bool, deadline: Deadline
) -> float:
    """Of ``config.LOGISTIC_INVERSE_PENALTIES`` the best by NAUC on parts that were left out."""
    part = assign_parts(labels, config.LOGISTIC_PARTS, config.SEED)
    parts = range(config.LOGISTIC_PARTS if len(labels) <= config.LOGISTIC_FEW_ROWS else 1)
    scores = []
    for inverse_penalty in config.LOGISTIC_INVERSE_PENALTIES:
        found = []
        for number in parts:
            out = part == number
            head = fit_logistic(
                features[~out],
                labels[~out],
                exclusive=exclusive,
                inverse_penalty=inverse_penalty,
                deadline=deadline,
            )
            found.append(nauc(labels[out], head(features[out])))
        scores.append(float(np.mean(found)))
    return config.LOGISTIC_INVERSE_PENALTIES[int(np.argmax(scores))]


def fit_logistic(
    features: Floats | sparse.csr_matrix,
    labels: Floats,
    *,
    exclusive: bool,
    inverse_penalty: float,
    deadline: Deadline,
    iterations: int = 60,
) -> LogisticHead:
    """L2-penalised: one softmax over exclusive classes, else one model a class.

    Raises OutOfTimeError when the deadline passes between two classes.
    """
    weights = np.zeros((features.shape[1], labels.shape[1]), np.float32)
    bias = np.full(labels.shape[1], -10, np.float32)
    model = LogisticRegression(C=inverse_penalty, max_iter=iterations, tol=1e-3)
    if exclusive and labels.shape[1] > 1:
        seen = np.flatnonzero(labels.any(axis=0))
        if len(seen) > 1:
            model.fit(features, labels.argmax(axis=1))
            if len(seen) == 2:  # scikit-learn gives the log-odds of the second class alone
                weights[:, seen] = model.coef_.T * np.array([-0.5, 0.5])
                bias[seen] = model.intercept_ * np.array([-0.5, 0.5])
            else:
                weights[:, seen], bias[seen] = model.coef_.T, model.intercept_
        return LogisticHead(weights, bias)
    for column in range(labels.shape[1]):
        deadline.check()
        positive = labels[:, column] > 0.5
        if positive.any() and not positive.all():
            model.fit(features, positive)
            weights[:, column], bias[column] = model.coef_[0], model.intercept_[0]
    return LogisticHead(weights, bias)
