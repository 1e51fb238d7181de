"""CSV files read with their line numbers, so that every complaint can name the line."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from autodl.errors import BundleError

_NOT_TEXT = {b"PK\x03\x04": "a zip or Excel file", b"\xd0\xcf\x11\xe0": "an old Excel file"}


def read_csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
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
    reader = csv.reader(text.splitlines(keepends=True), strict=True)
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
