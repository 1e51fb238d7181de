"""A sentence encoder cut in two: the graph of its lower layers, and the arrays of the rest."""

from __future__ import annotations

import numpy as np

from .e5 import E5File, layer_states
from .transformer import Layers

_E5_NAMES = {"query": "q", "key": "k", "value": "v", "mix": "ao", "inner": "fi", "outer": "fo"}
_E5_NORMS = {"mixed": "aln", "left": "oln"}


def split_e5(file: E5File, upper: int) -> tuple[bytes, Layers]:
    """The ONNX model up to the last ``upper`` layers, and these layers.

    The model takes what ``e5.sentence_features`` takes and gives states (n, t, 384).
    """
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
