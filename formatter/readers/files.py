"""Sources of one file an example: loaded by several threads, whatever says where they lie."""

from __future__ import annotations

import io
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, ClassVar, Generic, TypeVar

from autodl.errors import BundleError
from autodl.records import Example
from formatter.parallel import map_in_order
from formatter.source import Options, Row, Shape

_NUMBERS = re.compile(r"(\d+)")
T = TypeVar("T")


@dataclass(frozen=True)
class Place:
    """A file of the source, or one kept in a table's cell, and its size in bytes."""

    path: Path
    size: int
    data: bytes | None = None  #: the content, where it is in a cell

    @property
    def name(self) -> str:
        """As people know it: the file with its folder."""
        return relative_name(self.path)

    def open(self) -> BinaryIO:
        """The content as a file, to be closed by who reads it. Raises OSError."""
        return self.path.open("rb") if self.data is None else io.BytesIO(self.data)

    def read(self) -> bytes:
        """The content. Raises OSError."""
        return self.path.read_bytes() if self.data is None else self.data


@dataclass
class Index:
    """The examples of a source, one place a row."""

    places: list[Place] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)

    def add(self, place: Place, row: Row) -> None:
        """Append an example."""
        self.places.append(place)
        self.rows.append(row)


class FileSource(ABC, Generic[T]):
    """Such a source; a kind of file adds how one is loaded into a ``T``.

    Raises BundleError: ``source-file-empty``, ``source-unreadable``.
    """

    kind: ClassVar[str]
    suffixes: ClassVar[frozenset[str]]

    def __init__(self, index: Index, options: Options) -> None:
        self.options = options
        self.places = index.places
        self.rows = index.rows
        self.label_names = sort_labels({name for row in self.rows for name in row.labels})

    def read(self, rows: Sequence[int]) -> Iterator[Example]:
        """See ``Source``; files are loaded by several threads."""
        places = (self.places[number] for number in rows)
        for loaded in map_in_order(
            self.load_place, places, lambda place: place.size, self.options.jobs
        ):
            yield self.encode(loaded)

    @abstractmethod
    def load(self, place: Place) -> T:
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
            if not place.size:
                raise BundleError("source-file-empty", "The file is empty.")
            return self.load(place)
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
