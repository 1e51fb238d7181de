"""Closed-form linear heads on features: ridge regression with its penalty by leave-one-out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from . import config
from .budget import Deadline
from .machine import free_memory
from .metric import nauc

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class LinearHead:
    """Scores = (x - mean) / scale @ weights + bias, after an optional random projection."""

    mean: Floats  # (F,)
    scale: Floats  # (F,)
    projection: Floats | None  # (F, P)
    weights: Floats  # (P, C)
    bias: Floats  # (C,)
    limit: float  # of a standardised value

    def __call__(self, features: Floats) -> Floats:
        """float32 (n, C)."""
        z = _standardise(features, self.mean, self.scale, self.limit, self.projection)
        return np.asarray(z @ self.weights + self.bias, np.float32)


def fit_ridge(
    features: Floats,
    labels: Floats,
    deadline: Deadline | None = None,
    standardise: bool = True,
) -> LinearHead:
    """One ridge regression a class, all with the penalty of best leave-one-out NAUC.

    Without ``standardise`` the features keep their relative scales.

    Uses the smaller of the Gram and the covariance matrix, so it costs min(n, F)^3. Raises
    OutOfTimeError when the deadline has passed before the costly part.
    """
    mean = features.mean(axis=0)
    scale = features.std(axis=0)
    limit = config.RIDGE_LIMIT
    if standardise:
        scale = np.where(scale > 1e-6 * max(float(scale.max(initial=0.0)), 1e-30), scale, np.inf)
    else:
        total = float(np.sqrt((scale**2).sum() / config.RIDGE_UNSCALED_VARIANCE))
        scale, limit = np.full_like(scale, max(total, 1e-30)), np.inf
    projection = None
    if features.shape[1] > config.RIDGE_MAX_FEATURES and len(features) > config.RIDGE_MAX_FEATURES:
        rng = np.random.default_rng(config.SEED)
        size = (features.shape[1], config.RIDGE_MAX_FEATURES)
        projection = rng.choice(np.array([-1, 1], np.float32), size)
        projection /= np.float32(np.sqrt(size[1]))
    x = _standardise(features, mean, scale, limit, projection)
    centre, share = x.mean(axis=0), labels.mean(axis=0)  # clipping has moved the centre
    x -= centre
    y = labels - share
    if deadline is not None:
        deadline.check()
    weights = _solve_dual(x, y, labels) if len(x) <= x.shape[1] else _solve_primal(x, y, labels)
    bias = np.asarray(share - centre @ weights, np.float32)
    return LinearHead(mean, scale, projection, weights, bias, limit)


def _solve_dual(x: Floats, y: Floats, labels: Floats) -> Floats:
    """Weights (F, C) by the Gram matrix, for fewer rows than features."""
    values, vectors = eigh(x @ x.T, check_finite=False, driver="evd")
    values = np.maximum(values, 0)
    rotated = vectors.T @ y
    best, best_score = np.zeros_like(y), -np.inf
    for alpha in config.RIDGE_ALPHAS:
        inverse = 1 / (values + alpha)
        dual = vectors @ (inverse[:, None] * rotated)
        # The free bias takes the constant direction, whose eigenvalue is 0, out of the hat matrix.
        diagonal = np.maximum((vectors**2) @ inverse - 1 / (alpha * len(x)), 1e-12)
        score = nauc(labels, y - dual / diagonal[:, None])  # the leave-one-out predictions
        if score > best_score:
            best, best_score = dual, score
    return np.asarray(x.T @ best, np.float32)


def _solve_primal(x: Floats, y: Floats, labels: Floats) -> Floats:
    """Weights (F, C) by the covariance matrix, for more rows than features."""
    values, vectors = eigh(x.T @ x, check_finite=False, driver="evd")
    values = np.maximum(values, 0)
    rotated, projected = x @ vectors, vectors.T @ (x.T @ y)
    squares = rotated**2
    best, best_score = np.zeros_like(projected), -np.inf
    for alpha in config.RIDGE_ALPHAS:
        inverse = 1 / (values + alpha)
        coefficients = inverse[:, None] * projected
        leverage = np.minimum(squares @ inverse + 1 / len(x), 1 - 1e-6)
        fitted = rotated @ coefficients
        score = nauc(labels, y - (y - fitted) / (1 - leverage)[:, None])
        if score > best_score:
            best, best_score = coefficients, score
    return np.asarray(vectors @ best, np.float32)


def _standardise(
    x: Floats, mean: Floats, scale: Floats, limit: float, projection: Floats | None
) -> Floats:
    z = np.asarray(x - mean, np.float32)  # the one copy; features may be large
    z /= scale.astype(np.float32)
    np.clip(z, -limit, limit, out=z)
    return z if projection is None else np.asarray(z @ projection, np.float32)


def affordable_rows(columns: int) -> int:
    """How many rows of features the memory has room for while a head is fitted."""
    return max(1, int(config.RIDGE_MEMORY_SHARE * free_memory() / (4 * max(columns, 1))))
