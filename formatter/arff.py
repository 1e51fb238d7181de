"""ARFF, the table format of Weka and OpenML, dense and sparse, as a frame of text cells."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from autodl.errors import BundleError
from formatter.csvs import LINE

_ATTRIBUTE = re.compile(r"""@attribute\s+('(?:[^'\\]|\\.)*'|"[^"]*"|\S+)\s+(.+)""", re.IGNORECASE)
_MISSING = "?"
csv.field_size_limit(1 << 30)  # a cell may be a whole document
FRAME_ROWS = 4096


def read_arff(path: Path) -> Iterator[pl.DataFrame]:
    """All cells as text, ``?`` null, with ``LINE``, some thousand rows at a time, or none once.

    Raises BundleError (``arff-malformed``).
    """
    names: list[str] = []
    kinds: list[str] = []
    rows: list[list[str | None]] = []
    in_data = False
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, text in enumerate(file, 1):
            text = text.strip()
            if not text or text.startswith("%"):
                continue
            if in_data:
                rows.append([*_read_row(text, kinds, path, number), str(number)])
                if len(rows) == FRAME_ROWS:
                    yield _frame(rows, names)
                    rows = []
            elif text.lower().startswith("@data"):
                in_data = True
            elif text.lower().startswith("@attribute"):
                match = _ATTRIBUTE.match(text)
                if match is None:
                    raise _malformed(path, number, "The attribute has no name or no type.")
                names.append(_unquote(match[1]))
                kinds.append(match[2].strip())
    if not names or len(set(names)) < len(names):
        raise _malformed(path, None, "There are no attributes, or two of one name.")
    yield _frame(rows, names)


def _frame(rows: list[list[str | None]], names: list[str]) -> pl.DataFrame:
    schema = dict.fromkeys([*names, LINE], pl.String)
    return pl.DataFrame(rows, schema, orient="row").with_columns(pl.col(LINE).cast(pl.Int64))


def _read_row(text: str, kinds: list[str], path: Path, line: int) -> list[str | None]:
    if text.startswith("{"):
        return _read_sparse(text, kinds, path, line)
    cells = _split(text)
    if len(cells) != len(kinds):
        raise _malformed(
            path, line, f"The line has {len(cells)} cells; there are {len(kinds)} attributes."
        )
    return [None if cell == _MISSING else cell for cell in cells]


def _read_sparse(text: str, kinds: list[str], path: Path, line: int) -> list[str | None]:
    """What a sparse row leaves out is 0, or the first of an attribute's nominal values."""
    row: list[str | None] = [
        next(iter(_split(kind.strip("{} "))), None) if kind.startswith("{") else "0"
        for kind in kinds
    ]
    try:
        for cell in _split(text.strip("{} ")):
            index, _, value = cell.partition(" ")
            if int(index) < 0:
                raise ValueError
            row[int(index)] = None if value.strip() == _MISSING else _unquote(value.strip())
    except (ValueError, IndexError) as error:
        raise _malformed(path, line, "The sparse row is not {index value, ...}.") from error
    return row


def _split(text: str) -> list[str]:
    quote = '"' if '"' in text and "'" not in text else "'"
    (cells,) = csv.reader([text], quotechar=quote, escapechar="\\", skipinitialspace=True)
    return [cell.strip() for cell in cells]


def _unquote(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


def _malformed(path: Path, line: int | None, what: str) -> BundleError:
    return BundleError(
        "arff-malformed",
        what,
        hint="Save the file anew with the program it came from.",
        file=path.name,
        line=line,
    )
