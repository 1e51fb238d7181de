"""Write a network as an ONNX graph, layer by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

OPSET = 20
IR_VERSION = 10


class Graph:
    """Nodes and constants in the order of adding; each method returns the name of its output."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def constant(self, values: ArrayLike, dtype: type[np.generic] = np.float32) -> str:
        """A constant of any shape."""
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Any operator of ONNX with one output."""
        output = f"{operator.lower()}{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def linear(self, x: str, weight: ArrayLike, bias: ArrayLike | None = None) -> str:
        """x @ weight.T + bias over the last axis, in 8-bit integers; weight is (out, in).

        Weights have one scale an output, inputs one a call. Twice as fast as float32, and as good
        for features (LOG.md).
        """
        values = np.asarray(weight, np.float32).T
        scales = np.maximum(np.abs(values).max(axis=0), 1e-12) / 127
        parts = [f"{part}{len(self._nodes)}" for part in ("integers", "scale", "zero")]
        self._nodes.append(helper.make_node("DynamicQuantizeLinear", [x], parts))
        integers = self.constant(np.round(values / scales), np.int8)
        none = self.constant(np.zeros(len(scales)), np.int8)
        y = self.add("MatMulInteger", parts[0], integers, parts[2], none)
        y = self.add("Cast", y, to=TensorProto.FLOAT)
        y = self.add("Mul", y, self.add("Mul", parts[1], self.constant(scales)))
        return y if bias is None else self.add("Add", y, self.constant(bias))

    def normalise(self, x: str, scale: ArrayLike, bias: ArrayLike, epsilon: float) -> str:
        """Layer normalization over the last axis."""
        constants = (self.constant(scale), self.constant(bias))
        return self.add("LayerNormalization", x, *constants, axis=-1, epsilon=epsilon)

    def attend(
        self, query: str, key: str, value: str, heads: int, width: int, mask: str | None = None
    ) -> str:
        """Attention of (n, t, width) parts; ``mask`` is added to the scores (n, heads, t, t)."""
        size = width // heads
        split = self.constant([0, 0, heads, size], np.int64)

        def part(x: str, order: tuple[int, ...]) -> str:
            return self.add("Transpose", self.add("Reshape", x, split), perm=order)

        scores = self.add("MatMul", part(query, (0, 2, 1, 3)), part(key, (0, 2, 3, 1)))
        scores = self.add("Mul", scores, self.constant(size**-0.5))
        if mask is not None:
            scores = self.add("Add", scores, mask)
        mixed = self.add("MatMul", self.add("Softmax", scores, axis=-1), part(value, (0, 2, 1, 3)))
        flat = self.add("Transpose", mixed, perm=[0, 2, 1, 3])
        return self.add("Reshape", flat, self.constant([0, 0, width], np.int64))

    def serialize(
        self, output: str, inputs: dict[str, tuple[str | int, ...]], kind: int = TensorProto.FLOAT
    ) -> bytes:
        """The model; ``inputs`` are shapes by name, all of one ``kind``, the output is float32."""
        values = [helper.make_tensor_value_info(n, kind, shape) for n, shape in inputs.items()]
        outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)]
        body = helper.make_graph(self._nodes, "network", values, outputs, self._constants)
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(body, opset_imports=[opset], ir_version=IR_VERSION)
        return bytes(model.SerializeToString())
