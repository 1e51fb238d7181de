"""Time series in tables, of one or several channels.

In wide form a row is a series: columns ``c{channel}_t{time}``, empty after its end.
In long form a row is a time of a series: columns with its name, the time, the label, and one per
channel.
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
from formatter.csvs import LINE, find_column
from formatter.readers.rows import RowSource, find_labels
from formatter.scratch import RowFile
from formatter.source import Options, Shape
from formatter.tables import SUBSET, Table, frame_part, join_parts

ID_NAMES = ("series", "series_id", "case_id", "id")
TIME_NAMES = ("time", "t", "step", "timestep")
MOST_GAPS = 10  # cells for each column that is there
STEP = "step of the row"  # a column of our own, under a name no file has
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
            numbers = frame[name].cast(pl.Float32, strict=False)
            odd = numbers.is_null() & frame[name].is_not_null()
            if odd.any():
                row = int(odd.arg_true()[0])
                raise BundleError(
                    "series-values",
                    f"{frame[name][row]!r} in the column {name} is not a number.",
                    file=self.file,
                    line=int(frame[LINE][row]),
                )
            values[:, step, channel] = numbers.fill_null(np.nan).to_numpy()
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
                present = np.flatnonzero(~np.isnan(steps).all(1))
                length = int(present[-1]) + 1
                self._lengths.add(length)
                yield Example(dense=steps[:length])

    def shape(self) -> Shape:
        """A sequence of one row of channels; its length is -1 where lengths differ."""
        matrix = MatrixSpec(
            row_count=1,
            col_count=self._channels,
            num_channels=1,
            has_locality_col=False,
            format=Format.DENSE,
        )
        # a sequence of one would be read as a table
        same = len(self._lengths) == 1 and self._lengths != {1}
        return Shape(matrix, sequence_size=next(iter(self._lengths)) if same else -1)

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


def find_long(table: Table) -> tuple[str, str] | None:
    """The columns of a table in long form (a row per time) that name the series and the time."""
    found = (find_column(table.header, names) for names in (ID_NAMES, TIME_NAMES))
    series, time = ((None if at is None else table.header[at]) for at in found)
    if series is None or time is None:
        return None
    names = pl.concat([frame[series] for frame in table.frames()])
    # each row may well have a name and a time of its own
    return None if names.is_unique().all() else (series, time)


def widen(table: Table, series: str, time: str, options: Options) -> Table:
    """A long table as one of a row per series, in the order of first appearance; held in memory.

    Raises BundleError (``series-order``, ``series-values``).
    """
    labels = [c for c in find_labels(table, options) if c in table.header]
    values = [c for c in table.header if c not in (series, time, options.group, *labels)]
    kept = [c for c in (*labels, options.group) if c is not None]
    key = [SUBSET, series]
    whole = pl.concat(table.frames())
    frame = whole.with_columns(pl.col(time).cast(pl.Float64, strict=False))
    _require_order(frame, key, time, kept, table.file)
    frame = frame.sort(time, maintain_order=True)
    frame = frame.with_columns(pl.int_range(pl.len()).over(key).alias(STEP))
    order = whole.unique(key, keep="first", maintain_order=True)
    wide = order.select(*key, LINE, *kept)
    for channel, column in enumerate(values):
        steps = frame.pivot(STEP, index=key, values=column)
        names = {c: f"c{channel}_t{c}" for c in steps.columns if c not in key}
        wide = wide.join(steps.rename(names), on=key, how="left", nulls_equal=True)
    parts = [
        frame_part(part.drop(series, SUBSET), part[SUBSET][0])
        for part in wide.partition_by(SUBSET, maintain_order=True)
    ]
    return join_parts(parts, set(kept), table.file)


def _require_order(
    frame: pl.DataFrame, key: list[str], time: str, kept: list[str], file: str
) -> None:
    empty = frame.filter(pl.col(time).is_null())
    if len(empty):
        line = int(empty[LINE][0])
        what = f"The time in the column {time} is no number."
        raise BundleError("series-values", what, file=file, line=line)
    twice = frame.filter(pl.struct(*key, time).is_duplicated())
    torn = frame.filter((pl.struct(*kept).n_unique().over(key) > 1) if kept else pl.lit(False))
    for rows, what in ((twice, "This time is given twice"), (torn, "The label changes")):
        if len(rows):
            raise BundleError(
                "series-order",
                f"{what} within the series {rows[key[1]][0]}.",
                hint="Each series has a name of its own, one label, and one row a time.",
                file=file,
                line=int(rows[LINE][-1]),
            )
