"""Folders of Hugging Face's ``datasets``: Arrow or Parquet files, and what their columns mean.

Either as ``save_to_disk`` leaves them (``data-*.arrow`` beside ``dataset_info.json``, a folder per
split where there are several), or as on the Hub (``train-00000-of-00001.parquet``, in ``data/`` or
not). Class numbers become names. Images and sounds are read from the cells that hold them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import polars.selectors as cs

from autodl.errors import BundleError, UsageError
from formatter.readers.files import Index, Place
from formatter.readers.rows import find_labels
from formatter.source import Options, Row, Subset
from formatter.tables import LINE, SUBSET, Table

INFO_NAME = "dataset_info.json"
MEDIA = {"Image": "image", "Audio": "audio"}  # a feature's type, and the kind of source
_SHARD = re.compile(r"(\w+)-\d{5}-of-\d{5}(-\w+)?\.parquet")
_VALIDATION = ("validation", "valid", "val", "dev")
Features = Mapping[str, Mapping[str, Any]]


def is_dataset(source: Path) -> bool:
    """Whether such a data set lies in the folder."""
    return source.is_dir() and bool(_find_splits(source))


def read_dataset(source: Path) -> tuple[Table, tuple[str, str] | None]:
    """All splits as a table, and the column that holds media, with their kind, if one does.

    Raises BundleError (``table-unreadable``).
    """
    splits = _find_splits(source)
    subsets = _name_subsets(list(splits))
    frames = []
    media: tuple[str, str] | None = None
    for split, paths in splits.items():
        for path in paths:
            try:
                frame, features = _read(path)
                media = next(
                    ((c, MEDIA[f["_type"]]) for c, f in features.items() if f["_type"] in MEDIA),
                    None,
                )
                frame = _plain(frame, features, media[0] if media else None)
            except (pl.exceptions.PolarsError, OSError, ValueError, KeyError, TypeError) as error:
                raise BundleError(
                    "table-unreadable",
                    f"The table cannot be read: {error}.",
                    hint="Columns must hold numbers, text, images or sounds, not lists.",
                    file=f"{path.parent.name}/{path.name}",
                ) from error
            frames.append(frame.with_columns(pl.lit(subsets[split], pl.String).alias(SUBSET)))
    frame = pl.concat(frames, how="diagonal_relaxed")
    frame = frame.with_columns(pl.int_range(1, len(frame) + 1).alias(LINE))
    return Table(frame, [c for c in frame.columns if c not in (SUBSET, LINE)], source.name), media


def index_cells(table: Table, column: str, options: Options) -> Index:
    """The files in the cells of a column, each called by its split and number."""
    if options.group is not None or options.unlabelled is not None:
        raise UsageError(
            "group-unsupported",
            "--group and --unlabelled cannot be used with media in cells.",
            hint="Bring a split called unlabelled, or a split of your own.",
        )
    index = Index()
    (label, *more) = find_labels(table, options)
    if more:
        raise UsageError("label-column-unknown", "Media in cells have one label column.")
    numbers: dict[str | None, int] = {}
    names = table.frame[label].cast(pl.String).to_list()
    for cell, name, subset in zip(table.frame[column], names, table.frame[SUBSET], strict=True):
        number = numbers[subset] = numbers.get(subset, -1) + 1
        data = (cell or {}).get("bytes") or b""
        labels = (name,) if name is not None and subset != "unlabelled" else ()
        called = f"{subset or 'row'}/{number}"
        index.add(Place(Path(called), len(data), data), Row(called, labels, subset))
    return index


def _find_splits(source: Path) -> dict[str, list[Path]]:
    folders = [source, *sorted(p for p in source.iterdir() if p.is_dir())]
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


def _read(path: Path) -> tuple[pl.DataFrame, Features]:
    if path.suffix == ".parquet":
        info = json.loads(pl.read_parquet_metadata(path).get("huggingface", "{}"))
        return pl.read_parquet(path), info.get("info", {}).get("features", {})
    info = json.loads((path.parent / INFO_NAME).read_bytes())
    with path.open("rb") as file:
        stream = file.read(6) != b"ARROW1"
    return (pl.read_ipc_stream if stream else pl.read_ipc)(path), info.get("features") or {}


def _plain(frame: pl.DataFrame, features: Features, media: str | None) -> pl.DataFrame:
    """Class numbers as names, -1 as none; truth as 0 and 1; other cells as numbers or text."""
    for column, feature in features.items():
        if feature["_type"] == "ClassLabel" and feature.get("names"):
            names = dict(enumerate(map(str, feature["names"])))
            frame = frame.with_columns(
                pl.col(column).replace_strict(names, default=None, return_dtype=pl.String)
            )
    frame = frame.with_columns(pl.col(pl.Boolean).cast(pl.Int8))
    text = cs.exclude(cs.numeric(), *([media] if media else []))
    return frame.with_columns(text.cast(pl.String))
