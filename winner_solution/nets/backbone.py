"""Two image networks of one family, inverted residual blocks, assembled from their checkpoints.

Sources: MobileNetV2 (Sandler et al. 2018, arXiv 1801.04381) with torchvision's names;
EfficientNet-Lite (Tan & Le 2019, arXiv 1905.11946, without squeeze-and-excitation) with the names
of the PyTorch port.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Tensors = Mapping[str, NDArray[Any]]

MAP_STRIDE = 32  # pixels of the input for one of the last map
MOBILENET_V2_STAGES = ((1, 1), (2, 2), (3, 2), (4, 2), (3, 1), (3, 2), (1, 1))  # (blocks, stride)
EFFICIENTNET_LITE_STAGES = ((1, 1), (2, 2), (2, 2), (3, 2), (3, 1), (4, 2), (1, 1))


@dataclass(frozen=True)
class Convolution:
    """A convolution with the batch normalization that follows folded into it.

    kernel: float32 (out, in / groups, height, width); bias: float32 (out,).
    """

    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]
    stride: int = 1
    groups: int = 1
    relu6: bool = True


@dataclass(frozen=True)
class Block:
    """Expand (absent in the first block), filter each channel, project; `skip` adds the input."""

    expand: Convolution | None
    depthwise: Convolution
    project: Convolution
    skip: bool


@dataclass(frozen=True)
class Backbone:
    """A network up to its last convolution. Pixels 0..255 enter as (value - mean) / scale."""

    stem: Convolution
    blocks: tuple[Block, ...]
    head: Convolution
    padding: Literal["symmetric", "same"]
    mean: tuple[float, float, float]
    scale: tuple[float, float, float]

    @property
    def tap(self) -> int:
        """Index of the last block that halves the map; a rich map of stride 16 enters it."""
        return max(i for i, block in enumerate(self.blocks) if block.depthwise.stride == 2)


def mobilenet_v2(tensors: Tensors) -> Backbone:
    """MobileNetV2 of torchvision. Raises KeyError when a tensor is missing."""

    def conv(name: str, norm: str, stride: int = 1, *, relu6: bool = True) -> Convolution:
        return _fold(tensors, name, norm, 1e-5, stride, relu6=relu6)

    blocks = []
    for i, stride in enumerate(_strides(MOBILENET_V2_STAGES), start=1):
        prefix = f"features.{i}.conv"
        if i == 1:
            expand, at = None, 0
        else:
            expand, at = conv(f"{prefix}.0.0", f"{prefix}.0.1"), 1
        depthwise = conv(f"{prefix}.{at}.0", f"{prefix}.{at}.1", stride)
        project = conv(f"{prefix}.{at + 1}", f"{prefix}.{at + 2}", relu6=False)
        blocks.append(_block(expand, depthwise, project))
    return Backbone(
        stem=conv("features.0.0", "features.0.1", 2),
        blocks=tuple(blocks),
        head=conv("features.18.0", "features.18.1"),
        padding="symmetric",
        mean=(123.675, 116.28, 103.53),
        scale=(58.395, 57.12, 57.375),
    )


def efficientnet_lite(tensors: Tensors, depth: float) -> Backbone:
    """EfficientNet-Lite; `depth` multiplies the blocks of all stages but the first and the last.

    It is 1 for Lite0 and 1.2 for Lite2. Raises KeyError when a tensor is missing.
    """

    def conv(name: str, norm: str, stride: int = 1, *, relu6: bool = True) -> Convolution:
        return _fold(tensors, name, norm, 1e-3, stride, relu6=relu6)

    first, *middle, last = EFFICIENTNET_LITE_STAGES
    stages = (first, *((math.ceil(n * depth), stride) for n, stride in middle), last)
    blocks = []
    for i, stride in enumerate(_strides(stages)):
        prefix = f"_blocks.{i}"
        expand = conv(f"{prefix}._expand_conv", f"{prefix}._bn0") if i else None
        depthwise = conv(f"{prefix}._depthwise_conv", f"{prefix}._bn1", stride)
        project = conv(f"{prefix}._project_conv", f"{prefix}._bn2", relu6=False)
        blocks.append(_block(expand, depthwise, project))
    return Backbone(
        stem=conv("_conv_stem", "_bn0", 2),
        blocks=tuple(blocks),
        head=conv("_conv_head", "_bn1"),
        padding="same",
        mean=(127.0, 127.0, 127.0),
        scale=(128.0, 128.0, 128.0),
    )


def _strides(stages: tuple[tuple[int, int], ...]) -> list[int]:
    """The stride of each block: only the first of a stage halves the map."""
    return [stride if i == 0 else 1 for blocks, stride in stages for i in range(blocks)]


def _block(expand: Convolution | None, depthwise: Convolution, project: Convolution) -> Block:
    width = expand.kernel.shape[1] if expand else depthwise.kernel.shape[0]
    return Block(
        expand, depthwise, project, depthwise.stride == 1 and width == project.kernel.shape[0]
    )


def _fold(
    tensors: Tensors, name: str, norm: str, epsilon: float, stride: int, *, relu6: bool
) -> Convolution:
    kernel = tensors[f"{name}.weight"].astype(np.float64)
    scale = tensors[f"{norm}.weight"] / np.sqrt(tensors[f"{norm}.running_var"] + epsilon)
    bias = tensors[f"{norm}.bias"] - tensors[f"{norm}.running_mean"] * scale
    folded = (kernel * scale[:, None, None, None]).astype(np.float32)
    depthwise = kernel.shape[1] == 1 and kernel.shape[0] > 1
    return Convolution(
        folded, bias.astype(np.float32), stride, kernel.shape[0] if depthwise else 1, relu6
    )
