"""Bootstrap intervals of NAUC, accuracy and ALC: how far the scores would move with the test set.

The rows of the test set are drawn anew with replacement (Efron 1979), all columns of a row and
all predictions of a run together, so what is common to them stays common. The spread of the
resamples becomes an interval on Fisher's z scale, where a score near 1 has room on one side only;
percentiles alone are too narrow there. Everything is seeded: the same scores give the same
intervals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from autodl.score import Matrix, Point, nauc, scorable_columns, time_transform

LEVEL = 0.95
DEVIATIONS = NormalDist().inv_cdf((1 + LEVEL) / 2)
SEED = 0
MOST, FEWEST = 1000, 100  # resamples; with fewer an interval would be noise
WORK = 400_000_000  # weighed scores, a few seconds of one core
CHUNK = 500_000  # weights at once


@dataclass(frozen=True)
class Interval:
    """Where the score of another test set of this size would mostly lie."""

    low: float
    high: float


def count_resamples(cells: int) -> int:
    """Return how many resamples of so many scores can be afforded; 0 if too few to be of use."""
    affordable = min(MOST, WORK // max(1, cells))
    return affordable if affordable >= FEWEST else 0


def nauc_interval(labels: Matrix, predictions: Matrix) -> Interval | None:
    """Return the interval of the NAUC; None where the test set is too large or too uniform."""
    samples = nauc_samples(labels, predictions, count_resamples(labels.size))
    return _interval(nauc(labels, predictions), samples, _count_evidence(labels))


def mean_interval(values: Matrix) -> Interval | None:
    """Return the interval of the mean of one value in [0, 1] a row, such as whether it is right."""
    chunks = _draw(len(values), count_resamples(len(values)))
    means = np.concatenate([values @ w / len(values) for w in chunks] or [_NONE])
    found = _interval(2 * float(values.mean()) - 1, 2 * means - 1, len(values))
    return None if found is None else Interval((found.low + 1) / 2, (found.high + 1) / 2)


def alc_interval(
    labels: Matrix,
    points: Sequence[Point],
    budget_seconds: float,
    read: Callable[[int], Matrix],
) -> Interval | None:
    """Return the interval of the area under a curve of on-time points.

    ``read`` gives the prediction of an index, shape (n, C); one is held at a time.
    """
    resamples = count_resamples(labels.size * len(points))
    if not points or not resamples:
        return None
    times = time_transform([point.seconds for point in points], budget_seconds)
    widths = np.diff(np.append(times, 1.0))
    scores, whole = np.array([point.nauc for point in points]), float(widths.sum())
    if whole <= 0:
        return None  # the only point is at the very end
    areas = np.zeros(resamples)
    for point, width in zip(points, widths, strict=True):
        areas += width / whole * nauc_samples(labels, read(point.index), resamples)
    found = _interval(float(widths @ scores) / whole, areas, _count_evidence(labels))
    return None if found is None else Interval(found.low * whole, found.high * whole)


_NONE: Matrix = np.empty(0)


def nauc_samples(labels: Matrix, predictions: Matrix, resamples: int) -> Matrix:
    """Return the NAUC of each resample, shape (resamples,); NaN where it is not defined.

    A class that a resample holds only or not at all is left out of its mean, as in scoring.
    """
    columns = scorable_columns(labels)
    samples = [_NONE]
    for weights in _draw(len(labels), resamples):
        total, defined = np.zeros(weights.shape[1]), np.zeros(weights.shape[1])
        for column in columns:
            areas = _weighted_auc(labels[:, column], predictions[:, column], weights)
            total += np.nan_to_num(areas)
            defined += np.isfinite(areas)
        with np.errstate(invalid="ignore"):
            samples.append(2 * total / defined - 1)
    return np.concatenate(samples)


def _weighted_auc(labels: Matrix, scores: Matrix, weights: NDArray[np.float32]) -> Matrix:
    """The area under the ROC curve of one column for each column of weights; ties count half."""
    positive, negative = np.flatnonzero(labels == 1), np.flatnonzero(labels < 1)
    negative = negative[np.argsort(scores[negative])]
    below = np.zeros((len(negative) + 1, weights.shape[1]), np.float32)  # exact up to 2^24
    np.cumsum(weights[negative], axis=0, out=below[1:])
    ordered = scores[negative]
    left = np.searchsorted(ordered, scores[positive], "left")
    right = np.searchsorted(ordered, scores[positive], "right")
    mass = weights[positive]
    pairs = np.einsum("ik,ik->k", mass, below[left] + below[right], dtype=np.float64) / 2
    with np.errstate(invalid="ignore"):
        return np.asarray(pairs / (mass.sum(axis=0, dtype=np.float64) * below[-1]), np.float64)


def _draw(rows: int, resamples: int) -> Iterator[NDArray[np.float32]]:
    """How often each row is in each resample, shape (rows, k), a chunk of resamples at a time."""
    at_once = max(1, CHUNK // max(1, rows))
    for first in range(0, resamples, at_once):
        random = np.random.default_rng((SEED, first))
        count = min(at_once, resamples - first)
        drawn = random.integers(rows, size=(count, rows))
        drawn += np.arange(count)[:, None] * rows
        flat = np.bincount(drawn.ravel(), minlength=count * rows)
        yield np.ascontiguousarray(flat.reshape(count, rows).T, np.float32)


def _count_evidence(labels: Matrix) -> int:
    """How many rows could have been ranked wrongly, each counted for one class only."""
    columns = scorable_columns(labels)
    if len(columns) == 2 and (labels.sum(axis=1) == 1).all():
        columns = columns[:1]  # the other one says the same
    positives = (labels[:, columns] == 1).sum(axis=0)
    return int(np.minimum(positives, len(labels) - positives).sum())


def _interval(value: float, samples: Matrix, evidence: int) -> Interval | None:
    """The interval of a value in [-1, 1]; None where too few resamples define it.

    A perfect value never varies. Its interval reaches down to where, of ``evidence`` chances to
    err, none would be taken with a probability of 2.5 % (Clopper and Pearson 1934).
    """
    defined = samples[np.isfinite(samples)]
    if len(defined) < FEWEST:
        return None
    deviation = float(defined.std(ddof=1))
    if abs(value) >= 1 - 1e-12:
        worst = 2 * ((1 - LEVEL) / 2) ** (1 / max(1, evidence)) - 1
        return Interval(worst, 1.0) if value > 0 else Interval(-1.0, -worst)
    reach = DEVIATIONS * deviation / (1 - value**2)
    middle = np.arctanh(value)
    return Interval(float(np.tanh(middle - reach)), float(np.tanh(middle + reach)))
