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

PATCH = 6  # pixels of a side
GRID = 2  # cells of a side that responses are averaged over
CONTRAST = 10.0  # added to the variance of a patch, in grey levels of 0..255
SMOOTH = 0.5  # added to the variances that whitening divides by, of patches of unit variance
THRESHOLD = 0.25
LEARNT_FROM = 64  # pictures
DRAWN = 20_000  # patches that whitening is learnt from
BATCH_VALUES = 8_000_000  # of patches at a time


class Patches:
    """``count`` filters on pictures of ``side`` pixels: 2 x count x GRID^2 features.

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
            spread = subset.rows[:: -(-len(subset) // LEARNT_FROM)]
            self._filters = self._learn(_enlarge(subset.images(spread, self.side)))
        return self.of_pixels(subset.images(rows, self.side), subset.frame)

    def of_pixels(self, pixels: Pixels, frame: Frame | None) -> Floats:
        """float32 (n, F) of uint8 (n, height, width, channels)."""
        pixels = _enlarge(pixels)
        if self._filters is None:
            self._filters = self._learn(pixels)
        values = PATCH**2 * pixels.shape[3]
        places = (pixels.shape[1] - PATCH + 1) * (pixels.shape[2] - PATCH + 1)
        batch = max(1, BATCH_VALUES // (values * places))
        parts = [self._respond(pixels[i : i + batch]) for i in range(0, len(pixels), batch)]
        return np.concatenate(parts)

    def _learn(self, pixels: Pixels) -> tuple[Floats, Floats]:
        """The mean, whitening, and filters that are whitened patches of length one."""
        rng = np.random.default_rng(config.SEED)
        windows = _windows(pixels)
        places = [rng.integers(size, size=DRAWN) for size in windows.shape[:3]]
        drawn = _normalise(windows[tuple(places)].reshape(DRAWN, -1).astype(np.float32))
        mean = drawn.mean(axis=0)
        values, vectors = np.linalg.eigh(np.cov(drawn - mean, rowvar=False))
        whiten = (vectors / np.sqrt(np.maximum(values, 0) + SMOOTH)) @ vectors.T
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
        for part in np.array_split(response, min(GRID, height), axis=1):
            for cell in np.array_split(part, min(GRID, width), axis=2):
                cells.append(np.maximum(cell - THRESHOLD, 0).mean(axis=(1, 2)))
                cells.append(np.maximum(-cell - THRESHOLD, 0).mean(axis=(1, 2)))
        return np.asarray(np.nan_to_num(np.concatenate(cells, axis=1)), np.float32)


def _enlarge(pixels: Pixels) -> Pixels:
    """At least a patch high and wide, by repeating the last row and column."""
    short = [(0, max(0, PATCH - size)) for size in pixels.shape[1:3]]
    return np.pad(pixels, ((0, 0), *short, (0, 0)), mode="edge")


def _windows(pixels: Pixels) -> Pixels:
    """A view (n, places down, places across, channels, PATCH, PATCH)."""
    return sliding_window_view(pixels, (PATCH, PATCH), axis=(1, 2))


def _normalise(patches: Floats) -> Floats:
    """Each patch without its mean, divided by its contrast."""
    patches = patches - patches.mean(axis=1, keepdims=True)
    return np.asarray(patches / np.sqrt(patches.var(axis=1, keepdims=True) + CONTRAST), np.float32)
