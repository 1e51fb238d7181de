"""Features of pictures and clips by frozen networks that learned from photographs.

Each network at each size is one extractor. Measured on small real sets (LOG.md): features of the
last map and of a finer one, side by side, are what a linear head needs.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from ..data import Floats, Subset
from ..machine import cores
from ..nets.backbone import MAP_STRIDE
from ..nets.runtime import ImageNetwork, load_backbone
from ..pictures import Frame, Pixels
from ..split import Rows


class FrozenImage:
    """One network at one size, for pictures: 3,584 or 4,160 features.

    ``side``: pixels of the longer side. Raises WeightsError where the network cannot be had.
    """

    def __init__(self, network: str, side: int) -> None:
        load_backbone(network)  # in the construction's time
        self.name = f"{network}-{side}"
        self.side = side
        self._network_name = network
        self._network: ImageNetwork | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """As it is made: sessions are no part of a saved model."""
        return type(self), (self._network_name, self.side)

    def __call__(self, subset: Subset, rows: Rows) -> Floats:
        """float32 (n, F)."""
        return self.of_pixels(subset.images(rows, self.side), subset.frame)

    def of_pixels(self, pixels: Pixels, frame: Frame | None) -> Floats:
        """float32 (n, F) of uint8 (n, height, width, channels), which ``frame`` describes."""
        assert frame is not None, "pictures have a frame"
        if self._network is None:
            height, width = network_sides(frame, self.side)
            self._network = ImageNetwork(self._network_name, height, width, cores())
        return self._network.features(frame.colours(pixels))


class FrameExtractor(Protocol):
    """What turns pictures, and so the frames of clips, into features."""

    name: str
    side: int

    def of_pixels(self, pixels: Pixels, frame: Frame | None) -> Floats:
        """float32 (n, F) of uint8 (n, height, width, channels)."""


class FrozenFrames:
    """The same for clips: how the features of evenly spread frames are, vary and change.

    The row is four parts of the image's length side by side: the mean over the frames, which
    tells the place; their standard deviation and their mean absolute change from frame to frame,
    which tell what moves; and their trend, the only one that tells forwards from backwards.
    ``split_clip`` takes it apart.
    """

    def __init__(self, image: FrameExtractor, frames: int) -> None:
        self.name = f"{image.name}-frames-{frames}"
        self._image = image
        self._frames = frames

    @property
    def count(self) -> int:
        """Frames of a clip that it looks at."""
        return self._frames

    def __call__(self, subset: Subset, rows: Rows) -> Floats:
        """float32 (n, 4 F)."""
        clips = subset.frames(rows, self._image.side, self._frames)
        n, count = clips.shape[:2]
        features = self._image.of_pixels(clips.reshape(n * count, *clips.shape[2:]), subset.frame)
        steps = features.reshape(n, count, -1)
        change = np.abs(np.diff(steps, axis=1)).mean(axis=1) if count > 1 else steps[:, 0] * 0
        parts = [steps.mean(axis=1), steps.std(axis=1), change, trend(steps)]
        return np.concatenate(parts, axis=1)


def trend(steps: Floats) -> Floats:
    """(n, F) of (n, T, F): how each feature rises with time, 0 for a single frame."""
    time = np.linspace(-1, 1, steps.shape[1]) if steps.shape[1] > 1 else np.zeros(1)
    weights = (time / max(float(np.abs(time).sum()), 1.0)).astype(np.float32)
    return np.asarray(np.einsum("t,ntf->nf", weights, steps))


def split_clip(features: Floats) -> tuple[Floats, Floats, Floats]:
    """(n, F) of the place, (n, 2 F) of the motion and (n, F) of its trend, of ``FrozenFrames``."""
    size = features.shape[1] // 4
    return features[:, :size], features[:, size : 3 * size], features[:, 3 * size :]


def network_sides(frame: Frame, side: int) -> tuple[int, int]:
    """(height, width) of a network's input: near the pictures' ratio, multiples of 32.

    Pictures smaller than that are enlarged: the networks know things at this size.
    """
    scale = side / max(frame.height, frame.width)
    height, width = (max(1, round(x * scale / MAP_STRIDE)) for x in (frame.height, frame.width))
    return height * MAP_STRIDE, width * MAP_STRIDE
