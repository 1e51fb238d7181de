"""Time series, one a row: columns ``c{channel}_t{time}``, empty after the end of a shorter one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from autodl.errors import BundleError
from autodl.metadata import Format, MatrixSpec
from autodl.records import Example
from formatter.readers.rows import RowSource
from formatter.source import Options, Shape
from formatter.tables import Table

COLUMN = re.compile(r"c(\d+)_t(\d+)")


class SeriesSource(RowSource):
    """Series of several channels. Raises BundleError: ``series-columns``, ``series-values``."""

    kind = "series"

    def __init__(self, table: Table, options: Options) -> None:
        super().__init__(table, options)
        self._values = self._encode(self.features)
        self._lengths: set[int] = set()

    def read(self, rows: Sequence[int]) -> Iterator[Example]:
        """See ``Source``: a step holds a value of each channel."""
        for number in rows:
            steps = self._values[number]
            present = np.flatnonzero(~np.isnan(steps).all(1))
            length = int(present[-1]) + 1 if len(present) else 0
            if not length:
                raise BundleError(
                    "series-values",
                    "The series has no value.",
                    hint="Remove the row.",
                    file=self.file,
                    line=int(self.lines[number]),
                )
            self._lengths.add(length)
            yield Example(dense=steps[:length])

    def shape(self) -> Shape:
        """A sequence of one row of channels; its length is -1 where lengths differ."""
        matrix = MatrixSpec(
            row_count=1,
            col_count=self._values.shape[2],
            num_channels=1,
            has_locality_col=False,
            format=Format.DENSE,
        )
        # a sequence of one would be read as a table
        same = len(self._lengths) == 1 and self._lengths != {1}
        return Shape(matrix, sequence_size=next(iter(self._lengths)) if same else -1)

    def _encode(self, table: pl.DataFrame) -> NDArray[np.float32]:
        """float32 (rows, steps, channels), NaN where empty."""
        places = []
        for name in table.columns:
            match = COLUMN.fullmatch(name)
            if match is None:
                raise BundleError(
                    "series-columns",
                    f"The column {name!r} is not called c0_t0, c0_t1, ...",
                    hint="Name the labels with --label, and the others by channel and time.",
                    file=self.file,
                    line=1,
                )
            places.append((int(match[1]), int(match[2])))
        channels, steps = (max(p[axis] for p in places) + 1 for axis in (0, 1))
        values = np.full((len(table), steps, channels), np.nan, np.float32)
        for (channel, step), column in zip(places, table.iter_columns(), strict=True):
            numbers = column.cast(pl.Float32, strict=False)
            odd = numbers.is_null() & column.is_not_null()
            if odd.any():
                row = int(odd.arg_true()[0])
                raise BundleError(
                    "series-values",
                    f"{column[row]!r} in the column {column.name} is not a number.",
                    file=self.file,
                    line=int(self.lines[row]),
                )
            values[:, step, channel] = numbers.fill_null(np.nan).to_numpy()
        return values


def is_series(columns: Sequence[str]) -> bool:
    """Whether the columns that are no labels are all named so."""
    return bool(columns) and all(COLUMN.fullmatch(name) for name in columns)
