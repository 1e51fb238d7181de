"""Tables of every kind of file as one frame of text cells, with the line of each row."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from autodl.errors import BundleError, UsageError
from formatter.source import Options, Subset

SUFFIXES = {".csv", ".tsv", ".parquet", ".arrow", ".feather", ".jsonl", ".ndjson"}
SUBSET = "subset of the row"  # columns of our own, under names no file has
LINE = "line of the row"
_NOT_TEXT = {b"PK\x03\x04": "a zip or Excel file", b"\xd0\xcf\x11\xe0": "an old Excel file"}


@dataclass(frozen=True)
class Table:
    """Every part of a source: cells as text, None where empty, and ``SUBSET`` and ``LINE``."""

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
    frames = [_read(path, subset) for subset, path in _parts(source, options)]
    frame = pl.concat(frames, how="diagonal")
    return Table(frame, [c for c in frame.columns if c not in (SUBSET, LINE)], source.name)


def read_csv_rows(path: Path, separator: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Each row with the line (1-based) on which it ends, the header first; blank lines are skipped.

    Raises BundleError: ``csv-not-text``, ``csv-not-utf8``, ``csv-malformed``, ``csv-empty``.
    """
    data = path.read_bytes()
    for magic, what in _NOT_TEXT.items():
        if data.startswith(magic):
            raise BundleError(
                "csv-not-text",
                f"This is not a CSV file but {what}.",
                hint="Save the table as CSV (UTF-8) in your spreadsheet program.",
                file=path.name,
            )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BundleError(
            "csv-not-utf8",
            f"Byte {error.start} is not UTF-8.",
            hint="Save the file as UTF-8.",
            file=path.name,
            line=data.count(b"\n", 0, error.start) + 1,
        ) from error
    reader = csv.reader(text.splitlines(keepends=True), delimiter=separator, strict=True)
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


def find_column(header: list[str], names: tuple[str, ...]) -> int | None:
    """The first column called by one of ``names``, whatever the case; None when there is none."""
    folded = [column.strip().casefold() for column in header]
    return next((folded.index(name) for name in names if name in folded), None)


def _parts(source: Path, options: Options) -> Iterator[tuple[Subset | None, Path]]:
    folder = source if source.is_dir() else None
    if folder is None:
        yield None, source
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
    if unlabelled is not None:
        if not unlabelled.is_file():
            raise UsageError("source-missing", f"There is no file {unlabelled}.")
        yield "unlabelled", unlabelled


def _read(path: Path, subset: Subset | None) -> pl.DataFrame:
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        table = _read_csv(path, "\t" if suffix == ".tsv" else ",")
    else:
        table = _read_typed(path, suffix)
        table = table.with_columns(pl.int_range(1, len(table) + 1).alias(LINE))
    return table.with_columns(pl.lit(subset, pl.String).alias(SUBSET))


def _read_typed(path: Path, suffix: str) -> pl.DataFrame:
    """Parquet, Arrow and JSON lines, their values as text."""
    try:
        if suffix == ".parquet":
            table = pl.read_parquet(path)
        elif suffix in (".jsonl", ".ndjson"):
            table = pl.read_ndjson(path, infer_schema_length=None)
        else:
            table = pl.read_ipc(path)
        return table.with_columns(pl.col(pl.Boolean).cast(pl.Int8)).cast(pl.String)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise BundleError(
            "table-unreadable",
            f"The table cannot be read: {error}.",
            hint="Columns must hold numbers or text, not lists or other tables.",
            file=path.name,
        ) from error


def _read_csv(path: Path, separator: str) -> pl.DataFrame:
    """The fast reader, and where it refuses or fills up, the exact one to find the line."""
    header = _read_header(path, separator)
    try:
        table = pl.read_csv(path, infer_schema=False, null_values=[""], separator=separator)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _find_ragged(path, header, separator) or BundleError(
            "table-unreadable", f"The table cannot be read: {error}.", file=path.name
        ) from error
    table.columns = header
    # Counted from the header on; a quoted line break shifts them, which only a message sees.
    table = table.with_columns(pl.int_range(2, len(table) + 2).alias(LINE))
    table = table.filter(~pl.all_horizontal(pl.col(header).is_null()))  # blank lines
    if table[header[-1]].null_count():  # the fast reader fills short lines up without a word
        fault = _find_ragged(path, header, separator)
        if fault is not None:
            raise fault
    return table


def _read_header(path: Path, separator: str) -> list[str]:
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
    return header


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
