"""Features of English texts by MiniLM-L6, a frozen sentence encoder in 8-bit integers.

Source: Wang et al. 2020, arXiv 2002.10957, as trained by sentence-transformers: mean of the last
layer over the tokens, unit length.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..budget import cores
from ..data import Floats, Subset
from ..nets.runtime import open_session, require
from ..split import Rows
from ..weights import get

MAX_TOKENS = 128
BATCH = 16
LATIN_SHARE = 0.9  # of a vocabulary's letters; below, the texts are not English
SAMPLE_WORDS = 5000


class FrozenText:
    """384 features of each text. Raises WeightsError where the encoder cannot be had."""

    name = "minilm"

    def __init__(self) -> None:
        require("tokenizers", "onnxruntime")
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(get("minilm-tokenizer")))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._session = open_session(str(get("minilm")), cores())

    def __call__(self, subset: Subset, rows: Rows) -> Floats:
        """float32 (n, 384)."""
        words = np.array(subset.shape.vocabulary, object)
        known = (codes[(codes >= 0) & (codes < len(words))] for codes in subset.tokens(rows))
        return self.encode([" ".join(words[codes]) for codes in known])

    def encode(self, texts: Sequence[str]) -> Floats:
        """float32 (n, 384), each of length 1; texts of like length go through together."""
        tokens = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        order = np.argsort([len(ids) for ids in tokens], kind="stable")
        vectors = np.zeros((len(texts), 384), np.float32)
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            vectors[batch] = self._run([tokens[i] for i in batch])
        return vectors

    def _run(self, tokens: list[list[int]]) -> Floats:
        size = max(len(ids) for ids in tokens)
        ids = np.zeros((len(tokens), size), np.int64)
        mask = np.zeros_like(ids)
        for i, known in enumerate(tokens):
            ids[i, : len(known)], mask[i, : len(known)] = known, 1
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        states = self._session.run(None, inputs)[0]
        mean = (states * mask[:, :, None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
        return np.asarray(mean / np.linalg.norm(mean, axis=1, keepdims=True), np.float32)


def is_latin(vocabulary: Sequence[str]) -> bool:
    """Whether these words are written in Latin letters without marks, as English is."""
    step = max(1, len(vocabulary) // SAMPLE_WORDS)
    letters = [c for word in vocabulary[::step] for c in word if c.isalpha()]
    return bool(letters) and sum(c.isascii() for c in letters) >= LATIN_SHARE * len(letters)
