"""Tables of every kind of file as a stream of frames, with the line of each row."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import polars as pl

from autodl.errors import BundleError
from formatter.arff import read_arff
from formatter.arrow import read_batches, read_schema
from formatter.csvs import LINE, CsvFile, check_names, line_chunks, open_csv
from formatter.parallel import threads_in_order
from formatter.parts import find_parts
from formatter.source import Options, Subset

SUFFIXES = {".csv", ".tsv", ".parquet", ".arrow", ".feather", ".jsonl", ".ndjson", ".arff"}
LABEL_NAMES = ("label", "labels", "class", "target")  # taken where no column is named
MISSING = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "?"]  # in a feature, not in a label
SUBSET = "subset of the row"  # a column of our own, under a name no file has
SAMPLE_ROWS = 1000  # that say which columns of a text file hold numbers, until one does not
SAMPLE_BYTES = 1 << 20
HEAD_ROWS = 10_000
NUMBER = pl.Float32  # as it is written
Types = Mapping[str, type[pl.DataType]]  #: String, NUMBER or wider, or Binary for media


@dataclass(frozen=True)
class Part:
    """A file, with its columns' types.

    ``frames`` gives its rows with ``LINE``, the columns of the types asked for. It raises
    NotNumbersError where one that is to hold numbers does not, and BundleError.
    """

    subset: Subset | None
    types: Types
    frames: Callable[[Types], Iterable[pl.DataFrame]]
    decimal_comma: bool = False


@dataclass(frozen=True)
class Table:
    """Every part of a source, one below the other; ``types`` has the columns of any of them.

    Label and group columns are text; any other column is text where one of its cells is neither
    a number nor ``MISSING``.
    """

    parts: Sequence[Part]
    types: Types
    file: str  #: for complaints

    @property
    def header(self) -> list[str]:
        """The columns' names."""
        return list(self.types)

    def frames(self) -> Iterator[pl.DataFrame]:
        """The rows, some thousand at a time, with ``LINE`` and ``SUBSET``; empty cells are None.

        There is always one, if only an empty one.
        Raises what the parts raise.
        """
        empty = True
        for part in self.parts:
            wanted = {name: self.types[name] for name in part.types}
            lacking = [pl.lit(None, t).alias(c) for c, t in self.types.items() if c not in wanted]
            subset = pl.lit(part.subset, pl.String).alias(SUBSET)
            for frame in part.frames(wanted):
                yield frame.with_columns(*lacking, subset).select(*self.types, LINE, SUBSET)
                empty = False
        if empty:
            yield pl.DataFrame(schema={**self.types, LINE: pl.Int64, SUBSET: pl.String})

    def head(self) -> pl.DataFrame:
        """The first rows."""
        frames = []
        rows = 0
        for frame in self.frames():
            frames.append(frame)
            rows += len(frame)
            if rows >= HEAD_ROWS:
                break
        return pl.concat(frames).head(HEAD_ROWS)

    def with_words(self) -> Table:
        """The same, every cell having been looked at for columns that do not hold numbers."""
        types = dict(self.types)
        for part in self.parts:
            for frame in part.frames(dict.fromkeys(part.types, pl.String)):
                numbers = [c for c in part.types if types[c].is_numeric()]
                words = _numbers_of(frame, numbers, part.decimal_comma)[1]
                types.update(dict.fromkeys(words, pl.String))
        return replace(self, types=types)


class NotNumbersError(Exception):
    """A column that was to hold numbers holds words, too: read anew what ``with_words`` says."""


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
    """All parts of a source; nothing but their first rows is read.

    Raises BundleError: ``table-header-duplicate``, ``table-header-pattern``, ``table-row-ragged``,
    ``source-file-missing``, ``table-unreadable``, and those of ``read_csv_rows``.
    """
    as_written = {*options.label, *([options.group] if options.group else [])}
    parts = [_open(path, subset) for subset, path in find_parts(source, options, find_table)]
    return join_parts(parts, as_written, source.name)


def join_parts(parts: Sequence[Part], as_written: set[str], file: str) -> Table:
    """A table of parts; columns ``as_written``, and those called like labels, are text.

    Raises BundleError (``table-header-pattern``).
    """
    types: dict[str, type[pl.DataType]] = {}
    for name, kind in itertools.chain.from_iterable(part.types.items() for part in parts):
        text = kind is pl.String or name in as_written or name.casefold() in LABEL_NAMES
        types[name] = pl.String if text else types.get(name, kind)
    check_names(types, file)
    return Table(parts, types, file)


@contextmanager
def complaints_about(file: str) -> Iterator[None]:
    """What polars raises as BundleError (``table-unreadable``)."""
    try:
        yield
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        raise BundleError(
            "table-unreadable",
            f"The table cannot be read: {error}.",
            hint="Columns hold numbers or text, not lists; put cells that hold a quote into quotes,"
            " and double the quote inside.",
            file=file,
        ) from error


def typed_part(
    path: Path,
    subset: Subset | None,
    schema: Mapping[str, pl.DataType],
    frames: Callable[[], Iterable[pl.DataFrame]],
) -> Part:
    """A file whose columns have types: truth becomes 0 and 1, what is no number text."""

    def cast(types: Types) -> Iterator[pl.DataFrame]:
        line = 1
        with complaints_about(path.name):
            for frame in frames():
                numbered = frame.with_columns(pl.int_range(line, line + len(frame)).alias(LINE))
                yield _cast(numbered, types)
                line += len(frame)

    return Part(subset, _types_of(schema), cast)


