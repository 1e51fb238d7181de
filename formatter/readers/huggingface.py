"""Folders of Hugging Face's ``datasets``: Arrow or Parquet files, and what their columns mean.

Either as ``save_to_disk`` leaves them (``data-*.arrow`` beside ``dataset_info.json``, a folder per
split where there are several), or as on the Hub (``train-00000-of-00001.parquet``, in ``data/`` or
not). Class numbers become names. Images and sounds are read from the cells that hold them.
"""

from __future__ import annotations

import functools
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from autodl.errors import UsageError
from formatter.arrow import read_batches, read_schema
from formatter.readers.files import FileIndex, Place, relative_name
from formatter.readers.rows import find_labels
from formatter.scratch import Spool
from formatter.source import Options, Subset
from formatter.tables import (
    SUBSET,
    Part,
    Table,
    complaints_about,
    join_parts,
    scan_parquet,
    typed_part,
)

INFO_NAME = "dataset_info.json"
MEDIA = {"Image": "image", "Audio": "audio"}  # a feature's type, and the kind of source
_SHARD = re.compile(r"(\w+)-\d{5}-of-\d{5}(-\w+)?\.parquet")
_VALIDATION = ("validation", "valid", "val", "dev")
Features = Mapping[str, Mapping[str, Any]]
Frames = Callable[[], Iterable[pl.DataFrame]]


def is_dataset(source: Path) -> bool:
    """Whether such a data set lies in the folder."""
    return source.is_dir() and bool(_find_splits(source))


def read_dataset(source: Path, options: Options) -> tuple[Table, tuple[str, str] | None]:
    """All splits as a table, and the column that holds media, with their kind, if one does.

    Raises BundleError (``table-unreadable``).
    """
    splits = _find_splits(source)
    subsets = _name_subsets(list(splits))
    parts = []
    media: tuple[str, str] | None = None
    for split, paths in splits.items():
        for path in paths:
            with complaints_about(relative_name(path)):
                part, media = _part(path, subsets[split])
                parts.append(part)
    as_written = {*options.label, *([options.group] if options.group else [])}
    return join_parts(parts, as_written, source.name), media


def index_cells(table: Table, column: str, options: Options) -> FileIndex:
    """The files in the cells of a column, each called by its split and number.

    They are put aside in one file.
    """
    if options.group is not None or options.unlabelled is not None:
        raise UsageError(
            "group-unsupported",
            "--group and --unlabelled cannot be used with media in cells.",
            hint="Bring a split called unlabelled, or a split of your own.",
        )
    (label, *more) = find_labels(table, options)
    if more:
        raise UsageError("label-column-unknown", "Media in cells have one label column.")
    spool = Spool(options.scratch)
    files = FileIndex(spool)
    numbers: Counter[str | None] = Counter()
    for frame in table.frames():
        cells = zip(frame[column], frame[label], frame[SUBSET], strict=True)
        for cell, name, subset in cells:
            called = f"{subset or 'row'}/{numbers[subset]}"
            numbers[subset] += 1
            start, size = spool.append(cell or b"")
            labels = (name,) if name is not None and subset != "unlabelled" else ()
            files.add_file(Place(spool.path, size, start, called), called, labels, subset)
    spool.flush()
    return files


def _find_splits(source: Path) -> dict[str, list[Path]]:
    with os.scandir(source) as entries:  # which knows folders without a look at each of many files
        folders = [source, *sorted(Path(entry.path) for entry in entries if entry.is_dir())]
    saved = {p.name: sorted(p.glob("data-*.arrow")) for p in folders if (p / INFO_NAME).is_file()}
    splits: dict[str, list[Path]] = {name: paths for name, paths in saved.items() if paths}
    if not splits:
        for path in sorted([*source.glob("*.parquet"), *source.glob("data/*.parquet")]):
            match = _SHARD.fullmatch(path.name)
            if match:
                splits.setdefault(match[1], []).append(path)
    return splits


def _name_subsets(splits: list[str]) -> dict[str, Subset | None]:
    """What each split is to us: a validation part is for training if there is a test part."""
    if len(splits) == 1:
        return {splits[0]: None}
    named: dict[str, Subset | None] = {}
    for split in splits:
        if split in _VALIDATION:
            named[split] = "train" if "test" in splits else "test"
        elif split in ("unlabelled", "unlabeled", "unsupervised"):
            named[split] = "unlabelled"
        else:
            named[split] = "test" if split == "test" else "train"
    return named


def _part(path: Path, subset: Subset | None) -> tuple[Part, tuple[str, str] | None]:
    """A shard, and which of its columns holds media of which kind."""
    schema, frames, features = _open(path)
    media = next(
        (
            (c, MEDIA[f["_type"]])
            for c, f in features.items()
            if f["_type"] in MEDIA and c in schema
        ),
        None,
    )

    def plain(frame: pl.DataFrame) -> pl.DataFrame:
        """Class numbers as names, -1 as none; the bytes of media."""
        for column, feature in features.items():
            if feature["_type"] == "ClassLabel" and feature.get("names"):
                names = dict(enumerate(map(str, feature["names"])))
                named = pl.col(column).replace_strict(names, default=None, return_dtype=pl.String)
                frame = frame.with_columns(named)
        if media is None:
            return frame
        return frame.with_columns(pl.col(media[0]).struct.field("bytes").alias(media[0]))

    empty = plain(pl.DataFrame(schema=schema))
    part = typed_part(path, subset, empty.schema, lambda: map(plain, frames()))
    if media is not None:
        part = replace(part, types={**part.types, media[0]: pl.Binary})
    return part, media


def _open(path: Path) -> tuple[pl.Schema, Frames, Features]:
    if path.suffix == ".parquet":
        schema, frames = scan_parquet(path)
        info = json.loads(pl.read_parquet_metadata(path).get("huggingface", "{}")).get("info", {})
    else:
        schema, frames = read_schema(path), functools.partial(read_batches, path)
        info = json.loads((path.parent / INFO_NAME).read_bytes())
    features = (info.get("features") or {}).items()
    known = {c: f for c, f in features if isinstance(f, dict) and isinstance(f.get("_type"), str)}
    return schema, frames, known
