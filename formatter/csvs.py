"""CSV files: row by row, exactly and with line numbers, and fast, in frames of bounded size."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import polars as pl

from autodl.errors import BundleError

LINE = "line of the row"  # a column of our own, under a name no file has
CHUNK_BYTES = 4 << 20
NEXT_BYTES = 1 << 14  # in which a line is likely to end
MAX_ROW_BYTES = 64 << 20
_NOT_TEXT = {b"PK\x03\x04": "a zip or Excel file", b"\xd0\xcf\x11\xe0": "an old Excel file"}


def read_csv_rows(path: Path, separator: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Each row with the line (1-based) on which it ends, the header first; blank lines are skipped.

    Raises BundleError: ``csv-not-text``, ``csv-not-utf8``, ``csv-malformed``, ``csv-empty``.
    """
    with path.open("rb") as file:
        empty = True
        for row in _parse_rows(file, path, separator):
            empty = False
            yield row
    if empty:
        raise BundleError(
            "csv-empty", "The file is empty.", hint="It needs a header line.", file=path.name
        )


def find_column(header: list[str], names: tuple[str, ...]) -> int | None:
    """The first column called by one of ``names``, whatever the case; None when there is none."""
    folded = [column.strip().casefold() for column in header]
    return next((folded.index(name) for name in names if name in folded), None)


@dataclass(frozen=True)
class CsvFile:
    """A file whose header was read: the columns' names, and where its rows begin."""

    path: Path
    separator: str
    header: list[str]
    start: int  #: byte
    line: int  #: 1-based, of the first row

    @property
    def decimal_comma(self) -> bool:
        """As spreadsheets write where the comma is taken."""
        return self.separator == ";"

    def chunks(self, most: int | None = None) -> Iterator[tuple[int, bytes]]:
        """Whole rows, ``most`` bytes at a time or some more, and where in the file they begin."""
        most = most or CHUNK_BYTES
        start, size = self.start, most
        with self.path.open("rb", buffering=0) as file:
            while data := self._read_lines(file, start, size):
                end = len(data)
                # within quotes, or after one that stands for itself, unless the file ends there
                if b'"' in data and data.count(b'"') % 2 and len(data) >= size:
                    end = _rows_end(data, self.separator)
                if not end and size > MAX_ROW_BYTES:
                    what = "it does not end, or a quote does not close"
                    raise _malformed(self.path, self._line_at(start), what)
                if not end:
                    size *= 2
                    continue
                size = most
                yield start, data[:end] if end < len(data) else data
                start += end

    def _line_at(self, start: int) -> int:
        """The line that begins at a byte; all before it is read, for the sake of a complaint."""
        with self.path.open("rb") as file:
            left = iter(lambda: file.read(min(CHUNK_BYTES, start - file.tell())), b"")
            return 1 + sum(data.count(b"\n") for data in left)

    def _read_lines(self, file: FileIO, start: int, size: int) -> bytes:
        """Whole lines from ``start`` on, of about ``size`` bytes."""
        after = start + size
        while data := os.pread(file.fileno(), NEXT_BYTES, after):
            at = data.find(b"\n")
            after += at + 1 if at >= 0 else len(data)
            if at >= 0 or after - start > 4 * MAX_ROW_BYTES:
                break
        return os.pread(file.fileno(), after - start, start)

    def parse(
        self, start: int, chunk: bytes, types: Mapping[str, type[pl.DataType]]
    ) -> tuple[pl.DataFrame, int]:
        """The rows of a chunk and its lines; blank lines are left out and empty cells null.

        ``LINE`` counts from the chunk's first, 0. Raises BundleError (``table-row-ragged``, and
        those of ``read_csv_rows``), and PolarsError where a cell is not of its column's type.
        """
        if not chunk.strip(b"\r\n"):
            return pl.DataFrame(schema={**types, LINE: pl.Int64}), chunk.count(b"\n")
        try:
            frame = pl.read_csv(
                chunk,
                has_header=False,
                schema=dict(types),
                separator=self.separator,
                null_values=[""] if b'"' in chunk else None,  # unquoted, they are null anyway
                decimal_comma=self.decimal_comma,
            )
        except pl.exceptions.PolarsError:
            self._require_even(start, chunk)
            raise
        gaps = frame[self.header[-1]].null_count()
        # the fast reader fills short lines up without a word
        if gaps and not self._is_even(chunk, len(frame)):
            self._require_even(start, chunk)
        # a quoted line break shifts the lines, until the next chunk
        frame = frame.with_columns(pl.int_range(len(frame)).alias(LINE))
        lines = chunk.count(b"\n") if gaps or b'"' in chunk else len(frame)
        if gaps:
            frame = frame.filter(~pl.all_horizontal(pl.col(self.header).is_null()))
        return frame, lines

    def parse_text(self, start: int, chunk: bytes) -> tuple[pl.DataFrame, int]:
        """The same as text, also where quotes stand as the fast reader does not have them.

        Raises BundleError (``table-row-ragged``, and those of ``read_csv_rows``).
        """
        types = dict.fromkeys(self.header, pl.String)
        try:
            return self.parse(start, chunk, types)
        except pl.exceptions.PolarsError:
            rows = self._parse_rows(start, chunk)
            cells = [(*(cell or None for cell in row), at) for at, row in rows]
            frame = pl.DataFrame(cells, {**types, LINE: pl.Int64}, orient="row")
            return frame, chunk.count(b"\n")

    def _is_even(self, chunk: bytes, rows: int) -> bool:
        """Whether there are as many separators as cells ask for; unknown where quotes hide some."""
        separators = chunk.count(self.separator.encode())
        return b'"' not in chunk and separators == rows * (len(self.header) - 1)

    def _require_even(self, start: int, chunk: bytes) -> None:
        for at, cells in self._parse_rows(start, chunk):
            if len(cells) != len(self.header):
                raise BundleError(
                    "table-row-ragged",
                    f"The line has {len(cells)} cells; the header has {len(self.header)}.",
                    hint="Quote cells that hold the separator.",
                    file=self.path.name,
                    line=self._line_at(start) + at,
                )

    def _parse_rows(self, start: int, chunk: bytes) -> Iterator[tuple[int, list[str]]]:
        """Each row with its line, that of the chunk's first being 0."""
        first = 2  # for any but the first of a file
        try:
            for at, cells in _parse_rows(io.BytesIO(chunk), self.path, self.separator, first):
                yield at - first, cells
        except BundleError as error:
            error.line = self._line_at(start) + (error.line or first) - first
            raise


