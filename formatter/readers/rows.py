"""Tables whose rows are examples: which columns are labels, and what each row holds.

A table is read once, from start to end; its content is kept in files aside.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from autodl.errors import BundleError, UsageError
from autodl.records import Example
from formatter.csvs import LINE
from formatter.parallel import ahead
from formatter.readers.files import sort_labels
from formatter.readers.listings import SEVERAL, split_labels
from formatter.source import Codes, Index, Options, Shape, subset_code, tell_apart
from formatter.tables import LABEL_NAMES, SUBSET, Table

UNLABELLED = subset_code("unlabelled")


class Dictionary:
    """Codes of texts, in order of appearance."""

    def __init__(self) -> None:
        self._kind = pl.Categorical(pl.Categories.random())
        self._kept = pl.Series([], dtype=self._kind)  # else polars may forget the texts

    def codes(self, column: str) -> pl.Expr:
        """Of a column: int32, -1 for null."""
        return pl.col(column).cast(self._kind).to_physical().cast(pl.Int32).fill_null(-1)

    def encode(self, texts: pl.Series) -> NDArray[np.int32]:
        """int32 (n,), -1 for null."""
        return texts.to_frame().select(self.codes(texts.name)).to_series().to_numpy()

    def texts(self) -> pl.Series:
        """Of every code."""
        return self._kind.categories.to_series()

    def decode(self, codes: Codes) -> pl.Series:
        """The texts of codes, null for -1."""
        return self.texts().gather(pl.Series(codes).replace(-1, None))


class RowSource(ABC):
    """The rows and labels of a table; a kind of table adds what its other columns mean.

    ``columns`` are the others. Raises BundleError: ``table-label-missing``,
    ``table-label-not-binary``, ``table-no-features``; UsageError: ``label-column-unknown``,
    ``group-column-unknown``; and what ``Table.frames`` raises.
    """

    kind: ClassVar[str]

    def __init__(self, table: Table, options: Options) -> None:
        self.options = options
        self.file = table.file
        self._labels = find_labels(table, options)
        self._splits = options.separator is not None or self._labels[0].casefold() == SEVERAL
        group = _find_group(table.header, options.group)
        self.columns = [c for c in table.header if c not in self._labels and c != group]
        if not self.columns:
            raise BundleError(
                "table-no-features",
                "The table has no column but its labels.",
                hint="Name the label column with --label; the others are what is learnt from.",
                file=table.file,
            )
        self.begin(table)
        labels, units = Dictionary(), Dictionary()
        codes: list[Codes] = [np.empty(0, np.uint8)]
        groups = [np.empty(0, np.int32)]
        subsets = [np.empty(0, np.int8)]
        for frame in ahead(table.frames()):
            subset = subset_code(frame[SUBSET][0]) if len(frame) else -1  # a frame is of one part
            subsets.append(np.full(len(frame), subset, np.int8))
            if subset == UNLABELLED:
                codes.append(np.zeros(len(frame), np.uint8))
            else:
                self._require_labels(frame.select(LINE, *self._labels))
                written = 1 + labels.encode(self._written(frame))
                codes.append(written.astype(np.min_scalar_type(written.max(initial=0))))
            if group is not None:
                groups.append(units.encode(frame[group]))
            self.take(frame)
        sets = [self._names(written) for written in labels.texts().to_list()]
        self.index = Index(
            [(), *sets],
            np.concatenate(codes),
            np.concatenate(subsets),
            groups=tell_apart(np.concatenate(groups)) if group is not None else None,
        )
        names = {name for row in sets for name in row}
        self.label_names: Sequence[str] = self._labels if self._many else sort_labels(names)

    @abstractmethod
    def begin(self, table: Table) -> None:
        """Make ready for the rows."""

    @abstractmethod
    def take(self, frame: pl.DataFrame) -> None:
        """Put the next rows aside."""

    @abstractmethod
    def read(self, rows: NDArray[np.int32]) -> Iterator[Example]:
        """See ``Source``."""

    @abstractmethod
    def shape(self) -> Shape:
        """See ``Source``."""

    @property
    def _many(self) -> bool:
        """Whether there are several label columns."""
        return len(self._labels) > 1

    def _require_labels(self, frame: pl.DataFrame) -> None:
        for label in self._labels:
            if frame[label].null_count() and not self._splits:
                missing = frame.filter(pl.col(label).is_null())
                raise BundleError(
                    "table-label-missing",
                    f"The column {label} is empty.",
                    hint="Give the label, or move the row to the unlabelled part (--unlabelled);"
                    " if cells hold several labels or none, say what separates them (--separator).",
                    file=self.file,
                    line=missing[LINE][0],
                )
            if not self._many:
                continue
            odd = frame.filter(~pl.col(label).is_in(["0", "1", "0.0", "1.0"]))
            if len(odd):
                raise BundleError(
                    "table-label-not-binary",
                    f"The column {label} holds {odd[label][0]!r}; with several label columns each"
                    " must hold 0 or 1.",
                    hint="For one column of class names give only that column to --label.",
                    file=self.file,
                    line=odd[LINE][0],
                )

    def _written(self, frame: pl.DataFrame) -> pl.Series:
        """The labels of each row as one text."""
        if self._many:
            ones = [pl.col(label).str.head(1).fill_null("0") for label in self._labels]
            return frame.select(pl.concat_str(ones)).to_series()
        return frame[self._labels[0]].fill_null("")

    def _names(self, written: str) -> tuple[str, ...]:
        if self._many:
            return tuple(n for n, cell in zip(self._labels, written, strict=True) if cell == "1")
        if not self._splits:
            return (written.strip(),)
        return tuple(dict.fromkeys(split_labels(written, self.options.separator)))


def find_labels(table: Table, options: Options) -> list[str]:
    """The label columns that are named, or the one that is called so.

    Raises UsageError (``label-column-unknown``).
    """
    wanted = options.label
    if not wanted:
        wanted = tuple(c for c in table.header if c.casefold() in LABEL_NAMES)[:1]
    unknown = [name for name in wanted if name not in table.header]
    if unknown or not wanted:
        what = f"There is no column {unknown[0]!r}." if unknown else "Which column is the label?"
        raise UsageError(
            "label-column-unknown",
            what,
            hint=f"Name it with --label; the columns are: {', '.join(table.header[:50])}.",
            file=table.file,
        )
    return list(wanted)


def _find_group(header: list[str], group: str | None) -> str | None:
    if group is not None and group not in header:
        raise UsageError(
            "group-column-unknown",
            f"There is no column {group!r}.",
            hint=f"The columns are: {', '.join(header[:50])}.",
        )
    return group
