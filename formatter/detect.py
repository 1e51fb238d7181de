"""How a source's kind is found, and with it the reader that fits.

A reader fulfils ``formatter.source.Source``. Folders of files are told by the files' suffix, tables
by their columns.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from autodl.errors import UsageError
from formatter.readers.arrays import ArraySource, is_arrays
from formatter.readers.audio import AudioSource
from formatter.readers.bundles import BundleSource, is_bundle
from formatter.readers.files import relative_name
from formatter.readers.folders import first_suffix, index_folder
from formatter.readers.huggingface import index_cells, is_dataset, read_dataset
from formatter.readers.images import ImageSource
from formatter.readers.libsvm import LibsvmSource, is_libsvm
from formatter.readers.listings import find_listing
from formatter.readers.long import LongSource, find_long
from formatter.readers.rows import RowSource, find_labels
from formatter.readers.series import SeriesSource, is_series
from formatter.readers.tabular import TabularSource
from formatter.readers.text import TextFileSource, TextSource, is_text
from formatter.readers.ts import TsSource, find_ts
from formatter.readers.video import VideoSource
from formatter.source import Options, Source, subset_code
from formatter.tables import NotNumbersError, Table, find_table, is_table, read_table

UNLABELLED = subset_code("unlabelled")
FILES = (ImageSource, AudioSource, VideoSource, TextFileSource)
TABLES: dict[str, type[RowSource]] = {
    reader.kind: reader for reader in (TabularSource, SeriesSource, TextSource)
}
SINGLE: tuple[tuple[Callable[[Path], bool], Callable[[Path, Options], Source]], ...] = (
    (is_arrays, ArraySource),
    (lambda path: find_ts(path) is not None, TsSource),
    (is_libsvm, LibsvmSource),
)


def open_source(source: Path, options: Options) -> Source:
    """Find out what ``source`` is and index it.

    Raises UsageError (``source-missing``, ``source-unknown``, ``test-part-unfit``,
    ``unlabelled-unfit``, ``group-unsupported``), and what the reader raises.
    """
    for place in (source, options.unlabelled):
        if place is not None and not place.exists():
            raise UsageError("source-missing", f"There is no file or folder {place}.")
    if options.test_part is not None:
        _require_one_split(source, options.test_part)
    opened = _open(source, options)
    if options.unlabelled is not None and not (opened.index.subsets == UNLABELLED).any():
        raise UsageError(
            "unlabelled-unfit",
            f"{options.unlabelled} holds no examples for a source of kind {opened.kind}.",
            hint="Give files like those of the source, in a folder or in a table as theirs.",
        )
    if options.group is not None and opened.index.groups is None:
        raise UsageError(
            "group-unsupported",
            f"A source of kind {opened.kind} has no column of groups.",
            hint="Groups are columns of a table or of labels.csv. Or split it yourself: a given"
            " split is kept.",
        )
    return opened


def _open(source: Path, options: Options) -> Source:
    if is_table(source):
        return _open_table(read_table(source, options), options)
    for is_it, reader in SINGLE:
        if is_it(source):
            return reader(source, options)
    if source.is_dir():
        found = _open_folder(source, options)
        if found is not None:
            return found
    raise UsageError(
        "source-unknown",
        f"{source.name} is no kind of source that is known.",
        hint="Known are: a folder of images, audio, video or text files, with a labels.csv"
        " (FileName,Labels) or a folder per class; a table (CSV, TSV, Parquet, Arrow, JSON lines,"
        " ARFF); libsvm, .ts, .npz and .npy files; a folder of Hugging Face's datasets; an existing"
        " bundle; a zip of any of these; and most of them already split into train and test.",
    )


def _open_table(table: Table, options: Options) -> Source:
    if options.kind is not None and options.kind not in TABLES:
        raise UsageError(
            "kind-unfit",
            f"The source is a table, which cannot be of kind {options.kind}.",
            hint="Leave --kind out, or give tabular, series or text.",
        )
    try:
        return _read_rows(table, options)
    except NotNumbersError:
        return _read_rows(table.with_words(), options)


def _read_rows(table: Table, options: Options) -> Source:
    long = find_long(table, options) if options.kind in (None, SeriesSource.kind) else None
    if long is not None:
        return LongSource(table, long, options)
    return TABLES[options.kind or _find_kind(table, options)](table, options)


def _open_folder(source: Path, options: Options) -> Source | None:
    if is_dataset(source):
        table, media = read_dataset(source, options)
        if media is None:
            return _open_table(table, options)
        column, kind = media
        readers = {files.kind: files for files in FILES}
        return readers[kind](index_cells(table, column, options), options)
    suffix = first_suffix(source, options)
    for files in FILES:
        if files.kind == options.kind or (options.kind is None and suffix in files.suffixes):
            return files(index_folder(source, options, files.suffixes), options)
    listing = find_listing(source)
    if listing is not None:
        raise UsageError(
            "source-unknown",
            f"The first file listed is of no known kind: {suffix or 'it has no suffix'}.",
            hint="Known are images, audio, video and .txt files.",
            file=relative_name(listing),
        )
    return BundleSource(source, options) if is_bundle(source) else None


def _require_one_split(source: Path, test: Path) -> None:
    if test.is_dir() != source.is_dir() or not test.exists():
        raise UsageError(
            "test-part-unfit",
            f"{test} is not a share between 0 and 1, nor laid out as the source.",
            hint="Give --test a share, or a file (or folder) of examples like the source.",
        )
    own = (source / "train").is_dir() or find_table(source, "train") or is_bundle(source)
    if own or is_arrays(source):
        raise UsageError(
            "test-part-unfit",
            "The source has a test part of its own, so --test cannot name another.",
            hint="Leave --test out: the split is kept.",
        )


def _find_kind(table: Table, options: Options) -> str:
    labels = find_labels(table, options)
    if is_series([c for c in table.header if c not in labels and c != options.group]):
        return SeriesSource.kind
    return TextSource.kind if is_text(table, options) else TabularSource.kind
