"""Features of sounds and of speech by frozen networks. Sounds are taken to be at 16 kHz.

Sources: Google's YAMNet (521 kinds of sound, learned from AudioSet; its last layer's logits serve
better than its embedding on small sets, LOG.md), and the encoder of Whisper (``nets/whisper.py``).
"""

from __future__ import annotations

import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from .. import config
from ..data import Floats, Subset, spread
from ..machine import cores
from ..nets.runtime import open_session, require
from ..nets.torch_file import read_torch
from ..split import Rows
from ..weights import get

WINDOW = 15_600  # samples: 0.975 s at 16 kHz
HOP = 7_800
INTEGER_SCALE = 32_768.0  # of samples that were kept as 16-bit integers
LOGITS = "BiasAdd"  # in the name of the tensor before the sigmoid
CLASSES = 521
SPEECH_MIN_SAMPLES = 1_600


class FrozenSound:
    """Mean and maximum over a clip's windows of YAMNet's logits: 1,042 features.

    Raises WeightsError where the network cannot be had.
    """

    name = "yamnet"

    def __init__(self) -> None:
        require("ai_edge_litert.interpreter")
        self._path = str(get("yamnet"))
        self._local = threading.local()
        self._pool = ThreadPoolExecutor(cores(), thread_name_prefix="yamnet")

    def __reduce__(self) -> tuple[Any, ...]:
        """As it is made: sessions are no part of a saved model."""
        return type(self), ()

    def __call__(self, subset: Subset, rows: Rows) -> Floats:
        """float32 (n, 1042)."""
        return np.stack(list(self._pool.map(self._describe, subset.series(rows))))

    def _describe(self, series: Floats) -> Floats:
        network = self._network()
        logits = np.stack([network(window) for window in windows(wave_of(series))])
        return np.concatenate([logits.mean(axis=0), logits.max(axis=0)])

    def _network(self) -> _Network:
        """An interpreter serves one thread."""
        if not hasattr(self._local, "network"):
            self._local.network = _Network(self._path)
        network: _Network = self._local.network
        return network


class FrozenSpeech:
    """Whisper's encoder on at most five seconds of a clip: 1,536 features.

    Raises WeightsError where the network cannot be had.
    """

    name = "whisper-tiny-en"

    def __init__(self) -> None:
        require("onnx", "onnxruntime")
        from ..nets.whisper import speech_features

        # One clip a thread: clips differ in length, and threads inside a clip gain less.
        model = speech_features(read_torch(get("whisper-tiny-en")))
        self._session = open_session(model, threads=1)
        self._pool = ThreadPoolExecutor(cores(), thread_name_prefix="whisper")

    def __reduce__(self) -> tuple[Any, ...]:
        """As it is made: sessions are no part of a saved model."""
        return type(self), ()

    def __call__(self, subset: Subset, rows: Rows) -> Floats:
        """float32 (n, 1536)."""
        return np.concatenate(list(self._pool.map(self._describe, subset.series(rows))))

    def _describe(self, series: Floats) -> Floats:
        from ..nets.whisper import power_spectra

        wave = middle(wave_of(series), config.SPEECH_MAX_SAMPLES)
        wave = np.pad(wave, (0, max(0, SPEECH_MIN_SAMPLES - len(wave))))
        features: Floats = self._session.run(None, {"power": power_spectra(wave)[None]})[0]
        return features


def wave_of(series: Floats) -> Floats:
    """Samples, float32 (T,) around 0 in -1..1, of (T, channels)."""
    wave = series.mean(axis=1) if series.shape[1] > 1 else series[:, 0]
    wave = wave / (INTEGER_SCALE if np.abs(wave).max() > 2 else 1.0)
    return np.asarray(wave - wave.mean(), np.float32)


def middle(wave: Floats, size: int) -> Floats:
    """The middle ``size`` samples of a longer wave."""
    start = max(0, (len(wave) - size) // 2)
    return wave[start : start + size]


def windows(wave: Floats) -> list[Floats]:
    """Overlapping windows of a wave, float32 (WINDOW,) each; the last is padded."""
    starts = range(0, max(len(wave) - HOP, 1), HOP)
    most = config.SOUND_MAX_WINDOWS
    chosen = spread(starts, most) if len(starts) > most else starts
    parts = [wave[start : start + WINDOW] for start in chosen]
    return [np.pad(part, (0, WINDOW - len(part))) for part in parts]


class _Network:
    """YAMNet in LiteRT, on one thread: a window in, 521 logits out."""

    def __init__(self, path: str) -> None:
        from ai_edge_litert.interpreter import Interpreter

        warnings.filterwarnings("ignore", message=".*experimental_preserve_all_tensors")
        # Only with all tensors preserved can the logits be read; the output is their sigmoid.
        self._interpreter: Any = Interpreter(
            model_path=path, num_threads=1, experimental_preserve_all_tensors=True
        )
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        (logits,) = (
            tensor
            for tensor in self._interpreter.get_tensor_details()
            if LOGITS in tensor["name"] and list(tensor["shape"]) == [1, CLASSES]
        )
        self._logits = logits["index"]
        self._scale, self._zero = logits["quantization"]

    def __call__(self, window: Floats) -> Floats:
        self._interpreter.set_tensor(self._input, window)
        self._interpreter.invoke()
        raw = self._interpreter.get_tensor(self._logits)[0]
        return np.asarray((raw.astype(np.float32) - self._zero) * self._scale, np.float32)
