"""Time series in tables of long form: a row is a time of a series, with its name and its label.

The rows of a series may lie anywhere. They are brought together in files aside, so that only some
series are in memory at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from autodl.errors import BundleError
from autodl.records import Example
from formatter.csvs import LINE, find_column
from formatter.parallel import ahead
from formatter.readers.rows import Dictionary, RowSource, find_labels
from formatter.readers.series import describe_series, numbers_of, trim
from formatter.scratch import Floats, RowFile, Spool
from formatter.source import Options, Shape
from formatter.tables import Part, Table, Types, join_parts

ID_NAMES = ("series", "series_id", "case_id", "id")
TIME_NAMES = ("time", "t", "step", "timestep")
MOST_SERIES = 1_000_000  # a table of more names, none of which came twice, is not in long form
VALUES = "values of the series"  # a column of our own: float32 (steps, channels) as bytes


@dataclass(frozen=True)
class Long:
    """What the columns of such a table are."""

    series: str
    time: str
    kept: list[str]  #: labels and group, which a series has one of
    channels: list[str]

    @property
    def row(self) -> np.dtype[np.void]:
        """A row as it lies aside; of texts, their codes."""
        return np.dtype(
            [
                ("series", "<i4"),
                ("kept", "<i4", (len(self.kept),)),
                ("line", "<i8"),
                ("time", "<f8"),
                ("values", "<f4", (len(self.channels),)),
            ]
        )


class LongSource(RowSource):
    """A table whose rows were brought together. Raises BundleError (``series-values``)."""

    kind = "series"

    def __init__(self, table: Table, long: Long, options: Options) -> None:
        self._channels = len(long.channels)
        super().__init__(gather(table, long, options), options)

    def begin(self, table: Table) -> None:
        """See ``RowSource``."""
        self._values = Spool(self.options.scratch)
        self._lengths: set[int] = set()

    def take(self, frame: pl.DataFrame) -> None:
        """See ``RowSource``."""
        for line, data in zip(frame[LINE], frame[VALUES], strict=True):
            steps = trim(np.frombuffer(data, np.float32).reshape(-1, self._channels))
            if not len(steps):
                what = "The series has no value."
                raise BundleError("series-values", what, file=self.file, line=line)
            self._lengths.add(len(steps))
            self._values.append(steps.tobytes())

    def read(self, rows: NDArray[np.int32]) -> Iterator[Example]:
        """See ``Source``: a step holds a value of each channel."""
        self._values.flush()
        for number in rows.tolist():
            values = np.frombuffer(self._values.read(number), np.float32)
            yield Example(dense=values.reshape(-1, self._channels))

    def shape(self) -> Shape:
        """See ``describe_series``."""
        return describe_series(self._channels, self._lengths)


def find_long(table: Table, options: Options) -> Long | None:
    """The meaning of the columns, if there are names of series that come again, and times."""
    found = (find_column(table.header, names) for names in (ID_NAMES, TIME_NAMES))
    series, time = ((None if at is None else table.header[at]) for at in found)
    if series is None or time is None or not _comes_again(table, series):
        return None
    kept = [*find_labels(table, options), *([options.group] if options.group else [])]
    return Long(series, time, kept, [c for c in table.header if c not in (series, time, *kept)])


def gather(table: Table, long: Long, options: Options) -> Table:
    """The table with a row for each series, in the order of first appearance, and ``VALUES``.

    Raises BundleError: ``series-order``, ``series-values``, ``table-no-features``.
    """
    if not long.channels:
        what = "The table has no column but names, times and labels."
        raise BundleError("table-no-features", what, file=table.file)
    types: dict[str, type[pl.DataType]] = {**table.types, long.series: pl.String}
    if types[long.time] is not pl.String:
        types[long.time] = pl.Float64  # years in seconds
    parts = [
        Part(
            part.subset,
            {**dict.fromkeys(long.kept, pl.String), VALUES: pl.Binary},
            _gather(Table([part], types, table.file), long, options.scratch),
        )
        for part in table.parts
    ]
    return join_parts(parts, set(long.kept), table.file)


def _comes_again(table: Table, series: str) -> bool:
    seen, rows = Dictionary(), 0
    for frame in table.frames():
        rows += len(frame)
        if seen.encode(frame[series].cast(pl.String).fill_null("")).max(initial=-1) + 1 < rows:
            return True
        if rows > MOST_SERIES:
            return False
    return False


def _gather(
    table: Table, long: Long, scratch: Path | None
) -> Callable[[Types], Iterator[pl.DataFrame]]:
    names = Dictionary()
    texts = {column: Dictionary() for column in long.kept}
    rows = RowFile(scratch, long.row.itemsize // 4)
    sizes = np.zeros(0, np.int64)
    for frame in ahead(table.frames()):
        row = np.empty(len(frame), long.row)
        row["series"] = names.encode(frame[long.series].fill_null(""))
        row["line"] = frame[LINE].to_numpy()
        row["time"] = _times(frame, long.time, table.file)
        for at, (column, codes) in enumerate(texts.items()):
            row["kept"][:, at] = codes.encode(frame[column])
        for at, column in enumerate(long.channels):
            row["values"][:, at] = numbers_of(frame, column, table.file)
        counts = np.bincount(row["series"], minlength=len(sizes))
        counts[: len(sizes)] += sizes
        sizes = counts
        rows.append(row.view(np.float32).reshape(len(row), -1))

    def frames(_types: Types) -> Iterator[pl.DataFrame]:
        for block in rows.in_groups(lambda block: block.view(long.row)["series"].ravel(), sizes):
            yield _join(block, long, texts, partial(_complain, names, table.file))

    return frames


def _times(frame: pl.DataFrame, column: str, file: str) -> NDArray[np.float64]:
    times = frame[column].cast(pl.Float64, strict=False)
    bad = times.is_null() | times.is_nan()
    if bad.any():
        line = int(frame[LINE][int(bad.arg_true()[0])])
        what = f"The time in the column {column} is no number."
        raise BundleError("series-values", what, file=file, line=line)
    return times.to_numpy()


def _join(
    block: Floats,
    long: Long,
    texts: dict[str, Dictionary],
    complain: Callable[[str, int, int], BundleError],
) -> pl.DataFrame:
    """A row for each series of whole ones."""
    row = block.view(long.row).ravel()
    row = row[np.lexsort((row["line"], row["time"], row["series"]))]
    series, line = row["series"], row["line"]
    same = series[1:] == series[:-1]
    twice = same & (row["time"][1:] == row["time"][:-1])
    torn = same & (row["kept"][1:] != row["kept"][:-1]).any(1)
    for fault, what in ((twice, "This time is given twice"), (torn, "The label changes")):
        if fault.any():
            at = int(fault.argmax())
            raise complain(what, int(series[at]), int(line[at : at + 2].max()))
    starts = np.flatnonzero(np.append(True, ~same))
    values = [steps.tobytes() for steps in np.split(row["values"], starts[1:])]
    columns = {
        column: codes.decode(row["kept"][starts, at])
        for at, (column, codes) in enumerate(texts.items())
    }
    columns[VALUES] = pl.Series(values, dtype=pl.Binary)
    return pl.DataFrame({**columns, LINE: np.minimum.reduceat(line, starts)})


def _complain(names: Dictionary, file: str, what: str, series: int, line: int) -> BundleError:
    return BundleError(
        "series-order",
        f"{what} within the series {names.texts()[series]}.",
        hint="Each series has a name of its own, one label, and one row a time.",
        file=file,
        line=line,
    )
