"""Tables of numeric and categorical columns, with missing values.

Each row is a record of float32 values, a missing one NaN. A column that is not numeric in every
part is categorical: its values are numbered in sorted order, and what the numbers mean is kept in
the metadata, as ``column=value``.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from autodl.metadata import Format, MatrixSpec
from autodl.records import Example
from formatter.readers.rows import Dictionary, RowSource
from formatter.scratch import RowFile
from formatter.source import Shape
from formatter.tables import MISSING, Table

MAX_NAMED_CATEGORIES = 10_000  # of one column: more would only swell the metadata
FRAME_ROWS = 8192  # turned from columns into rows at a time, within the processor's cache
Floats = NDArray[np.float32]


class TabularSource(RowSource):
    """See the module. Of text, codes in order of appearance are kept until all is known."""

    kind = "tabular"

    def begin(self, table: Table) -> None:
        """See ``RowSource``."""
        self._rows = RowFile(self.options.scratch, len(self.columns))
        self._texts = {c: Dictionary() for c in self.columns if table.types[c] is pl.String}
        self._meaning: dict[str, Floats] = {}
        self._categories: dict[str, list[str]] = {}

    def take(self, frame: pl.DataFrame) -> None:
        """See ``RowSource``."""
        features = frame.select(
            self._texts[c].codes(c).cast(pl.Float32) if c in self._texts else pl.col(c)
            for c in self.columns
        )
        for block in features.iter_slices(FRAME_ROWS):
            self._rows.append(block.to_numpy(order="c"))

    def read(self, rows: NDArray[np.int32]) -> Iterator[Example]:
        """See ``Source``: each example is one step of one row."""
        for block in self.values(rows):
            for number in range(len(block)):
                yield Example(dense=block[number : number + 1])

    def values(self, rows: NDArray[np.int32]) -> Iterator[Floats]:
        """See ``Table``."""
        meanings = {self.columns.index(c): self._mean(c) for c in self._texts}
        for block in self._rows.read(rows):
            for column, meaning in meanings.items():
                block[:, column] = meaning[block[:, column].astype(np.int32)]
            yield block

    def shape(self) -> Shape:
        """One row of as many columns as there are features."""
        codes = {
            f"{column}={name}": code
            for column in self._texts
            for code, name in enumerate(self._categories.get(column, []))
        }
        matrix = MatrixSpec(
            row_count=1, col_count=len(self.columns), num_channels=1, format=Format.DENSE
        )
        features = {name: index for index, name in enumerate(self.columns)}
        return Shape(matrix, features=features, channels=codes)

    def _mean(self, column: str) -> Floats:
        """What each code of a column stands for, the last one for a missing value.

        Text that is all numbers is what it says; other text is numbered in sorted order.
        """
        if column not in self._meaning:
            texts = self._texts[column].texts().str.strip_chars()
            texts = texts.set(texts.is_in(MISSING), None)
            numbers = texts.cast(pl.Float64, strict=False)
            if numbers.null_count() > texts.null_count():
                names = texts.drop_nulls().unique().sort()
                numbers = texts.cast(pl.Enum(names)).to_physical().cast(pl.Float64)
                if len(names) <= MAX_NAMED_CATEGORIES:
                    self._categories[column] = names.to_list()
            self._meaning[column] = np.append(numbers.to_numpy(), np.nan).astype(np.float32)
        return self._meaning[column]
