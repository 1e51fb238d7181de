"""Tables of every kind of file as one frame, with the line of each row."""

from __future__ import annotations

import csv
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import polars.selectors as cs

from autodl.errors import BundleError
from formatter.arff import read_arff
from formatter.source import Options, Subset

SUFFIXES = {".csv", ".tsv", ".parquet", ".arrow", ".feather", ".jsonl", ".ndjson", ".arff"}
LABEL_NAMES = ("label", "labels", "class", "target")  # taken where no column is named
SUBSET = "subset of the row"  # columns of our own, under names no file has
LINE = "line of the row"
_NOT_TEXT = {b"PK\x03\x04": "a zip or Excel file", b"\xd0\xcf\x11\xe0": "an old Excel file"}


@dataclass(frozen=True)
class Table:
    """Every part of a source, one below the other, with ``SUBSET`` and ``LINE``.

    Label and group columns are text; any other column is text where one of its cells is no number.
    Empty cells are None.
    """

    frame: pl.DataFrame
    header: list[str]
    file: str  #: for complaints


def find_table(folder: Path, stem: str) -> Path | None:
    """The table called ``stem`` in ``folder``, whatever its kind."""
    paths = (folder / f"{stem}{suffix}" for suffix in sorted(SUFFIXES))
    return next((path for path in paths if path.is_file()), None)


def is_table(source: Path) -> bool:
    """Whether ``source`` is a table, or a folder of already split ones."""
    if source.is_dir():
        return find_table(source, "train") is not None
    return source.suffix.lower() in SUFFIXES


def read_table(source: Path, options: Options) -> Table:
    """All parts of a source, one below the other.

    Raises BundleError: ``table-header-duplicate``, ``table-row-ragged``, ``source-file-missing``,
    ``table-unreadable``, and those of ``read_csv_rows``.
    """
    parts = list(_parts(source, options))
    text = {*options.label, *([options.group] if options.group else [])}
    frames = [_read(path, subset, text) for subset, path in parts]
    mixed = _mixed_columns(frames)
    if mixed:
        frames = [_read(path, subset, text | mixed) for subset, path in parts]
    frame = pl.concat(frames, how="diagonal_relaxed")
    return Table(frame, [c for c in frame.columns if c not in (SUBSET, LINE)], source.name)


