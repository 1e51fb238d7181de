"""Which rows learn and which validate: decided once, the same for all learners."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import config

Rows = NDArray[np.intp]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Fold:
    """Rows to learn from and rows to validate on."""

    learn: Rows
    validate: Rows


def make_folds(labels: Floats, seed: int = config.SEED) -> list[Fold]:
    """Stratified folds of small sets, one hold-out of larger ones; ``labels`` is (n, C).

    Every class with two examples or more has one to learn from in every fold. A set too small to
    spare a row validates on what it learns from.
    """
    n = len(labels)
    if n < 4:
        return [Fold(np.arange(n), np.arange(n))]
    if n <= config.FOLDS_MAX_ROWS:
        part = assign_parts(labels, min(config.FOLDS, n // 2), seed)
        numbers = np.unique(part)
        if len(numbers) < 2:  # a single example of every class
            return [Fold(np.arange(n), np.arange(n))]
        return [Fold(np.flatnonzero(part != k), np.flatnonzero(part == k)) for k in numbers]
    most = max(config.HOLDOUT_MAX_ROWS, config.HOLDOUT_ROWS_PER_CLASS * labels.shape[1])
    size = min(int(config.HOLDOUT_SHARE * n), most)
    parts = max(2, round(n / size))
    part = assign_parts(labels, parts, seed)
    return [Fold(np.flatnonzero(part != 0), np.flatnonzero(part == 0))]


def assign_parts(labels: Floats, parts: int, seed: int) -> NDArray[np.intp]:
    """Part 0..parts-1 of each row, each class spread evenly over the parts, rare classes first.

    A class with a single row goes to the last part, so that a hold-out (part 0) never takes it.
    """
    rng = np.random.default_rng(seed)
    part = np.full(len(labels), -1, np.intp)
    positive = labels > 0.5
    counts = positive.sum(axis=0)
    for column in np.argsort(counts, kind="stable"):
        rows = np.flatnonzero(positive[:, column] & (part < 0))
        if counts[column] == 1:
            part[rows] = parts - 1
        else:
            _deal(part, rows, parts, rng)
    _deal(part, np.flatnonzero(part < 0), parts, rng)
    return part


def sample_rows(labels: Floats, rows: Rows, size: int, seed: int = config.SEED) -> Rows:
    """At most ``size`` of ``rows``, with every class in it while there is room."""
    if len(rows) <= size:
        return rows
    rng = np.random.default_rng(seed)
    order = rng.permutation(rows)
    positive = labels[order] > 0.5
    rank = np.where(positive, positive.cumsum(axis=0), len(rows) + 1).min(axis=1)
    rare_first = np.argsort(np.minimum(rank, 2), kind="stable")  # one of each class, then at random
    return np.sort(order[rare_first[:size]])


def _deal(part: NDArray[np.intp], rows: Rows, parts: int, rng: np.random.Generator) -> None:
    start = int(rng.integers(parts))
    part[rng.permutation(rows)] = (start + np.arange(len(rows))) % parts
