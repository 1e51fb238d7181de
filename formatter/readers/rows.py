"""Tables whose rows are examples: which columns are labels, and what each row is called."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar

import polars as pl

from autodl.errors import BundleError, UsageError
from autodl.records import Example
from formatter.readers.files import sort_labels
from formatter.source import Options, Row, Shape
from formatter.tables import LABEL_NAMES, LINE, SUBSET, Table


class RowSource(ABC):
    """The rows and labels of a table; a kind of table adds what its other columns mean.

    ``features`` is the frame of the other columns. Raises BundleError:
    ``table-label-missing``, ``table-label-not-binary``, ``table-no-features``; UsageError:
    ``label-column-unknown``, ``group-column-unknown``.
    """

    kind: ClassVar[str]
    splits_labels: ClassVar[bool] = False  #: whether a cell may hold several labels

    def __init__(self, table: Table, options: Options) -> None:
        labels = find_labels(table, options)
        self.options = options
        self.file = table.file
        self._multi_label = len(labels) > 1
        known = pl.col(SUBSET).fill_null("") != "unlabelled"
        self._require_labels(table.frame.filter(known), labels)
        group = _find_group(table.header, options.group)
        columns = [c for c in table.header if c not in labels and c != group]
        if not columns:
            raise BundleError(
                "table-no-features",
                "The table has no column but its labels.",
                hint="Name the label column with --label; the others are what is learnt from.",
                file=table.file,
            )
        self.features = table.frame.select(columns)
        self.lines = table.frame[LINE]
        self.rows = self._rows(table.frame, labels, group)
        names = {name for row in self.rows for name in row.labels}
        self.label_names: Sequence[str] = labels if self._multi_label else sort_labels(names)

    @abstractmethod
    def read(self, rows: Sequence[int]) -> Iterator[Example]:
        """See ``Source``."""

    @abstractmethod
    def shape(self) -> Shape:
        """See ``Source``."""

    def _require_labels(self, frame: pl.DataFrame, labels: list[str]) -> None:
        for label in labels:
            missing = frame.filter(pl.col(label).is_null())
            if len(missing) and not self.splits_labels:
                raise BundleError(
                    "table-label-missing",
                    f"The column {label} is empty.",
                    hint="Give the label, or move the row to the unlabelled part (--unlabelled).",
                    file=self.file,
                    line=missing[LINE][0],
                )
            if not self._multi_label:
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

    def _rows(self, frame: pl.DataFrame, labels: list[str], group: str | None) -> list[Row]:
        subsets = frame[SUBSET].to_list()
        groups = frame[group].to_list() if group else [None] * len(frame)
        columns = [
            frame[c].to_list() if c in frame.columns else [None] * len(frame) for c in labels
        ]
        numbers: dict[str | None, int] = {}
        names: dict[tuple[str | None, ...], tuple[str, ...]] = {}
        rows = []
        for subset, unit, *cells in zip(subsets, groups, *columns, strict=True):
            number = numbers[subset] = numbers.get(subset, -1) + 1
            written = tuple(cells) if subset != "unlabelled" else ()
            if written not in names:
                names[written] = self._names(labels, cells) if written else ()
            rows.append(Row(str(number), names[written], subset, unit))
        return rows

    def _names(self, labels: list[str], cells: list[str]) -> tuple[str, ...]:
        if self._multi_label:
            return tuple(name for name, cell in zip(labels, cells, strict=True) if float(cell) == 1)
        if self.splits_labels:
            return tuple((cells[0] or "").split())
        return (cells[0].strip(),)


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
