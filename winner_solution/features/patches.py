"""Features of pictures without pretrained weights: how they respond to patches of themselves.

Whitened patches drawn from the training pictures are the filters, a soft threshold is the
nonlinearity, and the responses are averaged over a grid (Coates, Ng, Lee 2011, "An analysis of
single-layer networks in unsupervised feature learning"; Coates, Ng 2011 for drawn patches).
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from .. import config
from ..data import Subset
from ..pictures import Frame, Pixels
from ..split import Rows

Floats = NDArray[np.float32]

BATCH_VALUES = 8_000_000  # of patches at a time


class Patches:
    """``count`` filters on pictures of ``side`` pixels: 2 x count x PATCH_GRID^2 features.

    The filters are learnt at the first call, which is for training rows: from pictures spread over
    all of them, or from the pixels that are given.
    """

    def __init__(self, side: int, count: int) -> None:
        self.name = f"patches-{side}-{count}"
        self.side = side
        self._count = count
        # The mean patch, and filters (values of a patch, count) with the whitening in them.
        self._filters: tuple[Floats, Floats] | None = None

    def __call__(self, subset: Subset, rows: Rows) -> Floats:
        """float32 (n, F)."""
        if self._filters is None:
            spread = subset.rows[:: -(-len(subset) // config.PATCH_PICTURES)]
            self._filters = self._learn(_enlarge(subset.images(spread, self.side)))
        return self.of_pixels(subset.images(rows, self.side), subset.frame)

    def of_pixels(self, pixels: Pixels, frame: Frame | None) -> Floats:
        """float32 (n, F) of uint8 (n, height, width, channels)."""
        pixels = _enlarge(pixels)
        if self._filters is None:
            self._filters = self._learn(pixels)
        down, across = (size - config.PATCH_PIXELS + 1 for size in pixels.shape[1:3])
        values, places = config.PATCH_PIXELS**2 * pixels.shape[3], down * across
        batch = max(1, BATCH_VALUES // (values * places))
        parts = [self._respond(pixels[i : i + batch]) for i in range(0, len(pixels), batch)]
        return np.concatenate(parts)

    def _learn(self, pixels: Pixels) -> tuple[Floats, Floats]:
        """The mean, whitening, and filters that are whitened patches of length one."""
        rng = np.random.default_rng(config.SEED)
        windows = _windows(pixels)
        count = config.PATCH_DRAWN
        places = [rng.integers(size, size=count) for size in windows.shape[:3]]
        drawn = _normalise(windows[tuple(places)].reshape(count, -1).astype(np.float32))
        mean = drawn.mean(axis=0)
        values, vectors = np.linalg.eigh(np.cov(drawn - mean, rowvar=False))
        whiten = (vectors / np.sqrt(np.maximum(values, 0) + config.PATCH_SMOOTH)) @ vectors.T
        chosen = (drawn[: self._count] - mean) @ whiten
        chosen /= np.maximum(np.linalg.norm(chosen, axis=1, keepdims=True), 1e-6)
        return np.asarray(mean, np.float32), np.asarray(whiten @ chosen.T, np.float32)

    def _respond(self, pixels: Pixels) -> Floats:
        assert self._filters is not None
        mean, filters = self._filters
        windows = _windows(pixels)
        n, height, width = windows.shape[:3]
        patches = _normalise(windows.reshape(n * height * width, -1).astype(np.float32))
        response = ((patches - mean) @ filters).reshape(n, height, width, -1)
        cells = []
        for part in np.array_split(response, min(config.PATCH_GRID, height), axis=1):
            for cell in np.array_split(part, min(config.PATCH_GRID, width), axis=2):
                cells.append(np.maximum(cell - config.PATCH_THRESHOLD, 0).mean(axis=(1, 2)))
                cells.append(np.maximum(-cell - config.PATCH_THRESHOLD, 0).mean(axis=(1, 2)))
        return np.asarray(np.nan_to_num(np.concatenate(cells, axis=1)), np.float32)


def _enlarge(pixels: Pixels) -> Pixels:
    """At least a patch high and wide, by repeating the last row and column."""
    short = [(0, max(0, config.PATCH_PIXELS - size)) for size in pixels.shape[1:3]]
    return np.pad(pixels, ((0, 0), *short, (0, 0)), mode="edge")


def _windows(pixels: Pixels) -> Pixels:
    """A view (n, places down, places across, channels, size, size)."""
    size = config.PATCH_PIXELS
    return sliding_window_view(pixels, (size, size), axis=(1, 2))


def _normalise(patches: Floats) -> Floats:
    """Each patch without its mean, divided by its contrast."""
    patches = patches - patches.mean(axis=1, keepdims=True)
    contrast = np.sqrt(patches.var(axis=1, keepdims=True) + config.PATCH_CONTRAST)
    return np.asarray(patches / contrast, np.float32)
