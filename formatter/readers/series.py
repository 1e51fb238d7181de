"""Time series in tables of wide form: a row is a series of one or several channels.

Its columns are called ``c{channel}_t{time}``; it is empty after its end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from autodl.errors import BundleError
from autodl.metadata import Format, MatrixSpec
from autodl.records import Example
from formatter.csvs import LINE
from formatter.readers.rows import RowSource
from formatter.scratch import RowFile
from formatter.source import Shape
from formatter.tables import Table

MOST_GAPS = 10  # cells for each column that is there
COLUMN = re.compile(r"c(\d+)_t(\d+)")


class SeriesSource(RowSource):
    """Series of several channels. Raises BundleError: ``series-columns``, ``series-values``."""

    kind = "series"

    def begin(self, table: Table) -> None:
        """See ``RowSource``: empty cells are put aside as NaN."""
        self._places = self._find_places()
        self._channels, self._steps = (max(p[axis] for p in self._places) + 1 for axis in (0, 1))
        if self._channels * self._steps > MOST_GAPS * len(self._places):
            raise BundleError(
                "series-columns",
                f"The columns go up to c{self._channels - 1}_t{self._steps - 1}, but there are"
                f" {len(self._places)}.",
                hint="Channels and times are numbered from 0, one after the other.",
                file=self.file,
                line=1,
            )
        self._rows = RowFile(self.options.scratch, self._steps * self._channels)
        self._lengths: set[int] = set()

    def take(self, frame: pl.DataFrame) -> None:
        """See ``RowSource``."""
        values = np.full((len(frame), self._steps, self._channels), np.nan, np.float32)
        for (channel, step), name in zip(self._places, self.columns, strict=True):
            values[:, step, channel] = numbers_of(frame, name, self.file)
        empty = np.isnan(values).all((1, 2))
        if empty.any():
            raise BundleError(
                "series-values",
                "The series has no value.",
                hint="Remove the row.",
                file=self.file,
                line=int(frame[LINE][int(empty.argmax())]),
            )
        self._rows.append(values.reshape(len(frame), -1))

    def read(self, rows: NDArray[np.int32]) -> Iterator[Example]:
        """See ``Source``: a step holds a value of each channel."""
        for block in self._rows.read(rows):
            for steps in block.reshape(-1, self._steps, self._channels):
                kept = trim(steps)
                self._lengths.add(len(kept))
                yield Example(dense=kept)

    def shape(self) -> Shape:
        """See ``describe_series``."""
        return describe_series(self._channels, self._lengths)

    def _find_places(self) -> list[tuple[int, int]]:
        """(channel, time) of each column."""
        places = []
        for name in self.columns:
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
        return places


def is_series(columns: Sequence[str]) -> bool:
    """Whether the columns that are no labels are all named so."""
    return bool(columns) and all(COLUMN.fullmatch(name) for name in columns)


def numbers_of(frame: pl.DataFrame, column: str, file: str) -> NDArray[np.float32]:
    """What a column holds, NaN where it is empty. Raises BundleError (``series-values``)."""
    numbers = frame[column].cast(pl.Float32, strict=False)
    odd = numbers.is_null() & frame[column].is_not_null()
    if odd.any():
        row = int(odd.arg_true()[0])
        raise BundleError(
            "series-values",
            f"{frame[column][row]!r} in the column {column} is not a number.",
            file=file,
            line=int(frame[LINE][row]),
        )
    return numbers.fill_null(np.nan).to_numpy()


def trim(steps: NDArray[np.float32]) -> NDArray[np.float32]:
    """``steps`` (steps, channels) up to the last that has a value."""
    present = np.flatnonzero(~np.isnan(steps).all(1))
    return steps[: int(present[-1]) + 1 if len(present) else 0]


def describe_series(channels: int, lengths: set[int]) -> Shape:
    """A sequence of one row of channels; its length is -1 where lengths differ."""
    matrix = MatrixSpec(
        row_count=1,
        col_count=channels,
        num_channels=1,
        has_locality_col=False,
        format=Format.DENSE,
    )
    # a sequence of one would be read as a table
    same = len(lengths) == 1 and lengths != {1}
    return Shape(matrix, sequence_size=next(iter(lengths)) if same else -1)
