"""Folders of files, one example each: where they lie, what they are labelled, in which order.

Either a listing beside the files (see ``formatter.readers.listings``), or a folder per class,
named by its label. Both may be already split into ``train/``, ``test/`` and perhaps ``valid/``.

``unlabelled/`` may stand beside them; a ``files.csv`` (column ``FileName``) in it gives the order.
"""

from __future__ import annotations

import re
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar, Generic, TypeVar

from autodl.errors import BundleError, UsageError
from autodl.records import Example
from formatter.parallel import map_in_order
from formatter.readers.listings import find_listing, read_listing
from formatter.source import Options, Row, Shape, Subset
from formatter.tables import find_column, read_csv_rows

FILES_NAME = "files.csv"
VALIDATION = ("valid", "val", "validation")
RESERVED = {"train", "test", "unlabelled", *VALIDATION}
_NUMBERS = re.compile(r"(\d+)")
T = TypeVar("T")


@dataclass(frozen=True)
class Place:
    """A file of the source, its size in bytes, and its name in complaints."""

    path: Path
    bytes: int

    @property
    def name(self) -> str:
        """As people know it: the file with its folder."""
        return relative_name(self.path)


class FileSource(ABC, Generic[T]):
    """The index of such a folder; a kind of file adds how one is loaded into a ``T``.

    Raises BundleError: ``labels-columns-missing``, ``labels-row-short``, ``labels-file-twice``,
    ``source-file-missing``, ``source-path-unsafe``, ``source-unreadable``; UsageError
    (``group-unsupported``).
    """

    kind: ClassVar[str]
    suffixes: ClassVar[frozenset[str]]

    def __init__(self, source: Path, options: Options) -> None:
        if options.group is not None:
            raise UsageError(
                "group-unsupported",
                "Files have no columns, so --group cannot be used with them.",
                hint="Split the files into train/ and test/ yourself: a given split is kept.",
            )
        self.options = options
        self.places: list[Place] = []
        self.rows: list[Row] = []
        for subset, folder in _parts(source, options.test_part):
            listing = find_listing(folder)
            if listing is not None:
                self._add_listed(folder, listing, subset)
            else:
                self._add_classes(folder, subset)
        unlabelled = options.unlabelled or source / "unlabelled"
        if unlabelled.is_dir():
            self._add_unlabelled(unlabelled)
        self.label_names = sort_labels({name for row in self.rows for name in row.labels})

    @classmethod
    def detect(cls, source: Path) -> bool:
        """Whether ``source`` is a folder of files of this kind, by the suffix of its first file."""
        return source.is_dir() and _first_suffix(source) in cls.suffixes

    def read(self, rows: Sequence[int]) -> Iterator[Example]:
        """See ``Source``; files are loaded by several threads."""
        places = (self.places[number] for number in rows)
        for loaded in map_in_order(
            self.load_place, places, lambda place: place.bytes, self.options.jobs
        ):
            yield self.encode(loaded)

    @abstractmethod
    def load(self, path: Path) -> T:
        """Read and decode one file, in any thread. BundleErrors get the file's name added."""

    @abstractmethod
    def encode(self, loaded: T) -> Example:
        """Make the example, and note what ``shape`` needs; called in the order of the rows."""

    @abstractmethod
    def shape(self) -> Shape:
        """See ``Source``."""

    def load_place(self, place: Place) -> T:
        """``load``, with the file's name in every complaint."""
        try:
            if not place.bytes:
                raise BundleError("source-file-empty", "The file is empty.")
            return self.load(place.path)
        except BundleError as error:
            raise BundleError(
                error.code,
                error.message,
                hint=error.hint or "Replace the file, or remove it from the source.",
                file=place.name,
            ) from error
        except OSError as error:
            raise BundleError(
                "source-unreadable",
                f"The file cannot be read: {error.strerror or error}.",
                hint="Replace the file, or remove it from the source.",
                file=place.name,
            ) from error

    def _add_listed(self, folder: Path, listing: Path, subset: Subset | None) -> None:
        seen: set[str] = set()
        for listed in read_listing(listing):
            self._add(folder, listed.name, listing, listed.line, seen)
            self.rows.append(Row(listed.name, listed.labels, subset or listed.subset))

    def _add_classes(self, folder: Path, subset: Subset | None) -> None:
        for label in class_folders(folder, subset is None):
            for place in self._files(label):
                self.places.append(place)
                self.rows.append(Row(f"{label.name}/{place.path.name}", (label.name,), subset))

    def _add_unlabelled(self, folder: Path) -> None:
        path = folder / FILES_NAME
        if not path.is_file():
            for place in self._files(folder):
                self.places.append(place)
                self.rows.append(Row(place.path.name, (), "unlabelled"))
            return
        seen: set[str] = set()
        lines = read_csv_rows(path)
        _, header = next(lines)
        column = find_column(header, ("filename",)) or 0
        for line, cells in lines:
            self._add(folder, cells[column], path, line, seen)
            self.rows.append(Row(cells[column], (), "unlabelled"))

    def _add(
        self, folder: Path, name: str, named_in: Path, line: int | None, seen: set[str]
    ) -> None:
        where = relative_name(named_in)
        relative = PurePosixPath(name.replace("\\", "/"))
        if relative.is_absolute() or ".." in relative.parts or not relative.parts:
            raise BundleError(
                "source-path-unsafe",
                f"{name!r} is not the name of a file in this folder.",
                hint="Give paths relative to the folder of this list.",
                file=where,
                line=line,
            )
        if name in seen:
            raise BundleError(
                "labels-file-twice",
                f"{name} is listed twice.",
                hint="One line a file; several labels are separated by one space.",
                file=where,
                line=line,
            )
        seen.add(name)
        place = _find_file(folder / relative)
        if place is None:
            raise BundleError(
                "source-file-missing",
                f"There is no file {name}.",
                hint="Correct the name or remove the line.",
                file=where,
                line=line,
            )
        self.places.append(place)

    def _files(self, folder: Path) -> list[Place]:
        paths = (path for path in folder.iterdir() if path.suffix.lower() in self.suffixes)
        found = (place for place in map(_find_file, paths) if place is not None)
        return sorted(found, key=lambda place: natural_key(place.path.name))


def _find_file(path: Path) -> Place | None:
    try:
        status = path.stat()
    except (OSError, ValueError):  # not there, or a name that no file can have
        return None
    return Place(path, status.st_size) if stat.S_ISREG(status.st_mode) else None


def sort_labels(names: set[str]) -> list[str]:
    """Label names in the order people expect: 2 before 10."""
    return sorted(names, key=natural_key)


def natural_key(text: str) -> tuple[list[tuple[int, int, str]], str]:
    """Sorts runs of digits by their value, and everything else as text."""
    parts = _NUMBERS.split(text)
    return [(0, int(p), "") if p.isdigit() else (1, 0, p.casefold()) for p in parts if p], text


def relative_name(path: Path) -> str:
    """The file with its folder."""
    return f"{path.parent.name}/{path.name}"


def class_folders(folder: Path, whole: bool) -> list[Path]:
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


def _first_suffix(source: Path) -> str | None:
    """Of the first file that a list names, or that lies in a class's folder."""
    folder = source if find_listing(source) else source / "train"
    folder = folder if folder.is_dir() else source
    listing = find_listing(folder)
    if listing is not None:
        first = next(read_listing(listing), None)
        return PurePosixPath(first.name).suffix.lower() if first else ""
    for label in class_folders(folder, folder == source):
        for file in label.iterdir():
            if file.is_file() and file.suffix:
                return file.suffix.lower()
    return None