def open_csv(path: Path) -> CsvFile:
    """Read the header; the separator is the first of comma, semicolon and tab that splits it.

    Raises BundleError: ``table-header-duplicate``, ``table-header-pattern``, and those of
    ``read_csv_rows``.
    """
    separators = ("\t", ",", ";") if path.suffix.lower() == ".tsv" else (",", ";", "\t")
    splits = (s for s in separators if len(next(read_csv_rows(path, s))[1]) > 1)
    separator = next(splits, separators[0])
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
    check_names(header, path.name, line)
    with path.open("rb") as file:
        for _ in range(line):
            file.readline()
        return CsvFile(path, separator, header, file.tell(), line + 1)


def check_names(names: Iterable[str], file: str, line: int | None = None) -> None:
    """Refuse what polars takes for a pattern of several columns, also where it is a name.

    Raises BundleError (``table-header-pattern``).
    """
    for name in names:
        if name == "*" or (name.startswith("^") and name.endswith("$")):
            raise BundleError(
                "table-header-pattern",
                f"A column is called {name!r}, which reads as a pattern of names.",
                hint="Give it another name: not *, and not from ^ to $.",
                file=file,
                line=line,
            )


def line_chunks(path: Path) -> Iterator[bytes]:
    """Whole lines, some megabytes at a time. Raises OSError."""
    rest = b""
    with path.open("rb") as file:
        while data := file.read(CHUNK_BYTES):
            rest += data
            end = rest.rfind(b"\n") + 1
            if end:
                yield rest[:end]
                rest = rest[end:]
    if rest:
        yield rest


def _parse_rows(
    lines: Iterable[bytes], path: Path, separator: str, first: int = 1
) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(_decode(lines, path, first), delimiter=separator, strict=True)
    try:
        for row in reader:
            if row:
                yield reader.line_num + first - 1, row
    except csv.Error as error:
        raise _malformed(path, reader.line_num + first - 1, str(error)) from error


def _decode(lines: Iterable[bytes], path: Path, first: int) -> Iterator[str]:
    for line, data in enumerate(lines, first):
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


def _rows_end(data: bytes, separator: str) -> int:
    """Where the last whole row of ``data``, which begins with a row, surely ends; 0: nowhere."""
    lines = list(io.BytesIO(data))
    reader = csv.reader((line.decode("utf-8", "replace") for line in lines), delimiter=separator)
    complete = 0
    try:
        for _ in reader:
            if reader.line_num < len(lines):
                complete = reader.line_num
    except csv.Error:
        return len(data)  # which parsing will find, too
    return sum(map(len, lines[:complete]))


def _malformed(path: Path, line: int, what: str) -> BundleError:
    return BundleError(
        "csv-malformed",
        f"The line cannot be read as CSV: {what}.",
        hint="Quote a field that holds a comma or quote, and double the quotes inside it.",
        file=path.name,
        line=line,
    )
