"""Tables for linear models: categories one-hot, numbers standardised, missing values marked."""

from __future__ import annotations

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
    def of(cls, table: Floats, categories: bool = True) -> TableEncoder:
        """Look at rows (n, columns): columns of few whole numbers may be categories too."""
        with np.errstate(all="ignore"):
            known = ~np.isnan(table)
            constant = np.array(
                [np.unique(c[k]).size < 2 for c, k in zip(table.T, known.T, strict=True)]
            )
            share = 1 - known.mean(axis=0)
            numbers = np.flatnonzero(~constant)
            values = np.where(known, table, 0)
            median = np.array([np.median(table[known[:, c], c]) for c in numbers], np.float32)
            spread = values[:, numbers].std(axis=0)
            largest = np.abs(values[:, numbers] - median).max(axis=0, initial=0)
        chosen = []
        for column in numbers[: config.CATEGORY_MAX_COLUMNS if categories else 0]:
            found = np.unique(table[known[:, column], column])
            whole = np.all(found == np.round(found)) and 2 < found.size
            if whole and found.size <= config.CATEGORY_MAX_VALUES:
                chosen.append((int(column), found))
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
