"""Where a subset's stored examples come from: one interface for every layout."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autodl.examples import Example
from autodl.metadata import DataSpecification

Floats = NDArray[np.float32]
Block = tuple[Floats, Floats, NDArray[np.bool_]]


class Source(ABC):
    """The stored examples of a subset; ``path`` names it in errors."""

    path: Path
    spec: DataSpecification

    @abstractmethod
    def __len__(self) -> int:
        """Number of examples."""

    @abstractmethod
    def record(self, index: int) -> Example:
        """One stored example. Raises BundleError when it is broken."""

    @abstractmethod
    def place(self, index: int) -> tuple[str, int]:
        """(file, record or row within it, 0-based) of an example, for errors."""

    def labels_only(self, index: int) -> Example:
        """An example of which only id and labels need be there. Raises BundleError."""
        return self.record(index)

    def block(self, first: int, stop: int) -> Block | None:
        """Neighbouring examples of a table, if there is a faster way than one by one.

        Values float32 (n, columns), labels float32 (n, output_dim), and which of them are filled;
        the others are to be read by ``record``.
        """
        return None


class Concatenation(Source):
    """Several sources as one, under one specification."""

    def __init__(self, parts: Sequence[Source], spec: DataSpecification) -> None:
        self._parts = parts
        self._ends = list(accumulate(len(part) for part in parts))
        self.path = parts[0].path
        self.spec = replace(spec, sample_count=self._ends[-1])

    def __len__(self) -> int:
        return self._ends[-1]

    def record(self, index: int) -> Example:
        part, local = self._locate(index)
        return part.record(local)

    def labels_only(self, index: int) -> Example:
        part, local = self._locate(index)
        return part.labels_only(local)

    def block(self, first: int, stop: int) -> Block | None:
        part, local = self._locate(first)
        until = local + stop - first
        return part.block(local, until) if until <= len(part) else None

    def place(self, index: int) -> tuple[str, int]:
        part, local = self._locate(index)
        return part.place(local)

    def _locate(self, index: int) -> tuple[Source, int]:
        number = bisect_right(self._ends, index)
        return self._parts[number], index - (self._ends[number - 1] if number else 0)


class Recoded(Source):
    """A text source whose token codes are those of another vocabulary."""

    def __init__(self, source: Source, vocabulary: Mapping[str, int]) -> None:
        own = source.spec.channel_to_index_map
        self._source = source
        self._codes = np.arange(1 + max(own.values()), dtype=np.float32)
        self._codes[list(own.values())] = [vocabulary[token] for token in own]
        self.path = source.path
        self.spec = replace(source.spec, channel_to_index_map=vocabulary)

    def __len__(self) -> int:
        return len(self._source)

    def record(self, index: int) -> Example:
        record = self._source.record(index)
        if not isinstance(record.dense, np.ndarray):
            return record  # missing or ragged, which decoding refuses
        codes = record.dense.astype(np.int64)
        named = (codes >= 0) & (codes < len(self._codes))
        return replace(record, dense=np.where(named, self._codes[codes * named], codes))

    def place(self, index: int) -> tuple[str, int]:
        return self._source.place(index)
