"""What a reader gives: a source of labelled examples, its index first, its content as a stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from autodl.errors import UsageError
from autodl.metadata import MatrixSpec
from autodl.records import Example

Subset = Literal["train", "test", "unlabelled"]


@dataclass(frozen=True)
class Options:
    """How to read a source and what to make of it; each is an option of ``autodl format``."""

    label: tuple[str, ...] = ()  #: label column, or several 0/1 columns
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
    jobs: int | None = None  #: threads; None: one a core


class Row(NamedTuple):
    """One example, without its content."""

    name: str  #: by which its prediction is given back: a file's name, or a row's number
    labels: tuple[str, ...]  #: label names; empty where unknown or none applies
    subset: Subset | None = None  #: None: the source is not split
    group: str | None = None


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
    def rows(self) -> Sequence[Row]:
        """Every example, in the source's order."""

    @property
    def label_names(self) -> Sequence[str]:
        """In column order."""

    def read(self, rows: Sequence[int]) -> Iterator[Example]:
        """The content of the rows with these numbers, in this order; ids and labels are left out.

        Raises BundleError with the file, and the line where there is one.
        """

    def shape(self) -> Shape:
        """Valid when every row has been read."""


@runtime_checkable
class Table(Source, Protocol):
    """A source that is one table of numbers, which can be written faster."""

    @property
    def values(self) -> NDArray[np.float32]:
        """The content of every row: float32 (rows, features)."""


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
