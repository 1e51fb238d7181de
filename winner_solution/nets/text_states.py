"""A sentence encoder cut in two: tokens run through its lower layers, and the arrays of the rest.

The English encoder is 8-bit ONNX, whose weights are found by the biases that they meet; the other
is read from its own file (``e5.py``).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .e5 import E5File, layer_states
from .transformer import Layers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

MINILM_LAYERS, MINILM_HEADS, MINILM_EPSILON = 6, 12, 1e-12
_MINILM_NAMES = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "mix": "attention.output.dense",
    "inner": "intermediate.dense",
    "outer": "output.dense",
}
_MINILM_NORMS = {"mixed": "attention.output.LayerNorm", "left": "output.LayerNorm"}
_E5_NAMES = {"query": "q", "key": "k", "value": "v", "mix": "ao", "inner": "fi", "outer": "fo"}
_E5_NORMS = {"mixed": "aln", "left": "oln"}


def split_minilm(path: Path, upper: int) -> tuple[bytes, Layers]:
    """The ONNX model up to its last ``upper`` layers, and these layers.

    The model takes what the whole one takes and gives states (n, t, 384).
    """
    import onnx
    from onnx import numpy_helper

    model = onnx.load(str(path))
    made = {name: node for node in model.graph.node for name in node.output}
    values = {tensor.name: tensor for tensor in model.graph.initializer}

    def array(name: str) -> Floats:
        return np.asarray(numpy_helper.to_array(values[name]), np.float32)

    def weights(bias: str) -> Floats:
        (add,) = (node for node in model.graph.node if bias in node.input)
        product = made[next(name for name in add.input if name != bias)]
        scaled = made[product.input[1]]  # scale times the integers as floats
        integers = next(made[name] for name in scaled.input if name in made)
        scale = next(name for name in scaled.input if name in values)
        return array(integers.input[0]) * array(scale)

    layers = []
    for number in range(MINILM_LAYERS - upper, MINILM_LAYERS):
        prefix = f"inner.encoder.layer.{number}."
        layer = {}
        for name, original in _MINILM_NAMES.items():
            layer[f"{name}.b"] = array(f"{prefix}{original}.bias")
            layer[f"{name}.w"] = weights(f"{prefix}{original}.bias")
        for name, original in _MINILM_NORMS.items():
            layer[f"{name}.w"] = array(f"{prefix}{original}.weight")
            layer[f"{name}.b"] = array(f"{prefix}{original}.bias")
        layers.append(layer)
    last = f"inner.encoder.layer.{MINILM_LAYERS - upper - 1}.output.LayerNorm.weight"
    (norm,) = (node for node in model.graph.node if last in node.input)
    del model.graph.output[:]
    model.graph.output.append(onnx.ValueInfoProto(name=norm.output[0]))
    return bytes(model.SerializeToString()), Layers(layers, MINILM_HEADS, MINILM_EPSILON)


def split_e5(file: E5File, upper: int) -> tuple[bytes, Layers]:
    """As ``split_minilm``; the model takes word vectors, as ``e5.sentence_features`` does."""
    layers = []
    for number in range(file.layers - upper, file.layers):
        layer = {}
        for name, short in _E5_NAMES.items():
            columns = file.inner if name == "outer" else file.width
            layer[f"{name}.w"] = np.ascontiguousarray(
                file.matrix(f"l{number}.{short}.w", columns).T
            )
            layer[f"{name}.b"] = file.floats(f"l{number}.{short}.b").copy()
        for name, short in _E5_NORMS.items():
            layer[f"{name}.w"] = file.floats(f"l{number}.{short}.w").copy()
            layer[f"{name}.b"] = file.floats(f"l{number}.{short}.b").copy()
        layers.append(layer)
    return layer_states(file, file.layers - upper), Layers(layers, file.heads, file.epsilon)
