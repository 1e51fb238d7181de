"""Folders of files, one example each: where they lie, what they are labelled, in which order.

Either a listing beside the files (see ``formatter.readers.listings``), or a folder per class,
named by its label. Both may be already split into ``train/``, ``test/`` and perhaps ``valid/``.

``unlabelled/`` may stand beside them; a ``files.csv`` (column ``FileName``) in it gives the order.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from autodl.errors import BundleError
from formatter.csvs import find_column, read_csv_rows
from formatter.readers.files import FileIndex, Place, natural_key, relative_name
from formatter.readers.listings import find_listing, read_listing
from formatter.source import Options, Subset

FILES_NAME = "files.csv"
VALIDATION = ("valid", "val", "validation")
RESERVED = {"train", "test", "unlabelled", *VALIDATION}


def index_folder(source: Path, options: Options, suffixes: frozenset[str]) -> FileIndex:
    """Every example of the folder, with its labels.

    Raises BundleError: ``source-file-missing``, ``source-path-unsafe``, ``labels-file-twice``, and
    those of ``read_listing``; UsageError: ``group-column-unknown``, ``label-column-unknown``.
    """
    files = FileIndex()
    for subset, folder in _parts(source, options.test_part):
        listing = find_listing(folder)
        if listing is not None:
            _add_listed(files, folder, listing, subset, options)
        else:
            _add_classes(files, folder, suffixes, subset)
    unlabelled = options.unlabelled or source / "unlabelled"
    if unlabelled.is_dir():
        _add_unlabelled(files, unlabelled, suffixes)
    return files


def first_suffix(source: Path, options: Options) -> str | None:
    """Of the first file that a list names, or that lies in a class's folder."""
    folder = source if find_listing(source) else source / "train"
    folder = folder if folder.is_dir() else source
    listing = find_listing(folder)
    if listing is not None:
        first = next(read_listing(listing, options), None)
        if first is None:
            raise BundleError(
                "source-empty", "The list names no file.", file=relative_name(listing), line=1
            )
        return PurePosixPath(first.name).suffix.lower()
    for label in _class_folders(folder, folder == source):
        for file in label.iterdir():
            if file.is_file() and file.suffix:
                return file.suffix.lower()
    return None


def _add_listed(
    files: FileIndex, folder: Path, listing: Path, subset: Subset | None, options: Options
) -> None:
    seen: set[str] = set()
    for listed in read_listing(listing, options):
        place = _locate(folder, listed.name, listing, listed.line, seen)
        files.add_file(place, listed.name, listed.labels, subset or listed.subset, listed.group)


def _add_classes(
    files: FileIndex, folder: Path, suffixes: frozenset[str], subset: Subset | None
) -> None:
    for label in _class_folders(folder, subset is None):
        for place in _files(label, suffixes):
            files.add_file(place, f"{label.name}/{_base_name(place)}", (label.name,), subset)


def _add_unlabelled(files: FileIndex, folder: Path, suffixes: frozenset[str]) -> None:
    path = folder / FILES_NAME
    if not path.is_file():
        for place in _files(folder, suffixes):
            files.add_file(place, _base_name(place), (), "unlabelled")
        return
    seen: set[str] = set()
    lines = read_csv_rows(path)
    _, header = next(lines)
    column = find_column(header, ("filename",)) or 0
    for line, cells in lines:
        place = _locate(folder, cells[column], path, line, seen)
        files.add_file(place, cells[column], (), "unlabelled")


def _locate(folder: Path, name: str, named_in: Path, line: int | None, seen: set[str]) -> Place:
    relative = name.replace("\\", "/")
    if ".." in relative.split("/") or relative.startswith("/") or relative.strip("./") == "":
        raise BundleError(
            "source-path-unsafe",
            f"{name!r} is not the name of a file in this folder.",
            hint="Give paths relative to the folder of this list.",
            file=relative_name(named_in),
            line=line,
        )
    if name in seen:
        raise BundleError(
            "labels-file-twice",
            f"{name} is listed twice.",
            hint="One line a file; several labels are separated by one space.",
            file=relative_name(named_in),
            line=line,
        )
    seen.add(name)
    place = _find_file(f"{folder}/{relative}")
    if place is None:
        raise BundleError(
            "source-file-missing",
            f"There is no file {name}.",
            hint="Correct the name or remove the line.",
            file=relative_name(named_in),
            line=line,
        )
    return place


def _files(folder: Path, suffixes: frozenset[str]) -> list[Place]:
    with os.scandir(folder) as entries:
        paths = [e.path for e in entries if PurePosixPath(e.name).suffix.lower() in suffixes]
    found = (place for place in map(_find_file, paths) if place is not None)
    return sorted(found, key=lambda place: natural_key(_base_name(place)))


def _find_file(path: str) -> Place | None:
    try:
        status = os.stat(path)  # noqa: PTH116 a Path for each file of very many takes too long
    except (OSError, ValueError):  # not there, or a name that no file can have
        return None
    return Place(path, status.st_size) if stat.S_ISREG(status.st_mode) else None


def _base_name(place: Place) -> str:
    return place.path.rpartition("/")[2]


def _class_folders(folder: Path, whole: bool) -> list[Path]:
    """The folders of a source that has one per class; ``whole``: the part is not split."""
    reserved = RESERVED if whole else set()
    found = (p for p in folder.iterdir() if p.is_dir() and p.name[0] not in "._")
    return sorted((p for p in found if p.name not in reserved), key=lambda p: natural_key(p.name))


def _parts(source: Path, test: Path | None) -> Iterator[tuple[Subset | None, Path]]:
    if test is not None:
        yield "train", source
        yield "test", test
        return
    if find_listing(source) is not None or not (source / "train").is_dir():
        yield None, source
        return
    yield "train", source / "train"
    for name in VALIDATION:  # the solution takes its own validation from the training part
        if (source / name).is_dir():
            yield "train", source / name
    if not (source / "test").is_dir():
        raise BundleError(
            "source-file-missing",
            "There is a folder train but no folder test.",
            hint="Bring both parts, or put everything into one folder to have it split.",
            file=source.name,
        )
    yield "test", source / "test"
