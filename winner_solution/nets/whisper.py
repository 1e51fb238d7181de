"""The encoder of Whisper tiny.en as an ONNX graph, from the power spectra that it is given.

Source: Radford et al. 2022, arXiv 2212.04356, with the names of OpenAI's checkpoint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .graph import Graph

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Tensors = Mapping[str, NDArray[Any]]

RATE = 16_000  # samples a second
WINDOW = 400  # samples
HOP = 160
BANDS, BINS = 80, WINDOW // 2 + 1
HEADS, LAYERS, WIDTH = 6, 4, 384
EPSILON = 1e-5
MIDDLE_LAYER = 2
_HANN = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
_ENCODER = "model_state_dict.encoder"


def speech_features(tensors: Tensors) -> bytes:
    """A serialized model: "power", float32 (1, frames, 201) of ``power_spectra`` -> (1, 1536).

    The features are mean and deviation over time of the middle layer and of the last one; the
    middle one knows more of the voice, the last one of the words. Raises KeyError when a tensor
    is missing.
    """
    graph = Graph()

    def load(name: str) -> NDArray[Any]:
        return tensors[f"{_ENCODER}.{name}"]

    def linear(x: str, name: str) -> str:
        bias = tensors.get(f"{_ENCODER}.{name}.bias")  # keys have none
        return graph.linear(x, load(f"{name}.weight"), bias)

    def norm(x: str, name: str) -> str:
        return graph.normalise(x, load(f"{name}.weight"), load(f"{name}.bias"), EPSILON)

    def attention(x: str, name: str) -> str:
        query, key, value = (linear(x, f"{name}.{part}") for part in ("query", "key", "value"))
        return linear(graph.attend(query, key, value, HEADS, WIDTH), f"{name}.out")

    x = _log_mel(graph, "power")
    for name, stride in (("conv1", 1), ("conv2", 2)):
        kernel, bias = (graph.constant(load(f"{name}.{part}")) for part in ("weight", "bias"))
        x = graph.add("Conv", x, kernel, bias, strides=[stride], pads=[1, 1])
        x = graph.add("Gelu", x)
    x = graph.add("Transpose", x, perm=[0, 2, 1])
    length = graph.add("Shape", x, start=1, end=2)
    first = graph.constant([0], np.int64)
    places = graph.constant(load("positional_embedding"))
    x = graph.add("Add", x, graph.add("Slice", places, first, length))
    middle = x
    for i in range(LAYERS):
        block = f"blocks.{i}"
        x = graph.add("Add", x, attention(norm(x, f"{block}.attn_ln"), f"{block}.attn"))
        y = graph.add("Gelu", linear(norm(x, f"{block}.mlp_ln"), f"{block}.mlp.0"))
        x = graph.add("Add", x, linear(y, f"{block}.mlp.2"))
        if i + 1 == MIDDLE_LAYER:
            middle = x
    pooled = [*_moments(graph, middle), *_moments(graph, norm(x, "ln_post"))]
    return graph.serialize(graph.add("Concat", *pooled, axis=1), {"power": ("n", "frames", BINS)})


def _moments(graph: Graph, x: str) -> tuple[str, str]:
    """Mean and standard deviation over the second axis."""
    axis = graph.constant([1], np.int64)
    mean = graph.add("ReduceMean", x, axis, keepdims=1)
    centred = graph.add("Sub", x, mean)
    variance = graph.add("ReduceMean", graph.add("Mul", centred, centred), axis, keepdims=0)
    return graph.add("Squeeze", mean, axis), graph.add("Sqrt", variance)


def _log_mel(graph: Graph, power: str) -> str:
    """The spectrogram (n, 80, frames): log10 of mel bands, at most 8 below its peak, scaled.

    In the graph and not in NumPy, whose threads for so small a product cost more than it does.
    """
    bands = graph.add("MatMul", power, graph.constant(_slaney_bank().T))
    natural = graph.add("Log", graph.add("Max", bands, graph.constant(1e-10)))
    mel = graph.add("Mul", natural, graph.constant(1 / np.log(10)))
    peak = graph.add("ReduceMax", mel, graph.constant([1, 2], np.int64), keepdims=1)
    mel = graph.add("Max", mel, graph.add("Sub", peak, graph.constant(8)))
    mel = graph.add("Div", graph.add("Add", mel, graph.constant(4)), graph.constant(4))
    return graph.add("Transpose", mel, perm=[0, 2, 1])


def power_spectra(wave: Floats) -> Floats:
    """float32 (frames, 201) of (samples,) in -1..1 at 16 kHz; a hundred frames a second."""
    padded = np.pad(wave, WINDOW // 2, mode="reflect" if len(wave) > WINDOW // 2 else "constant")
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP][: len(wave) // HOP]
    return np.asarray(np.abs(np.fft.rfft(frames * _HANN)) ** 2, np.float32)


def _slaney_bank() -> NDArray[np.float64]:
    """Triangular filters (80, 201), linear below 1 kHz and logarithmic above, of equal area."""
    linear_step, knee = 200 / 3, 15.0  # Hz a mel below the knee; mel of 1 kHz
    log_step = np.log(6.4) / 27
    top = knee + np.log(RATE / 2 / 1000) / log_step
    mels = np.linspace(0, top, BANDS + 2)
    hertz = np.where(mels < knee, mels * linear_step, 1000 * np.exp(log_step * (mels - knee)))
    bins = np.fft.rfftfreq(WINDOW, 1 / RATE)
    rising = (bins - hertz[:-2, None]) / np.diff(hertz)[:-1, None]
    falling = (hertz[2:, None] - bins) / np.diff(hertz)[1:, None]
    area = 2 / (hertz[2:] - hertz[:-2])
    bank: NDArray[np.float64] = np.maximum(0, np.minimum(rising, falling)) * area[:, None]
    return bank
