"""The last layers of a BERT-like sentence encoder, as plain arrays: run in ONNX, or trained on.

Layers are those of Devlin et al. 2019 (arXiv 1810.04805): attention and a two-layer network, each
added to its input and normalised after it. The sentence is the mean of its tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .graph import Graph

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

MASKED = -1e9
LINEAR = ("query", "key", "value", "mix", "inner", "outer")  # (in, out) weights and their biases
NORMS = ("mixed", "left")  # scales and biases, after the attention and after the network


@dataclass(frozen=True)
class Layers:
    """The arrays of each layer, by ``NAME.w`` and ``NAME.b`` of LINEAR and NORMS."""

    layers: list[dict[str, Floats]]
    heads: int
    epsilon: float

    @property
    def width(self) -> int:
        """Numbers of a token."""
        return int(self.layers[0]["query.w"].shape[0])


@dataclass(frozen=True)
class Head:
    """Logits = (mean of the tokens - centre) @ weights + bias."""

    centre: Floats  # (width,)
    weights: Floats  # (width, C)
    bias: Floats  # (C,)


def upper_model(body: Layers, head: Head) -> bytes:
    """A serialized model: "states" (n, t, width), "mask" (n, t), both float32 -> logits (n, C).

    ``mask`` is 1 for tokens and 0 for padding.
    """
    graph = Graph()
    absent = graph.add("Mul", graph.add("Sub", graph.constant(1), "mask"), graph.constant(MASKED))
    hide = graph.add("Unsqueeze", absent, graph.constant([1, 2], np.int64))
    x = "states"
    for layer in body.layers:

        def linear(x: str, name: str, layer: dict[str, Floats] = layer) -> str:
            return graph.linear(x, layer[f"{name}.w"].T, layer[f"{name}.b"])

        def norm(x: str, name: str, layer: dict[str, Floats] = layer) -> str:
            return graph.normalise(x, layer[f"{name}.w"], layer[f"{name}.b"], body.epsilon)

        query, key, value = (linear(x, part) for part in LINEAR[:3])
        mixed = graph.attend(query, key, value, body.heads, body.width, hide)
        x = norm(graph.add("Add", x, linear(mixed, "mix")), "mixed")
        inner = graph.add("Gelu", linear(x, "inner"))
        x = norm(graph.add("Add", x, linear(inner, "outer")), "left")
    weight = graph.add("Unsqueeze", "mask", graph.constant([2], np.int64))
    over = graph.constant([1], np.int64)
    total = graph.add("ReduceSum", graph.add("Mul", x, weight), over, keepdims=0)
    mean = graph.add("Div", total, graph.add("ReduceSum", "mask", over, keepdims=1))
    centred = graph.add("Sub", mean, graph.constant(head.centre))
    product = graph.add("MatMul", centred, graph.constant(head.weights))
    logits = graph.add("Add", product, graph.constant(head.bias))
    return graph.serialize(logits, {"states": ("n", "t", body.width), "mask": ("n", "t")})


def pad(states: list[Floats], multiple: int = 8) -> tuple[Floats, Floats]:
    """States (n, t, width) and mask (n, t) of texts (t, width) each, t a ``multiple``."""
    longest = max(len(s) for s in states)
    size = -(-longest // multiple) * multiple
    padded = np.zeros((len(states), size, states[0].shape[1]), np.float32)
    mask = np.zeros((len(states), size), np.float32)
    for row, state in enumerate(states):
        padded[row, : len(state)], mask[row, : len(state)] = state, 1
    return padded, mask
