"""Texts, one a row: coded by a vocabulary as the challenge's text sets (formats 1.7).

Chinese and other scripts without spaces are coded by character, everything else by words, split at
single spaces. Codes are given in the order of first appearance: train, then test, then unlabelled.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence

import numpy as np

from autodl.metadata import Format, MatrixSpec
from autodl.records import Example
from formatter.readers.rows import RowSource, find_labels
from formatter.source import Options, Shape
from formatter.tables import Table

UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")
UNSPACED_SHARE = 0.2  # of the letters, for a text to be read by character
SAMPLED_TEXTS = 1000
DISTINCT_SHARE = 0.5  # of a column's values, for it to be text and not categories


class TextSource(RowSource):
    """The only column beside the labels, as text."""

    kind = "text"
    splits_labels = True

    def __init__(self, table: Table, options: Options) -> None:
        super().__init__(table, options)
        (column,) = self.features.iter_columns()
        self._texts: list[str] = column.fill_null("").to_list()
        self._by_character = _is_unspaced(self._texts[:SAMPLED_TEXTS])
        self._codes: dict[str, int] = {}

    def read(self, rows: Sequence[int]) -> Iterator[Example]:
        """See ``Source``: a step holds the code of a token."""
        codes = self._codes
        for number in rows:
            text = self._texts[number]
            tokens = list(text) if self._by_character else text.split(" ")
            coded = [codes.setdefault(_escape(token), len(codes)) for token in tokens or [""]]
            yield Example(dense=np.array(coded, np.float32)[:, None])

    def shape(self) -> Shape:
        """A sequence of single codes, of any length, and the vocabulary."""
        return Shape(
            MatrixSpec(row_count=1, col_count=1, num_channels=1, format=Format.DENSE),
            sequence_size=-1,
            channels=self._codes,
        )


def is_text(table: Table, options: Options) -> bool:
    """Whether there is one column beside the labels, of words that hardly repeat."""
    labels = find_labels(table, options)
    columns = [c for c in table.header if c not in labels and c != options.group]
    if len(columns) != 1:
        return False
    values = table.frame[columns[0]].drop_nulls()
    if not len(values) or values.cast(float, strict=False).null_count() < len(values) / 2:
        return False
    return bool(values.n_unique() > DISTINCT_SHARE * len(values))


def _escape(token: str) -> str:
    """Python's source form without its quotes: how the format's vocabularies spell a token."""
    return repr(token)[1:-1]


def _is_unspaced(texts: Sequence[str]) -> bool:
    letters = [c for text in texts for c in text[:200] if c.isalpha()]
    unspaced = sum(unicodedata.name(c, "").startswith(UNSPACED) for c in letters)
    return unspaced > UNSPACED_SHARE * max(1, len(letters))
