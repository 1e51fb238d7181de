"""Write a backbone as an ONNX graph that turns pixels into features.

Features are two taps in one row: the pooled last map (1,280 numbers), and the expanded map that
enters the last halving block (stride 16), averaged on a 2 x 2 grid. Together they beat either alone
on photographs, X-rays and digits (LOG.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .backbone import Backbone, Convolution

MAP_STRIDE = 32
OPSET = 20
IR_VERSION = 10


class Graph:
    """Nodes and constants in the order of adding; each method returns the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, values: ArrayLike, dtype: type[np.generic] = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        output = f"{operator.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def convolve(self, x: str, conv: Convolution, padding: str) -> str:
        size = conv.kernel.shape[2]
        pads = {"auto_pad": "SAME_UPPER"} if padding == "same" else {"pads": [size // 2] * 4}
        kernel, bias = self.constant(conv.kernel), self.constant(conv.bias)
        y = self.add("Conv", x, kernel, bias, strides=[conv.stride] * 2, group=conv.groups, **pads)
        if not conv.relu6:
            return y
        zero, six = self.constant(0), self.constant(6)
        return self.add("Clip", y, zero, six)

    def serialize(self, output: str, name: str, shape: tuple[str | int, ...]) -> bytes:
        """The model with the one input ``name`` (pixels are uint8, all else float32)."""
        kind = TensorProto.UINT8 if name == "pixels" else TensorProto.FLOAT
        inputs = [helper.make_tensor_value_info(name, kind, shape)]
        outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["n", None])]
        body = helper.make_graph(self.nodes, "features", inputs, outputs, self.constants)
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(body, opset_imports=[opset], ir_version=IR_VERSION)
        return bytes(model.SerializeToString())


def image_features(backbone: Backbone, height: int, width: int) -> bytes:
    """A serialized model: uint8 (n, any height, any width, 3) RGB -> float32 (n, features).

    Pictures are stretched to ``height`` x ``width`` inside. Raises ValueError unless both are
    multiples of 32, so that the 2 x 2 grid has whole cells.
    """
    if min(height, width) <= 0 or height % MAP_STRIDE or width % MAP_STRIDE:
        raise ValueError(f"{height} x {width}: the sides must be multiples of {MAP_STRIDE}")
    graph = Graph()
    x = graph.add("Cast", "pixels", to=TensorProto.FLOAT)
    x = graph.add("Sub", x, graph.constant(backbone.mean))
    x = graph.add("Div", x, graph.constant(backbone.scale))
    x = graph.add("Transpose", x, perm=[0, 3, 1, 2])
    size = graph.constant([height, width], np.int64)
    x = graph.add("Resize", x, "", "", size, mode="linear", axes=[2, 3])
    x = graph.convolve(x, backbone.stem, backbone.padding)
    tap = x
    for i, block in enumerate(backbone.blocks):
        wide = graph.convolve(x, block.expand, backbone.padding) if block.expand else x
        if i == backbone.tap:
            tap = wide
        y = graph.convolve(wide, block.depthwise, backbone.padding)
        y = graph.convolve(y, block.project, backbone.padding)
        x = graph.add("Add", x, y) if block.skip else y
    x = graph.convolve(x, backbone.head, backbone.padding)
    last = graph.add("Flatten", graph.add("GlobalAveragePool", x))
    cell = [height // MAP_STRIDE, width // MAP_STRIDE]
    grid = graph.add("Flatten", graph.add("AveragePool", tap, kernel_shape=cell, strides=cell))
    features = graph.add("Concat", last, grid, axis=1)
    return graph.serialize(features, "pixels", ("n", "height", "width", 3))
