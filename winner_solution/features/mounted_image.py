"""Features of pictures and frames by a Keras network of the operator's (``mounted.py``)."""

from __future__ import annotations

import sys
import time
import warnings
from typing import Any

import numpy as np

from ..data import Floats, Subset
from ..mounted import MountedFile, WeightsError, list_mounted
from ..nets.runtime import require, to_rgb
from ..pictures import Frame, Pixels, resize_pixels
from ..split import Rows

BATCH = 16


class MountedImage:
    """The pooled last map of a network of ``keras.applications``; ``row_seconds`` is measured.

    Raises WeightsError where the network, its library or its bytes cannot be had.
    """

    def __init__(self, entry: MountedFile) -> None:
        path = entry.open()
        require("keras")
        import keras

        make = getattr(keras.applications, entry.network, None)
        if make is None or not callable(make):
            raise WeightsError(f"keras.applications has no {entry.network!r}")
        self.name = f"mounted-{entry.name}-{entry.sha256[:8]}"
        self.side = entry.side
        self._entry = entry
        shape = (entry.side, entry.side, 3)
        settings = {"include_top": False, "weights": None, "pooling": "avg", "input_shape": shape}
        try:
            self._network: Any = make(**entry.arguments, **settings)
            with warnings.catch_warnings():  # of containers that hold no weights of their own
                warnings.filterwarnings("ignore", message="Skipping nested container")
                self._network.load_weights(path)
        except (OSError, ValueError, TypeError) as error:
            raise WeightsError(f"{entry.file} does not fit {entry.network}: {error}") from error
        self._prepare = sys.modules[make.__module__].preprocess_input
        self.row_seconds = self._measure()

    def __reduce__(self) -> tuple[Any, ...]:
        """As it is made: networks from the operator are no part of a saved model."""
        return type(self), (self._entry,)

    def __call__(self, subset: Subset, rows: Rows) -> Floats:
        """float32 (n, F)."""
        return self.of_pixels(subset.images(rows, self.side), subset.frame)

    def of_pixels(self, pixels: Pixels, frame: Frame | None) -> Floats:
        """float32 (n, F) of uint8 (n, height, width, channels), stretched to the input."""
        assert frame is not None, "pictures have a frame"
        square = (self.side, self.side)
        parts = []
        for start in range(0, len(pixels), BATCH):
            colours = to_rgb(frame.colours(pixels[start : start + BATCH]))
            batch = np.stack([resize_pixels(picture, square) for picture in colours])
            known = len(batch)
            padded = np.pad(batch, ((0, BATCH - known), (0, 0), (0, 0), (0, 0)))
            ready = self._prepare(padded.astype(np.float32))
            parts.append(np.asarray(self._network.predict_on_batch(ready))[:known])
        return np.concatenate(parts).astype(np.float32)

    def _measure(self) -> float:
        """Seconds of one picture, after a batch that traces the graph."""
        blank = np.zeros((BATCH, self.side, self.side, 3), np.uint8)
        frame = Frame(self.side, self.side, 3)
        self.of_pixels(blank, frame)
        start = time.perf_counter()
        self.of_pixels(blank, frame)
        return (time.perf_counter() - start) / BATCH


def mounted_images() -> list[MountedImage]:
    """Every network of the operator's; those that cannot be had are left out, with a word."""
    found = []
    try:
        entries = [entry for entry in list_mounted() if entry.network]
    except WeightsError as error:
        print(f"solution: {error}", file=sys.stderr)  # noqa: T201
        return []
    for entry in entries:
        try:
            found.append(MountedImage(entry))
        except WeightsError as error:
            print(f"solution: without {entry.name}: {error}", file=sys.stderr)  # noqa: T201
    return found
