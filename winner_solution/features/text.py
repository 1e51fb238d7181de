"""Sparse features of token codes: words and pairs of words, and runs of letters across them.

The vocabulary is taken apart once, token by token; a text is then put together from its codes with
array operations alone, at millions of letters a second.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .. import config
from ..data import Floats

Codes = Sequence[NDArray[np.int32]]

_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Pieces:
    """What each token is made of: runs of codes, laid end to end."""

    codes: NDArray[np.int32]
    starts: NDArray[np.intp]  # (V + 1,)

    @classmethod
    def of(cls, parts: Iterable[Sequence[int]]) -> Pieces:
        """From the codes of each token of a vocabulary."""
        listed = [np.asarray(part, np.int32) for part in parts]
        starts = np.cumsum([0] + [len(part) for part in listed])
        return cls(np.concatenate([np.zeros(0, np.int32), *listed]), starts)

    def expand(self, texts: Codes, longest: int) -> Codes:
        """The texts in codes of pieces, at most ``longest`` of them; unknown tokens vanish."""
        return [self._expand(codes)[:longest] for codes in texts]

    def _expand(self, codes: NDArray[np.int32]) -> NDArray[np.int32]:
        codes = codes[codes < len(self.starts) - 1]
        lengths = self.starts[codes + 1] - self.starts[codes]
        ends = np.cumsum(lengths)
        where = np.arange(ends[-1] if len(ends) else 0) + np.repeat(
            self.starts[codes] - (ends - lengths), lengths
        )
        return np.asarray(self.codes[where])


def letters_of(vocabulary: Sequence[str], spaced: bool) -> Pieces:
    """Each token as its small letters, with a space after it where texts are ``spaced``."""
    after = " " if spaced else ""
    return Pieces.of([ord(letter) for letter in token.lower() + after] for token in vocabulary)


def words_of(vocabulary: Sequence[str]) -> Pieces:
    """Each token as its words, without case and punctuation: "Free!" and "free" are the same."""
    known: dict[str, int] = {}
    return Pieces.of(
        [known.setdefault(word, len(known)) for word in _WORD.findall(token.lower())]
        for token in vocabulary
    )


def count_grams(texts: Codes, orders: Sequence[int], size: int) -> sparse.csr_matrix:
    """Counts of runs of codes of these lengths, hashed to ``size`` columns, float32 CSR."""
    flat = np.concatenate([np.zeros(0, np.int32), *texts]).astype(np.uint64)
    ends = np.cumsum([len(codes) for codes in texts])
    rows_of = np.repeat(np.arange(len(texts)), [len(codes) for codes in texts])
    rows, columns = [], []
    key = np.zeros_like(flat)
    for order in range(1, max(orders) + 1):
        key = key[: len(flat) - order + 1] * np.uint64(0x100000001B3) + flat[order - 1 :]
        if order in orders:
            last = np.arange(len(key)) + order - 1
            inside = last < ends[rows_of[: len(key)]] if len(key) else np.zeros(0, bool)
            mixed = (key + np.uint64(order)) * np.uint64(0x9E3779B97F4A7C15)
            rows.append(rows_of[: len(key)][inside])
            columns.append((mixed[inside] >> np.uint64(32)) % np.uint64(size))
    where = (np.concatenate(rows), np.concatenate(columns).astype(np.int64))
    values = np.ones(len(where[0]), np.float32)
    return sparse.coo_matrix((values, where), shape=(len(texts), size)).tocsr()


@dataclass(frozen=True)
class TfIdf:
    """Sublinear term frequency times inverse document frequency, rows of length 1."""

    columns: NDArray[np.intp]  # those that were seen
    idf: Floats  # of each of them

    @classmethod
    def of(cls, counts: sparse.csr_matrix) -> TfIdf:
        """Learn the document frequencies of (n, F) counts; in many texts, once is no evidence."""
        documents = np.bincount(counts.indices, minlength=counts.shape[1])
        columns = np.flatnonzero(documents >= (2 if counts.shape[0] > config.TEXT_MANY else 1))
        idf = np.log((1 + counts.shape[0]) / (1 + documents[columns])) + 1
        return cls(columns, idf.astype(np.float32))

    def __call__(self, counts: sparse.csr_matrix) -> sparse.csr_matrix:
        """float32 CSR (n, columns)."""
        x = counts[:, self.columns]
        x.data = (1 + np.log(x.data)) * self.idf[x.indices]
        squares = np.asarray(x.multiply(x).sum(axis=1)).ravel()
        norm = 1 / np.sqrt(np.maximum(squares, 1e-12))
        x.data *= np.repeat(norm, np.diff(x.indptr)).astype(np.float32)
        return x


def is_spelled(vocabulary: Sequence[str]) -> bool:
    """Whether tokens are single characters (Chinese is formatted so)."""
    few = vocabulary[:1000]
    return bool(few) and float(np.mean([len(token) <= 1 for token in few])) > 0.9
