"""Features of texts by frozen sentence encoders: one for English, one for every language."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import config
from ..data import Floats, Subset
from ..machine import cores
from ..nets.runtime import open_session, require
from ..split import Rows
from ..weights import get

BATCH = 16
ENGLISH = frozenset("the and of to is in that for you it".split())

Ids = NDArray[np.int64]


class FrozenEnglish:
    """MiniLM-L6 in 8-bit integers, as trained by sentence-transformers: 384 features.

    Source: Wang et al. 2020, arXiv 2002.10957. Raises WeightsError where it cannot be had.
    """

    name = "minilm"

    def __init__(self) -> None:
        require("tokenizers", "onnxruntime")
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(get("minilm-tokenizer")))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(config.ENCODER_MAX_TOKENS)
        self._session = open_session(str(get("minilm")), cores())

    def __reduce__(self) -> tuple[Any, ...]:
        """As it is made: sessions are no part of a saved model."""
        return type(self), ()

    def __call__(self, subset: Subset, rows: Rows) -> Floats:
        """float32 (n, 384)."""
        return self.encode(texts_of(subset, rows))

    def encode(self, texts: Sequence[str]) -> Floats:
        """float32 (n, 384), each of length 1."""
        return _by_length(self.tokenize(texts), self._run)

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text, at most ENCODER_MAX_TOKENS."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]

    def inputs(self, tokens: Sequence[Sequence[int]]) -> dict[str, NDArray[Any]]:
        """What the network reads."""
        ids, mask = _pad(tokens)
        whole = mask.astype(np.int64)
        return {"input_ids": ids, "attention_mask": whole, "token_type_ids": np.zeros_like(ids)}

    def _run(self, tokens: Sequence[Sequence[int]]) -> Floats:
        inputs = self.inputs(tokens)
        states = self._session.run(None, inputs)[0]
        mask = inputs["attention_mask"].astype(np.float32)
        mean = (states * mask[:, :, None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
        return np.asarray(mean, np.float32)


class FrozenMultilingual:
    """multilingual-e5-small with 4-bit weights: 384 features, in a hundred languages.

    Raises WeightsError where it cannot be had.
    """

    name = "e5-small"

    def __init__(self) -> None:
        require("tokenizers", "onnx", "onnxruntime")
        from ..nets.e5 import make_tokenizer, read_e5, sentence_features

        self.file = read_e5(get("e5-small"))
        self._tokenizer = make_tokenizer(self.file, config.ENCODER_MAX_TOKENS)
        self._session = open_session(sentence_features(self.file), cores())

    def __reduce__(self) -> tuple[Any, ...]:
        """As it is made: sessions are no part of a saved model."""
        return type(self), ()

    def __call__(self, subset: Subset, rows: Rows) -> Floats:
        """float32 (n, 384)."""
        return self.encode(texts_of(subset, rows))

    def encode(self, texts: Sequence[str]) -> Floats:
        """float32 (n, 384), each of length 1."""
        return _by_length(self.tokenize(texts), self._run)

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text, at most ENCODER_MAX_TOKENS."""
        asked = [f"query: {text}" for text in texts]  # as it was trained
        return [encoding.ids for encoding in self._tokenizer.encode_batch(asked)]

    def inputs(self, tokens: Sequence[Sequence[int]]) -> dict[str, NDArray[Any]]:
        """What the network reads."""
        ids, mask = _pad(tokens)
        return {"words": self.file.words(ids), "mask": mask}

    def _run(self, tokens: Sequence[Sequence[int]]) -> Floats:
        features = self._session.run(None, self.inputs(tokens))[0]
        return np.asarray(features, np.float32)


def texts_of(subset: Subset, rows: Rows) -> list[str]:
    """The texts again, of their codes; characters stand without spaces between them."""
    words = np.array(subset.shape.vocabulary, object)
    letters = sum(len(word) == 1 for word in subset.shape.vocabulary)
    space = "" if letters > 0.9 * len(words) else " "
    known = (codes[(codes >= 0) & (codes < len(words))] for codes in subset.tokens(rows))
    return [space.join(words[codes]) for codes in known]


def is_english(vocabulary: Sequence[str]) -> bool:
    """Whether most of the commonest English words are there."""
    words = {word.lower() for word in vocabulary}
    return len(ENGLISH & words) > len(ENGLISH) / 2


def _by_length(tokens: list[list[int]], run: Callable[[Sequence[Sequence[int]]], Floats]) -> Floats:
    """Run texts of like length together, and scale what comes to length 1."""
    order = np.argsort([len(ids) for ids in tokens], kind="stable")
    vectors = np.zeros((len(tokens), 384), np.float32)
    for start in range(0, len(order), BATCH):
        batch = order[start : start + BATCH]
        vectors[batch] = run([tokens[i] for i in batch])
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-12), np.float32)


def _pad(tokens: Sequence[Sequence[int]]) -> tuple[Ids, Floats]:
    """Ids (n, t) and mask (n, t), 1 for tokens and 0 for padding."""
    size = max(len(ids) for ids in tokens)
    ids, mask = np.zeros((len(tokens), size), np.int64), np.zeros((len(tokens), size), np.float32)
    for row, known in enumerate(tokens):
        ids[row, : len(known)], mask[row, : len(known)] = known, 1
    return ids, mask
