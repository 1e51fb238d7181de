"""Tables of numeric and categorical columns, with missing values.

Each row is a record of float32 values, a missing one NaN. A column that is not numeric in every
part is categorical: its values are numbered in sorted order, and what the numbers mean is kept in
the metadata, as ``column=value``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from autodl.metadata import Format, MatrixSpec
from autodl.records import Example
from formatter.readers.rows import RowSource
from formatter.source import Options, Shape
from formatter.tables import Table

MISSING = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "?"]  # in a feature, not in a label
MAX_NAMED_CATEGORIES = 10_000  # of one column: more would only swell the metadata


class TabularSource(RowSource):
    """See the module."""

    kind = "tabular"

    def __init__(self, table: Table, options: Options) -> None:
        super().__init__(table, options)
        self._categories: dict[str, list[str]] = {}
        self.values = self._encode(self.features)
        self.features = self.features.clear()  # as large as the values

    def read(self, rows: Sequence[int]) -> Iterator[Example]:
        """See ``Source``: each example is one step of one row."""
        for number in rows:
            yield Example(dense=self.values[number : number + 1])

    def shape(self) -> Shape:
        """One row of as many columns as there are features."""
        codes = {
            f"{column}={name}": code
            for column, names in self._categories.items()
            if len(names) <= MAX_NAMED_CATEGORIES
            for code, name in enumerate(names)
        }
        matrix = MatrixSpec(
            row_count=1, col_count=self.values.shape[1], num_channels=1, format=Format.DENSE
        )
        features = {name: index for index, name in enumerate(self.features.columns)}
        return Shape(matrix, features=features, channels=codes)

    def _encode(self, table: pl.DataFrame) -> NDArray[np.float32]:
        """float32 (rows, features); notes the names of the categories of each that has them."""
        values = np.empty(table.shape, np.float32)
        for index, column in enumerate(table.iter_columns()):
            numbers = column if column.dtype.is_numeric() else self._code(column)
            values[:, index] = numbers.cast(pl.Float32).fill_null(np.nan).to_numpy()
        return values

    def _code(self, column: pl.Series) -> pl.Series:
        """Numbers of a column of text: what it says, or else the codes of its categories."""
        text = column.cast(pl.String).str.strip_chars()
        text = text.set(text.is_in(MISSING), None)
        numbers = text.cast(pl.Float64, strict=False)
        if numbers.null_count() == text.null_count():
            return numbers
        names = sorted(text.drop_nulls().unique().to_list())
        self._categories[column.name] = names
        return text.cast(pl.Enum(names)).to_physical()
