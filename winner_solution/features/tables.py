"""Tables for linear models: categories one-hot, numbers standardised, missing values marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .. import config
from ..budget import Deadline
from ..data import Extractor, Subset, Task
from ..split import Rows

Floats = NDArray[np.float32]


class Columns:
    """A dense table as it is, missing values NaN: the extractor of learners made for tables."""

    name = "columns"

    def __call__(self, subset: Subset, rows: Rows) -> Floats:
        """float32 (n, columns)."""
        return subset.table(rows)


def read_columns(
    subset: Subset, rows: Rows, extractor: Extractor, deadline: Deadline | None = None
) -> Floats:
    """float32 (n, F) of ``extractor``; a table itself is not kept twice.

    Raises OutOfTimeError when features are missing at the deadline.
    """
    if isinstance(extractor, Columns):
        return extractor(subset, rows)
    return subset.features(extractor, rows, deadline)


def count_columns(task: Task, extractor: Extractor) -> int:
    """Number of features; looks at one example where it is not known."""
    if isinstance(extractor, Columns):
        return task.shape.rows * task.shape.cols * task.shape.channels
    return int(task.train.features(extractor, task.train.rows[:1]).shape[1])


@dataclass(frozen=True)
class TableEncoder:
    """Learnt from some rows of a table; turns any rows into float32 (n, F)."""

    numbers: NDArray[np.intp]  # columns
    median: Floats  # of each number column
    signed_log: NDArray[np.bool_]  # of each number column: it is skewed
    categories: list[tuple[int, Floats]]  # (column, its values)
    missing: NDArray[np.intp]  # columns in which a missing value is worth a feature

    @classmethod
    def of(cls, table: Floats, named: Sequence[int] = (), guess: bool = True) -> TableEncoder:
        """Look at rows (n, columns). The numbers of ``named`` columns stand for names.

        With ``guess``, other columns of few whole numbers are taken for both.
        """
        known = ~np.isnan(table)
        columns = [column[k] for column, k in zip(table.T, known.T, strict=True)]
        values = [np.unique(column, return_counts=True) for column in columns]
        varied = np.flatnonzero([found.size > 1 for found, _ in values])
        chosen = []
        for column in varied[: config.CATEGORY_MAX_COLUMNS].tolist():
            found, counts = values[column]
            few = found.size <= config.CATEGORY_MAX_VALUES
            whole = guess and few and np.all(found == np.round(found))
            if column in named:
                found = found[np.sort(np.argsort(-counts)[: config.NAMES_MAX])]
            if found.size > 2 and (column in named or whole):
                chosen.append((column, found))
        names = {column for column, _ in chosen} & set(named)
        numbers = np.array([c for c in varied.tolist() if c not in names], np.intp)
        median = np.array([np.median(columns[c]) for c in numbers], np.float32)
        with np.errstate(all="ignore"):
            filled = np.where(known[:, numbers], table[:, numbers], 0)
            spread = filled.std(axis=0)
            largest = np.abs(filled - median).max(axis=0, initial=0)
        share = 1 - known.mean(axis=0)
        missing = np.flatnonzero((share > 0.002) & (share < 1))
        return cls(numbers, median, largest > 12 * spread, chosen, missing)

    def __call__(self, table: Floats) -> Floats:
        """float32 (n, F), finite."""
        with np.errstate(all="ignore"):
            x = table[:, self.numbers] - self.median
            x = np.where(self.signed_log, np.sign(x) * np.log1p(np.abs(x)), x)
        parts = [np.nan_to_num(x, posinf=0, neginf=0)]
        parts += [table[:, column, None] == values for column, values in self.categories]
        parts.append(np.isnan(table[:, self.missing]))
        return np.concatenate(parts, axis=1).astype(np.float32)


@dataclass(frozen=True)
class Bins:
    """Piecewise linear encoding (Gorishniy et al. 2022, arXiv 2203.05556) of number columns.

    Each value becomes a place between -.5 and .5 in each of its column's bins, which hold equally
    many of the values that it was made from.
    """

    columns: list[tuple[int, Floats]]  # (column, edges of its bins, at least three)

    @classmethod
    def of(cls, table: Floats, columns: NDArray[np.intp], count: int) -> Bins:
        """At most ``count`` bins for each of these columns of (n, columns)."""
        found = []
        for column in columns.tolist():
            values = table[:, column]
            edges = np.quantile(values[~np.isnan(values)], np.linspace(0, 1, count + 1))
            edges = np.unique(edges.astype(np.float32))
            if len(edges) > 2:
                found.append((column, edges))
        return cls(found)

    def __call__(self, table: Floats) -> Floats:
        """float32 (n, bins); a missing value is in the middle of every bin."""
        parts = [np.zeros((len(table), 0), np.float32)]
        for column, edges in self.columns:
            place = (table[:, column, None] - edges[:-1]) / np.diff(edges)
            parts.append(np.nan_to_num(np.clip(place, 0, 1) - np.float32(0.5)))
        return np.hstack(parts)
