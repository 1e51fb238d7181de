"""Run the frozen networks in ONNX Runtime: pixels in, features out."""

from __future__ import annotations

import importlib
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ..weights import WeightsError, get
from .backbone import Backbone, efficientnet_lite, mobilenet_v2
from .torch_file import read_torch

if TYPE_CHECKING:
    from numpy.typing import NDArray

BATCH = 32
EFFICIENTNET_LITE2_DEPTH = 1.2


def require(*libraries: str) -> None:
    """Import what comes with the weights. Raises WeightsError when a library is not installed."""
    for library in libraries:
        try:
            importlib.import_module(library)
        except ImportError:
            raise WeightsError(f"{library} is not installed") from None


def open_session(model: bytes | str, threads: int) -> Any:
    """An ONNX Runtime session on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # cores are shared
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


@cache
def load_backbone(name: str) -> Backbone:
    """The image network of that name in the manifest. Raises WeightsError when it cannot be had."""
    require("onnx", "onnxruntime")
    tensors = read_torch(get(name))
    if name == "mobilenet-v2":
        return mobilenet_v2(tensors)
    return efficientnet_lite(tensors, EFFICIENTNET_LITE2_DEPTH)


class ImageNetwork:
    """A frozen image network at one input size, ready in about 0.1 s.

    Raises WeightsError from the constructor when its weights or libraries are missing.
    """

    def __init__(self, name: str, height: int, width: int, threads: int) -> None:
        backbone = load_backbone(name)
        from .image import image_features

        self._session = open_session(image_features(backbone, height, width), threads)

    def features(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """images: (n, any height, any width, channels) -> (n, features)."""
        batches = (to_rgb(images[i : i + BATCH]) for i in range(0, len(images), BATCH))
        rows = [self._session.run(None, {"pixels": batch})[0] for batch in batches]
        return np.concatenate(rows).astype(np.float32, copy=False)


def to_rgb(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(n, h, w, channels) -> (n, h, w, 3): grey is repeated, what is beyond three is left out."""
    channels = images.shape[-1]
    if channels < 3:
        return np.repeat(images[..., :1], 3, axis=-1)
    return np.ascontiguousarray(images[..., :3])
