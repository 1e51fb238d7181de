"""Texts, one a row or one a file: coded by a vocabulary as the challenge's text sets (formats 1.7).

Chinese and other scripts without spaces are coded by character, everything else by words, split at
single spaces. Codes are given in the order of first appearance: train, then test, then unlabelled.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from autodl.errors import BundleError
from autodl.metadata import Format, MatrixSpec
from autodl.records import Example
from formatter.readers.files import FileIndex, FileSource, Place
from formatter.readers.rows import RowSource, find_labels
from formatter.scratch import Spool
from formatter.source import Options, Shape
from formatter.tables import Table

UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")
UNSPACED_SHARE = 0.2  # of the letters, for a text to be read by character
SAMPLED_TEXTS = 1000
DISTINCT_SHARE = 0.5  # of a column's values, for it to be text and not categories


class Vocabulary:
    """Codes of tokens, given as they appear."""

    def __init__(self, sample: Sequence[str]) -> None:
        self._by_character = _is_unspaced(sample)
        self._codes: dict[str, int] = {}

    def encode(self, text: str) -> Example:
        """A step holds the code of a token; an empty text is one empty token."""
        codes = self._codes
        tokens = list(text) if self._by_character else text.split(" ")
        coded = [codes.setdefault(_escape(token), len(codes)) for token in tokens or [""]]
        return Example(dense=np.array(coded, np.float32)[:, None])

    def shape(self) -> Shape:
        """A sequence of single codes, of any length, and the vocabulary."""
        return Shape(
            MatrixSpec(row_count=1, col_count=1, num_channels=1, format=Format.DENSE),
            sequence_size=-1,
            channels=self._codes,
        )


class TextSource(RowSource):
    """The only column beside the labels, as text."""

    kind = "text"

    def begin(self, table: Table) -> None:
        """See ``RowSource``."""
        (self._column,) = self.columns
        self._texts = Spool(self.options.scratch)
        head = table.head()[self._column].head(SAMPLED_TEXTS)
        self._vocabulary = Vocabulary(head.cast(pl.String).fill_null("").to_list())

    def take(self, frame: pl.DataFrame) -> None:
        """See ``RowSource``."""
        texts = frame[self._column].cast(pl.String).fill_null("").to_list()
        for text in texts:
            self._texts.append(text.encode())

    def read(self, rows: NDArray[np.int32]) -> Iterator[Example]:
        """See ``Source``."""
        self._texts.flush()
        for number in rows.tolist():
            yield self._vocabulary.encode(self._texts.read(number).decode())

    def shape(self) -> Shape:
        """See ``Vocabulary``."""
        return self._vocabulary.shape()


class TextFileSource(FileSource[str]):
    """A folder of text files. Raises BundleError (``text-not-utf8``) and what files raise."""

    kind = "text"
    suffixes = frozenset({".txt"})

    def __init__(self, files: FileIndex, options: Options) -> None:
        super().__init__(files, options)
        step = max(1, len(files.places) // SAMPLED_TEXTS)
        self._vocabulary = Vocabulary([self.loader(p) for p in files.places[::step]])

    @staticmethod
    def load(place: Place, options: Options) -> str:
        """See ``FileSource``."""
        try:
            return place.read().decode("utf-8-sig").strip()
        except UnicodeDecodeError as error:
            raise BundleError(
                "text-not-utf8",
                f"Byte {error.start} is not UTF-8.",
                hint="Save the file as UTF-8.",
            ) from error

    def encode(self, loaded: str) -> Example:
        """See ``Vocabulary``."""
        return self._vocabulary.encode(loaded)

    def shape(self) -> Shape:
        """See ``Vocabulary``."""
        return self._vocabulary.shape()


def is_text(table: Table, options: Options) -> bool:
    """Whether there is one column beside the labels, of words that hardly repeat."""
    labels = find_labels(table, options)
    columns = [c for c in table.header if c not in labels and c != options.group]
    if len(columns) != 1:
        return False
    values = table.head()[columns[0]].drop_nulls()
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
