"""Sparse features of token codes: words, pairs of words, and the letters inside words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .. import config
from ..data import Floats

Codes = list[NDArray[np.int32]]


def count_grams(texts: Codes, order: int, size: int) -> sparse.csr_matrix:
    """Counts of runs of ``order`` codes, float32 (n, size); runs are hashed where they must be."""
    lengths = np.array([max(len(codes) - order + 1, 0) for codes in texts])
    flat = np.concatenate([*texts, np.zeros(0, np.int32)]).astype(np.int64)
    starts = np.cumsum([0] + [len(codes) for codes in texts[:-1]])
    offsets = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    first = np.repeat(starts, lengths) + offsets
    columns = flat[first]
    for step in range(1, order):
        columns = (columns * 1_000_003 + flat[first + step] + step) & 0x7FFFFFFFFFFF
    rows = np.repeat(np.arange(len(texts)), lengths)
    values = np.ones(len(rows), np.float32)
    shape = (len(texts), size)
    return sparse.coo_matrix((values, (rows, columns % size)), shape=shape).tocsr()


def letters_of(vocabulary: tuple[str, ...], size: int) -> sparse.csr_matrix:
    """For each token the counts of its runs of 2 to 5 letters with its borders, (V, size)."""
    rows: list[int] = []
    columns: list[int] = []
    for code, token in enumerate(vocabulary):
        marked = f"<{token[: config.TEXT_TOKEN_LETTERS].lower()}>"
        for order in (2, 3, 4, 5):
            for start in range(len(marked) - order + 1):
                rows.append(code)
                columns.append(_hash(marked[start : start + order]) % size)
    values = np.ones(len(rows), np.float32)
    shape = (len(vocabulary), size)
    return sparse.coo_matrix((values, (rows, columns)), shape=shape).tocsr()


@dataclass(frozen=True)
class TfIdf:
    """Sublinear term frequency times inverse document frequency, rows of length 1."""

    idf: Floats  # (F,); 0 for what was never seen

    @classmethod
    def of(cls, counts: sparse.csr_matrix) -> TfIdf:
        """Learn the document frequencies of (n, F) counts."""
        documents = np.bincount(counts.indices, minlength=counts.shape[1])
        idf = np.log((1 + counts.shape[0]) / (1 + documents)) + 1
        return cls(np.where(documents > 0, idf, 0).astype(np.float32))

    def __call__(self, counts: sparse.csr_matrix) -> sparse.csr_matrix:
        """float32 CSR of the same shape."""
        x = counts.copy()
        x.data = (1 + np.log(x.data)) * self.idf[x.indices]
        squares = np.asarray(x.multiply(x).sum(axis=1)).ravel()
        norm = 1 / np.sqrt(np.maximum(squares, 1e-12))
        x.data *= np.repeat(norm, np.diff(x.indptr)).astype(np.float32)
        return x


def _hash(text: str) -> int:
    """The same in every process, unlike ``hash`` (FNV-1a, 64 bits)."""
    value = 0xCBF29CE484222325
    for letter in text:
        value = ((value ^ ord(letter)) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value