def read_csv_rows(path: Path, separator: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Each row with the line (1-based) on which it ends, the header first; blank lines are skipped.

    Raises BundleError: ``csv-not-text``, ``csv-not-utf8``, ``csv-malformed``, ``csv-empty``.
    """
    reader = csv.reader(_read_lines(path), delimiter=separator, strict=True)
    empty = True
    try:
        for row in reader:
            if row:
                empty = False
                yield reader.line_num, row
    except csv.Error as error:
        raise BundleError(
            "csv-malformed",
            f"The line cannot be read as CSV: {error}.",
            hint="Quote a field that holds a comma or quote, and double the quotes inside it.",
            file=path.name,
            line=reader.line_num,
        ) from error
    if empty:
        raise BundleError(
            "csv-empty", "The file is empty.", hint="It needs a header line.", file=path.name
        )


def _read_lines(path: Path) -> Iterator[str]:
    with path.open("rb") as file:
        for line, data in enumerate(file, 1):
            what = next((w for m, w in _NOT_TEXT.items() if line == 1 and data.startswith(m)), None)
            if what is not None:
                raise BundleError(
                    "csv-not-text",
                    f"This is not a CSV file but {what}.",
                    hint="Save the table as CSV (UTF-8) in your spreadsheet program.",
                    file=path.name,
                )
            try:
                yield data.decode("utf-8-sig" if line == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise BundleError(
                    "csv-not-utf8",
                    f"Byte {error.start} of the line is not UTF-8.",
                    hint="Save the file as UTF-8.",
                    file=path.name,
                    line=line,
                ) from error


def find_column(header: list[str], names: tuple[str, ...]) -> int | None:
    """The first column called by one of ``names``, whatever the case; None when there is none."""
    folded = [column.strip().casefold() for column in header]
    return next((folded.index(name) for name in names if name in folded), None)


def _parts(source: Path, options: Options) -> Iterator[tuple[Subset | None, Path]]:
    folder = source if source.is_dir() else None
    if folder is None:
        yield ("train" if options.test_part else None), source
        if options.test_part is not None:
            yield "test", options.test_part
    else:
        for subset in ("train", "test"):
            path = find_table(folder, subset)
            if path is None:
                raise BundleError(
                    "source-file-missing",
                    f"There is no table called {subset}.",
                    hint="Bring train and test, or format one table and let it be split.",
                    file=source.name,
                )
            yield ("train" if subset == "train" else "test"), path
    unlabelled = options.unlabelled
    if unlabelled is None and folder is not None:
        found = (find_table(p, "unlabelled") for p in (folder, folder / "unlabelled"))
        unlabelled = next((path for path in found if path is not None), None)
    if unlabelled is not None and unlabelled.is_file():
        yield "unlabelled", unlabelled


def _mixed_columns(frames: Sequence[pl.DataFrame]) -> set[str]:
    """Numbers in one part and text in another: read as text in all, 1 and 1.0 stay apart."""
    texts = {name for frame in frames for name, kind in frame.schema.items() if kind == pl.String}
    numbers = {name for frame in frames for name in frame.select(cs.numeric()).columns}
    return texts & numbers


def _read(path: Path, subset: Subset | None, text: set[str]) -> pl.DataFrame:
    """One part; the columns ``text``, and those called like labels, as they are written."""
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        table = _read_csv(path, _find_separator(path), text)
    elif suffix == ".arff":
        table, lines = read_arff(path)
        table = table.with_columns(pl.Series(LINE, lines, pl.Int64))
    else:
        table = _read_typed(path, suffix)
        table = table.with_columns(pl.int_range(1, len(table) + 1).alias(LINE))
    as_text = [c for c in table.columns if c in text or c.casefold() in LABEL_NAMES]
    table = table.with_columns(pl.col(as_text).cast(pl.String))
    empty = [c.name for c in table if c.dtype == pl.String and c.null_count() == len(c)]
    table = table.with_columns(pl.col(empty).cast(pl.Null))
    return table.with_columns(pl.lit(subset, pl.String).alias(SUBSET))


def _read_typed(path: Path, suffix: str) -> pl.DataFrame:
    """Parquet, Arrow and JSON lines: numbers as they are, truth as 0 and 1, the rest as text."""
    try:
        if suffix == ".parquet":
            table = pl.read_parquet(path)
        elif suffix in (".jsonl", ".ndjson"):
            table = pl.read_ndjson(path, infer_schema_length=None)
        else:
            table = pl.read_ipc(path)
        table = table.with_columns(pl.col(pl.Boolean).cast(pl.Int8))
        return table.with_columns(cs.exclude(cs.numeric()).cast(pl.String))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise BundleError(
            "table-unreadable",
            f"The table cannot be read: {error}.",
            hint="Columns must hold numbers or text, not lists or other tables.",
            file=path.name,
        ) from error


def _read_csv(path: Path, separator: str, text: set[str]) -> pl.DataFrame:
    """The fast reader, and where it refuses or fills up, the exact one to find the line."""
    names, header = _read_header(path, separator)
    as_written = {
        name: pl.String
        for name, column in zip(names, header, strict=True)
        if column in text or column.casefold() in LABEL_NAMES
    }
    try:
        table = _parse_csv(path, separator, as_written)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _find_ragged(path, header, separator) or BundleError(
            "table-unreadable",
            f"The table cannot be read: {error}.",
            hint="Put cells that hold a quote into quotes, and double the quote inside.",
            file=path.name,
        ) from error
    table.columns = header
    # the fast reader fills short lines up without a word
    if table[header[-1]].null_count():
        fault = None
        if _count_separators(path, separator) != (len(table) + 1) * (len(header) - 1):
            fault = _find_ragged(path, header, separator)
        if fault is not None:
            raise fault
    # Counted from the header on; a quoted line break shifts them, which only a message sees.
    table = table.with_columns(pl.int_range(2, len(table) + 2).alias(LINE))
    blank = table.select(pl.all_horizontal(pl.col(header).is_null())).to_series()
    return table.filter(~blank) if blank.any() else table


def _parse_csv(path: Path, separator: str, as_written: dict[str, type[pl.String]]) -> pl.DataFrame:
    """Columns of numbers where the first rows are, unless a later one is not: then all as text."""
    read = functools.partial(
        pl.read_csv,
        path,
        separator=separator,
        null_values=[""],
        decimal_comma=separator == ";",  # as spreadsheets write where the comma is taken
    )
    try:
        return read(schema_overrides=as_written, infer_schema_length=1000)
    except pl.exceptions.ComputeError:
        return read(infer_schema=False)


def _count_separators(path: Path, separator: str) -> int | None:
    """None where quotes may hide some."""
    count = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            if b'"' in block:
                return None
            count += block.count(separator.encode())
    return count


def _find_separator(path: Path) -> str:
    """The first of comma, semicolon and tab that splits the header."""
    separators = ("\t", ",", ";") if path.suffix.lower() == ".tsv" else (",", ";", "\t")
    for separator in separators:
        if len(next(read_csv_rows(path, separator))[1]) > 1:
            return separator
    return separators[0]


def _read_header(path: Path, separator: str) -> tuple[list[str], list[str]]:
    """The names of the columns as written, and without blanks around."""
    line, cells = next(read_csv_rows(path, separator))
    header = [cell.strip() for cell in cells]
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        raise BundleError(
            "table-header-duplicate",
            f"The header names the column {twice!r} twice."
            if twice
            else "Several columns have no name.",
            hint="Give each column a name of its own.",
            file=path.name,
            line=line,
        )
    return cells, header


def _find_ragged(path: Path, header: list[str], separator: str) -> BundleError | None:
    for line, cells in read_csv_rows(path, separator):
        if len(cells) != len(header):
            return BundleError(
                "table-row-ragged",
                f"The line has {len(cells)} cells; the header has {len(header)}.",
                hint="Quote cells that hold the separator.",
                file=path.name,
                line=line,
            )
    return None