def _open(path: Path, subset: Subset | None) -> Part:
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        return _csv_part(open_csv(path), subset)
    if suffix == ".arff":
        return _arff_part(path, subset)
    with complaints_about(path.name):
        if suffix == ".parquet":
            return typed_part(path, subset, *scan_parquet(path))
        if suffix in (".jsonl", ".ndjson"):
            return _json_part(path, subset)
        return typed_part(path, subset, read_schema(path), lambda: read_batches(path))


def scan_parquet(path: Path) -> tuple[pl.Schema, Callable[[], Iterable[pl.DataFrame]]]:
    """The columns' types, and their rows in frames."""
    scan = pl.scan_parquet(path)
    return scan.collect_schema(), lambda: scan.collect_batches(maintain_order=True)


def _json_part(path: Path, subset: Subset | None) -> Part:
    """JSON lines: a column is text where one of its values is."""

    def frames() -> Iterator[pl.DataFrame]:
        line = 1
        for chunk in line_chunks(path):
            try:
                frame = pl.read_ndjson(chunk, infer_schema_length=None)
            except pl.exceptions.PolarsError as error:
                raise _find_bad_json(chunk, line, path) or error from error
            line += chunk.count(b"\n")
            lacking = [pl.lit(None).alias(name) for name in schema if name not in frame.columns]
            yield frame.with_columns(lacking)

    schema: dict[str, pl.DataType] = {}
    for frame in frames():
        for name, kind in frame.schema.items():
            if name not in schema or not kind.is_numeric():
                schema[name] = kind
    if not schema:
        raise ValueError("it holds no rows")
    return typed_part(path, subset, schema, frames)


def _find_bad_json(chunk: bytes, line: int, path: Path) -> BundleError | None:
    """The first line of ``chunk``, which begins with ``line``, that is no JSON object."""
    for number, text in enumerate(chunk.split(b"\n"), line):
        try:
            sound = not text.strip() or isinstance(json.loads(text), dict)
        except (ValueError, RecursionError):
            sound = False
        if not sound:
            return BundleError(
                "table-unreadable",
                "The line is not a JSON object.",
                hint='Each line is one row, such as {"text": "good", "label": "yes"}.',
                file=path.name,
                line=number,
            )
    return None


def _csv_part(file: CsvFile, subset: Subset | None) -> Part:
    def parse(piece: tuple[int, bytes], types: Types) -> tuple[pl.DataFrame, int]:
        try:
            return file.parse(*piece, types)
        except pl.exceptions.PolarsError:  # a number or quote is not as the fast reader has it
            frame, lines = file.parse_text(*piece)
            return _numbered(frame, types, file.decimal_comma), lines

    def frames(types: Types) -> Iterator[pl.DataFrame]:
        line = file.line
        for frame, lines in threads_in_order(partial(parse, types=types), file.chunks()):
            yield frame.with_columns(pl.col(LINE) + line)
            line += lines

    piece = next(file.chunks(SAMPLE_BYTES), (file.start, b""))
    sample = file.parse_text(*piece)[0].head(SAMPLE_ROWS)
    return Part(subset, _guess(sample, file.decimal_comma), frames, file.decimal_comma)


def _arff_part(path: Path, subset: Subset | None) -> Part:
    def frames(types: Types) -> Iterator[pl.DataFrame]:
        return (_numbered(frame, types, decimal_comma=False) for frame in read_arff(path))

    return Part(subset, _guess(next(read_arff(path)).head(SAMPLE_ROWS), False), frames)


def _guess(sample: pl.DataFrame, decimal_comma: bool) -> Types:
    """What the columns of text seem to hold."""
    columns = [c for c in sample.columns if c != LINE]
    words = _numbers_of(sample, columns, decimal_comma)[1]
    return {c: pl.String if c in words else NUMBER for c in columns}


def _numbered(frame: pl.DataFrame, types: Types, decimal_comma: bool) -> pl.DataFrame:
    """Columns of text as the types that are asked for. Raises NotNumbersError."""
    wanted = {c: kind for c, kind in types.items() if kind.is_numeric()}
    numbers, words = _numbers_of(frame, list(wanted), decimal_comma)
    if words:
        raise NotNumbersError(words)
    return frame.with_columns(number.cast(wanted[number.name]) for number in numbers)


def _numbers_of(
    frame: pl.DataFrame, columns: list[str], decimal_comma: bool
) -> tuple[list[pl.Series], list[str]]:
    """What columns of text say in numbers, and those of them that hold something else."""
    numbers, words = [], []
    for name in columns:
        text = frame[name].str.strip_chars()
        if decimal_comma:
            text = text.str.replace(",", ".", literal=True)
        text = text.set(text.is_in(MISSING), None)
        number = text.cast(pl.Float64, strict=False)
        numbers.append(number)
        if number.null_count() != text.null_count():
            words.append(name)
    return numbers, words


def _types_of(schema: Mapping[str, pl.DataType]) -> Types:
    numbers = (pl.Boolean, pl.Null)
    return {
        name: NUMBER if kind.is_numeric() or kind in numbers else pl.String
        for name, kind in schema.items()
        if name != LINE
    }


def _cast(frame: pl.DataFrame, types: Types) -> pl.DataFrame:
    frame = frame.with_columns(pl.col(pl.Boolean).cast(pl.Int8))
    return frame.with_columns(pl.col(name).cast(kind) for name, kind in types.items())
