"""Sources of one file an example: loaded by several processes, whatever says where they lie."""

from __future__ import annotations

import io
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, ClassVar, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from autodl.errors import BundleError
from autodl.records import Example
from formatter.parallel import map_in_order
from formatter.source import IndexBuilder, Options, Shape, Subset

_NUMBERS = re.compile(r"(\d+)")
T = TypeVar("T")


class Place(NamedTuple):
    """Where an example's content lies: a file, or a stretch of one, and its size in bytes."""

    path: str
    size: int
    start: int = 0
    called: str | None = None  #: for a stretch, as people know it

    @property
    def name(self) -> str:
        """As people know it: the file with its folder."""
        return self.called or relative_name(Path(self.path))

    def open(self) -> BinaryIO:
        """The content as a file, to be closed by who reads it. Raises OSError."""
        return Path(self.path).open("rb") if self.called is None else io.BytesIO(self.read())

    def read(self) -> bytes:
        """The content. Raises OSError."""
        with io.FileIO(self.path) as file:
            if self.called is None:
                return file.read()
            file.seek(self.start)
            return file.read(self.size)


class FileIndex(IndexBuilder):
    """The examples of a source, and a place for each."""

    def __init__(self, kept: object = None) -> None:
        super().__init__()
        self.places: list[Place] = []
        self.kept = kept  #: what must live as long as the places

    def add_file(
        self,
        place: Place,
        name: str,
        labels: tuple[str, ...],
        subset: Subset | None,
        group: str | None = None,
    ) -> None:
        """Append an example."""
        self.places.append(place)
        self.add(name, labels, subset, group)


@dataclass(frozen=True)
class Loader(Generic[T]):
    """Loads a file in any process, with its name in every complaint.

    Raises BundleError: ``source-file-empty``, ``source-unreadable``, and those of ``load``.
    """

    load: Callable[[Place, Options], T]
    options: Options

    def __call__(self, place: Place) -> T:
        try:
            if not place.size:
                raise BundleError("source-file-empty", "The file is empty.")
            return self.load(place, self.options)
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


class FileSource(ABC, Generic[T]):
    """Such a source; a kind of file adds how one is loaded into a ``T``."""

    kind: ClassVar[str]
    suffixes: ClassVar[frozenset[str]]

    def __init__(self, files: FileIndex, options: Options) -> None:
        self.options = options
        self.files = files
        self.index = files.build()
        self.label_names = sort_labels({n for names in self.index.label_sets for n in names})
        self.loader = Loader(self.load, options)

    def read(self, rows: NDArray[np.int32]) -> Iterator[Example]:
        """See ``Source``; files are loaded by several processes."""
        places = (self.files.places[number] for number in rows.tolist())
        for loaded in map_in_order(
            self.loader, places, lambda place: place.size, self.options.jobs
        ):
            yield self.encode(loaded)

    @staticmethod
    @abstractmethod
    def load(place: Place, options: Options) -> T:
        """Read and decode one file, in any process. BundleErrors get the file's name added."""

    @abstractmethod
    def encode(self, loaded: T) -> Example:
        """Make the example, and note what ``shape`` needs; called in the order of the rows."""

    @abstractmethod
    def shape(self) -> Shape:
        """See ``Source``."""


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
