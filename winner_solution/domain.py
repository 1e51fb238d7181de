"""Which kind of data this is: the contest's rule on metadata (AutoDL formats 1.8), and a look
at the first examples where that rule is known to be wrong."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from . import config

if TYPE_CHECKING:
    from autodl.dataset import Metadata


class Domain(enum.Enum):
    """A kind of data, which has its own reader and its own learners."""

    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    SERIES = "series"
    TEXT = "text"
    TABLE = "table"


@dataclass(frozen=True)
class Shape:
    """What the metadata says of an example; sizes of 0 or less vary."""

    steps: int
    rows: int
    cols: int
    channels: int
    compressed: bool
    sparse: bool
    vocabulary: tuple[str, ...]  # by code; empty where there is none
    classes: int
    categories: tuple[int, ...] = ()  # columns of a table whose numbers stand for names

    @classmethod
    def of(cls, metadata: Metadata) -> Shape:
        """The shape that ``metadata`` describes."""
        steps, rows, cols, channels = metadata.get_tensor_shape()
        codes = metadata.get_channel_to_index_map()
        is_table = steps == 1 and 1 in (rows, cols)
        return cls(
            steps,
            rows,
            cols,
            channels,
            metadata.is_compressed(),
            metadata.is_sparse(),
            () if is_table else _vocabulary(codes),
            metadata.get_output_size(),
            _categories(codes, metadata.get_feature_to_index_map()) if is_table else (),
        )


def route(shape: Shape) -> Domain:
    """The domain by metadata alone.

    Unlike the contest's rule, encoded pictures are never tables, and series of vectors
    (one row or one column, several channels) are not video.
    """
    flat = shape.rows == 1 or shape.cols == 1
    if shape.compressed:
        return Domain.IMAGE if shape.steps == 1 else Domain.VIDEO
    if shape.sparse:
        return Domain.TABLE if shape.cols > max(shape.channels, 1) else Domain.TEXT
    if shape.steps == 1:
        return Domain.TABLE if flat else Domain.IMAGE
    if flat:
        return Domain.TEXT if shape.vocabulary else Domain.SERIES
    return Domain.VIDEO


def possible(shape: Shape) -> list[Domain]:
    """The domains that a look at examples may show it to be."""
    domain = route(shape)
    if domain is not Domain.SERIES or not _may_be_sound(shape.rows * shape.cols * shape.channels):
        return [domain]
    return [domain, Domain.AUDIO]


def probe(domain: Domain, examples: list[NDArray[np.float32]]) -> Domain:
    """Correct ``domain`` by a look at some examples, each (T, H, W, C)."""
    if domain is Domain.SERIES and examples:
        steps = np.median([len(example) for example in examples])
        if steps >= config.AUDIO_MIN_STEPS and _may_be_sound(examples[0][0].size):
            return Domain.AUDIO
    return domain


def _may_be_sound(values: int) -> bool:
    """By the number of values a step: mono or stereo."""
    return values <= 2


def _vocabulary(codes: dict[str, int]) -> tuple[str, ...]:
    if not codes:
        return ()
    tokens = [""] * (max(codes.values()) + 1)
    for token, code in codes.items():
        if code >= 0:
            tokens[code] = token
    return tuple(tokens)


def _categories(codes: dict[str, int], columns: dict[str, int]) -> tuple[int, ...]:
    """The columns that the formatter names values of, as ``column=value``; ascending."""
    found = set()
    for name in codes:
        parts = name.split("=")
        found |= {columns.get("=".join(parts[:i]), -1) for i in range(1, len(parts))}
    return tuple(sorted(found - {-1}))
