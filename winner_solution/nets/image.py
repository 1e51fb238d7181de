"""A backbone as an ONNX graph that turns pixels into features.

Features are two taps in one row: the pooled last map (1,280 numbers), and the expanded map that
enters the last halving block (stride 16), averaged on a 2 x 2 grid. Together they beat either alone
on photographs, X-rays and digits (LOG.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto

from .backbone import MAP_STRIDE
from .graph import Graph

if TYPE_CHECKING:
    from .backbone import Backbone, Convolution


def image_features(backbone: Backbone, height: int, width: int) -> bytes:
    """A serialized model: uint8 (n, any height, any width, 3) RGB -> float32 (n, features).

    Pictures are stretched to ``height`` x ``width`` inside. Raises ValueError unless both are
    multiples of 32, so that the 2 x 2 grid has whole cells.
    """
    if min(height, width) <= 0 or height % MAP_STRIDE or width % MAP_STRIDE:
        raise ValueError(f"{height} x {width}: the sides must be multiples of {MAP_STRIDE}")
    graph = Graph()

    def convolve(x: str, conv: Convolution) -> str:
        same = backbone.padding == "same"
        pads = {"auto_pad": "SAME_UPPER"} if same else {"pads": [conv.kernel.shape[2] // 2] * 4}
        constants = (graph.constant(conv.kernel), graph.constant(conv.bias))
        strides = [conv.stride] * 2
        y = graph.add("Conv", x, *constants, strides=strides, group=conv.groups, **pads)
        return graph.add("Clip", y, graph.constant(0), graph.constant(6)) if conv.relu6 else y

    x = graph.add("Cast", "pixels", to=TensorProto.FLOAT)
    x = graph.add("Sub", x, graph.constant(backbone.mean))
    x = graph.add("Div", x, graph.constant(backbone.scale))
    x = graph.add("Transpose", x, perm=[0, 3, 1, 2])
    size = graph.constant([height, width], np.int64)
    x = graph.add("Resize", x, "", "", size, mode="linear", axes=[2, 3])
    x = convolve(x, backbone.stem)
    tap = x
    for i, block in enumerate(backbone.blocks):
        wide = convolve(x, block.expand) if block.expand else x
        if i == backbone.tap:
            tap = wide
        y = convolve(convolve(wide, block.depthwise), block.project)
        x = graph.add("Add", x, y) if block.skip else y
    last = graph.add("Flatten", graph.add("GlobalAveragePool", convolve(x, backbone.head)))
    cell = [height // MAP_STRIDE, width // MAP_STRIDE]
    grid = graph.add("Flatten", graph.add("AveragePool", tap, kernel_shape=cell, strides=cell))
    features = graph.add("Concat", last, grid, axis=1)
    shape = ("n", "height", "width", 3)
    return graph.serialize(features, {"pixels": shape}, TensorProto.UINT8)
