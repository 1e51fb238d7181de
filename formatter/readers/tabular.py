"""CSV tables: a header, label column(s), numeric and categorical columns, missing values.

One file, or a folder that is already split: ``train.csv``, ``test.csv`` and optionally
``unlabelled.csv`` (or ``unlabelled/unlabelled.csv``). Each row is a record of float32 values, a
missing one NaN. A column that is not numeric in every part is categorical: its values are numbered
in sorted order, and the numbers' meaning is kept in the metadata.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from autodl.errors import BundleError, UsageError
from autodl.metadata import Format, MatrixSpec
from autodl.records import Example
from formatter.readers.images import sort_labels
from formatter.source import Options, Row, Shape, Subset
from formatter.tables import read_csv_rows

SUFFIXES = {".csv"}
LABEL_NAMES = ("label", "labels", "class", "target")  # taken where no column is named
MISSING = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "?"]  # in a feature, not in a label
SUBSET = "subset of the row"  # columns of our own, under names no file has
LINE = "line of the row"
MAX_NAMED_CATEGORIES = 10_000  # of one column: more would only swell the metadata


def detect(source: Path) -> bool:
    """Whether ``source`` is a table or a folder of already split ones."""
    if source.is_dir():
        return (source / "train.csv").is_file()
    return source.suffix.lower() in SUFFIXES


class TableSource:
    """See the module; implements ``formatter.source.Source``.

    Raises BundleError: ``table-header-duplicate``, ``table-row-ragged``, ``table-columns-differ``,
    ``table-label-missing``, ``table-label-not-binary``, ``table-no-features``, and those of
    ``read_csv_rows``; UsageError: ``label-column-unknown``, ``group-column-unknown``.
    """

    kind = "tabular"

    def __init__(self, source: Path, options: Options) -> None:
        parts = [_read(path, subset) for subset, path in _parts(source, options)]
        table = pl.concat(parts, how="diagonal")
        header = [c for c in table.columns if c not in (SUBSET, LINE)]
        labels = _find_labels(header, options.label, source.name)
        self._multi_label = len(labels) > 1
        self._file = source.name
        known = pl.col(SUBSET).fill_null("") != "unlabelled"
        self._require_labels(table.filter(known), labels)
        group = _find_group(header, options.group)
        features = [c for c in header if c not in labels and c != group]
        if not features:
            raise BundleError(
                "table-no-features",
                "The table has no column but its labels.",
                hint="Name the label column with --label; the others are what is learnt from.",
                file=source.name,
            )
        self._categories: dict[str, list[str]] = {}
        self._values = self._encode(table.select(features))
        self._features = {name: index for index, name in enumerate(features)}
        self.rows = self._rows(table, labels, group)
        names = {name for row in self.rows for name in row.labels}
        self.label_names: Sequence[str] = labels if self._multi_label else sort_labels(names)

    def read(self, rows: Sequence[int]) -> Iterator[Example]:
        """See ``Source``: each example is one step of one row."""
        for number in rows:
            yield Example(dense=[self._values[number]])

    def shape(self) -> Shape:
        """One row of as many columns as there are features."""
        codes = {
            f"{column}={name}": code
            for column, names in self._categories.items()
            if len(names) <= MAX_NAMED_CATEGORIES
            for code, name in enumerate(names)
        }
        matrix = MatrixSpec(
            row_count=1,
            col_count=self._values.shape[1],
            num_channels=1,
            format=Format.DENSE,
        )
        return Shape(matrix, features=self._features, channels=codes)

    def _encode(self, table: pl.DataFrame) -> NDArray[np.float32]:
        """float32 (rows, features), and the names of the categories of each that has them."""
        columns = []
        for column in table.iter_columns():
            series = column.str.strip_chars()
            series = series.set(series.is_in(MISSING), None)
            numbers = series.cast(pl.Float64, strict=False)
            if numbers.null_count() > series.null_count():
                names = sorted(series.drop_nulls().unique().to_list())
                self._categories[series.name] = names
                codes = pl.Enum(names)
                numbers = series.cast(codes).to_physical().cast(pl.Float64)
            columns.append(numbers.fill_null(np.nan).to_numpy().astype(np.float32))
        return np.ascontiguousarray(np.stack(columns, 1))

    def _require_labels(self, table: pl.DataFrame, labels: list[str]) -> None:
        for label in labels:
            missing = table.filter(pl.col(label).is_null())
            if len(missing):
                raise BundleError(
                    "table-label-missing",
                    f"The column {label} is empty.",
                    hint="Give the label, or move the row to the unlabelled part (--unlabelled).",
                    file=self._file,
                    line=missing[LINE][0],
                )
            if not self._multi_label:
                continue
            odd = table.filter(~pl.col(label).is_in(["0", "1", "0.0", "1.0"]))
            if len(odd):
                raise BundleError(
                    "table-label-not-binary",
                    f"The column {label} holds {odd[label][0]!r}; with several label columns each"
                    " must hold 0 or 1.",
                    hint="For one column of class names give only that column to --label.",
                    file=self._file,
                    line=odd[LINE][0],
                )

    def _rows(self, table: pl.DataFrame, labels: list[str], group: str | None) -> list[Row]:
        subsets = table[SUBSET].to_list()
        groups = table[group].to_list() if group else [None] * len(table)
        columns = [table[label].to_list() for label in labels]
        numbers: dict[str | None, int] = {}
        rows = []
        for subset, unit, *cells in zip(subsets, groups, *columns, strict=True):
            number = numbers[subset] = numbers.get(subset, -1) + 1
            if subset == "unlabelled":
                names: tuple[str, ...] = ()
            elif self._multi_label:
                names = tuple(n for n, c in zip(labels, cells, strict=True) if float(c) == 1)
            else:
                names = (cells[0],)
            rows.append(Row(str(number), names, subset, unit))
        return rows


def _parts(source: Path, options: Options) -> Iterator[tuple[Subset | None, Path]]:
    if source.is_dir():
        yield "train", source / "train.csv"
        if not (source / "test.csv").is_file():
            raise BundleError(
                "source-file-missing",
                "There is train.csv but no test.csv.",
                hint="Bring both, or format train.csv alone and let it be split.",
                file=source.name,
            )
        yield "test", source / "test.csv"
    else:
        yield None, source
    places = (source / "unlabelled.csv", source / "unlabelled" / "unlabelled.csv")
    unlabelled = options.unlabelled or next((p for p in places if p.is_file()), None)
    if unlabelled is not None:
        yield "unlabelled", unlabelled


def _read(path: Path, subset: Subset | None) -> pl.DataFrame:
    """All cells as text, empty ones null; the fast reader, and on its refusal the exact one."""
    header = _read_header(path)
    try:
        table = pl.read_csv(path, infer_schema=False, null_values=[""])
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _find_ragged(path, header) or BundleError(
            "csv-malformed", f"The table cannot be read: {error}.", file=path.name
        ) from error
    table.columns = header
    # Counted from the header on; a quoted line break shifts them, which only a message sees.
    numbers = pl.int_range(2, len(table) + 2).alias(LINE)
    table = table.with_columns(numbers, pl.lit(subset, pl.String).alias(SUBSET))
    table = table.filter(~pl.all_horizontal(pl.col(header).is_null()))  # blank lines
    if table[header[-1]].null_count():  # the fast reader fills short lines up without a word
        fault = _find_ragged(path, header)
        if fault is not None:
            raise fault
    return table


def _read_header(path: Path) -> list[str]:
    line, cells = next(read_csv_rows(path))
    header = [cell.strip() for cell in cells]
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        raise BundleError(
            "table-header-duplicate",
            f"The header names the column {twice!r} twice." if twice else "Columns have no name.",
            hint="Give each column a name of its own.",
            file=path.name,
            line=line,
        )
    return header


def _find_ragged(path: Path, header: list[str]) -> BundleError | None:
    for line, cells in read_csv_rows(path):
        if len(cells) != len(header):
            return BundleError(
                "table-row-ragged",
                f"The line has {len(cells)} cells; the header has {len(header)}.",
                hint="Quote cells that hold a comma.",
                file=path.name,
                line=line,
            )
    return None


def _find_labels(header: list[str], wanted: tuple[str, ...], file: str) -> list[str]:
    if not wanted:
        wanted = tuple(c for c in header if c.casefold() in LABEL_NAMES)[:1]
    unknown = [name for name in wanted if name not in header]
    if unknown or not wanted:
        what = f"There is no column {unknown[0]!r}." if unknown else "Which column is the label?"
        raise UsageError(
            "label-column-unknown",
            what,
            hint=f"Name it with --label; the columns are: {', '.join(header[:50])}.",
            file=file,
        )
    return list(wanted)


def _find_group(header: list[str], group: str | None) -> str | None:
    if group is not None and group not in header:
        raise UsageError(
            "group-column-unknown",
            f"There is no column {group!r}.",
            hint=f"The columns are: {', '.join(header[:50])}.",
        )
    return group
