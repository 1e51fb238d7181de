"""What a reader gives: a source of labelled examples, its index first, its content as a stream."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from autodl.errors import UsageError
from autodl.metadata import MatrixSpec
from autodl.records import Example

Codes = NDArray[np.integer[Any]]  #: of as few bytes as they take
Subset = Literal["train", "test", "unlabelled"]
SUBSETS: tuple[Subset, ...] = ("train", "test", "unlabelled")


@dataclass(frozen=True)
class Options:
    """How to read a source and what to make of it; each is an option of ``autodl format``."""

    label: tuple[str, ...] = ()  #: label column, or several 0/1 columns
    separator: str | None = None  #: between several labels in one cell; None: as the kind has it
    group: str | None = None  #: column whose equal values must not be split apart
    test: float = 0.2  #: share of the test subset where the source has none
    test_part: Path | None = None  #: the test subset, when it lies elsewhere
    seed: int = 0
    max_side: int | None = None  #: pixels; larger images and frames are made smaller
    max_frames: int = 64  #: of a video; 0: all
    sample_rate: int = 16_000  #: of audio, in Hz
    unlabelled: Path | None = None
    name: str | None = None
    kind: str | None = None  #: of source, where it is not to be detected
    resplit: bool = False  #: split an existing bundle anew
    to: Literal["tfrecord", "autospeech"] = "tfrecord"
    jobs: int | None = None  #: processes; None: one a core
    scratch: Path | None = None  #: folder for what is not kept in memory; None: the system's


@dataclass(frozen=True)
class Index:
    """Every example of a source, in its order, without its content: millions are a few arrays.

    ``labels`` (n,) says which of ``label_sets`` a row has, the empty one where none is known
    or applies; ``subsets`` int8 (n,) its place in ``SUBSETS``, -1 where the source is not split;
    ``groups`` (n,) are equal for rows that must not be split apart. ``names``, by which predictions
    are given back, are files' names; without them rows are called by their number in their part.
    """

    label_sets: Sequence[tuple[str, ...]]
    labels: Codes
    subsets: NDArray[np.int8]
    names: Sequence[str] | None = None
    groups: NDArray[np.int32] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def names_of(self, rows: NDArray[np.int32]) -> list[str] | NDArray[np.int32]:
        """What the rows with these numbers are called."""
        if self.names is not None:
            return [self.names[number] for number in rows.tolist()]
        if (self.subsets == self.subsets[:1]).all():
            return rows
        numbers = np.empty(len(self), np.int32)
        for subset in range(-1, len(SUBSETS)):
            inside = self.subsets == subset
            numbers[inside] = np.arange(np.count_nonzero(inside), dtype=np.int32)
        return numbers[rows]


class IndexBuilder:
    """An index that grows by one example at a time."""

    def __init__(self) -> None:
        self._names: list[str] = []  # empty if the examples have none
        self._sets: dict[tuple[str, ...], int] = {}
        self._units: dict[str, int] = {}
        self._labels, self._subsets, self._groups = array("i"), array("b"), array("i")

    def add(
        self,
        name: str | None,
        labels: tuple[str, ...],
        subset: Subset | None,
        group: str | None = None,
    ) -> None:
        """Append an example; either all have a name or none. Without a group it is one itself."""
        if name is not None:
            self._names.append(name)
        self._labels.append(self._sets.setdefault(labels, len(self._sets)))
        self._subsets.append(subset_code(subset))
        self._groups.append(self._units.setdefault(group, len(self._units)) if group else -1)

    def build(self) -> Index:
        """All that were added."""
        labels, subsets = np.array(self._labels, np.int32), np.array(self._subsets, np.int8)
        groups = tell_apart(np.array(self._groups, np.int32)) if self._units else None
        return Index(list(self._sets), labels, subsets, self._names or None, groups)


def tell_apart(groups: NDArray[np.int32]) -> NDArray[np.int32]:
    """The same, where rows of no group, -1, are one each."""
    alone = groups < 0
    groups[alone] = groups.max(initial=0) + 1 + np.arange(np.count_nonzero(alone))
    return groups


def subset_code(subset: Subset | None) -> int:
    """The place in ``SUBSETS``; -1: the source is not split."""
    return -1 if subset is None else SUBSETS.index(subset)


@dataclass(frozen=True)
class Shape:
    """What the metadata say of every example, once all were read."""

    matrix: MatrixSpec
    sequence_size: int = 1
    features: dict[str, int] = field(default_factory=dict)
    channels: dict[str, int] = field(default_factory=dict)


class Source(Protocol):
    """A source found and indexed; nothing of its content is in memory."""

    @property
    def kind(self) -> str:
        """``image``, ``tabular``, ..."""

    @property
    def index(self) -> Index:
        """Every example, in the source's order."""

    @property
    def label_names(self) -> Sequence[str]:
        """In column order."""

    def read(self, rows: NDArray[np.int32]) -> Iterator[Example]:
        """The content of the rows with these numbers, in this order; ids and labels are left out.

        Raises BundleError with the file, and the line where there is one.
        """

    def shape(self) -> Shape:
        """Valid when every row has been read."""


@runtime_checkable
class Table(Source, Protocol):
    """A source that is one table of numbers, which can be written faster."""

    def values(self, rows: NDArray[np.int32]) -> Iterator[NDArray[np.float32]]:
        """The content of the rows with these numbers, in blocks float32 (n, features)."""


@contextmanager
def require_media(what: str) -> Iterator[None]:
    """Import decoders inside; UsageError (``media-not-installed``) when they are not there."""
    try:
        yield
    except ImportError as error:
        raise UsageError(
            "media-not-installed",
            f"Reading {what} needs a package that is not installed: {error.name}.",
            hint="Install it with: pip install 'autodl-self-service[media]'",
        ) from error
