"""Pictures to small uint8 canvases: the one place that decodes images and frames."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


@dataclass(frozen=True)
class Frame:
    """How pictures of one dataset are laid out: their typical size, channels and range of values.

    ``low`` and ``high`` become 0 and 255 (stored arrays only; encoded pictures are bytes already).
    """

    height: float
    width: float
    channels: int
    low: float = 0.0
    high: float = 1.0
    mix: Floats | None = None  # (channels + 1, 3): to colours, the last row is added

    def canvas(self, side: int) -> tuple[int, int]:
        """(height, width) with the typical ratio, the longer one at most ``side``.

        Never larger than the pictures themselves; whole eights where that changes little.
        """
        scale = min(1.0, side / max(self.height, self.width))
        return _round(self.height * scale), _round(self.width * scale)

    def colours(self, pixels: Pixels) -> Pixels:
        """The three principal components of more than four channels; (n, h, w, any) otherwise."""
        if self.mix is None:
            return pixels
        mixed = pixels.astype(np.float32) @ self.mix[:-1] + self.mix[-1]
        return np.asarray(np.clip(mixed, 0, 255), np.uint8)

    @property
    def side(self) -> int:
        """The longer side of a typical picture."""
        return max(1, round(max(self.height, self.width)))


def decode_picture(data: bytes, canvas: tuple[int, int], channels: int) -> Pixels:
    """uint8 (height, width, channels) of an encoded picture, stretched to ``canvas``.

    A JPEG is decoded at the smallest eighth of its size that is not below the canvas, which is
    several times faster. Raises OSError or ValueError when the bytes are no picture.
    """
    height, width = canvas
    with Image.open(io.BytesIO(data)) as image:
        mode = _MODES.get(channels, "RGB")
        if image.format == "JPEG":
            image.draft("L" if mode == "L" else "RGB", (width, height))
        picture: Image.Image = image
        if image.mode == "P" and "transparency" in image.info:  # its colours are RGBA
            picture = image.convert("RGBA")
        if picture.mode != mode:
            picture = picture.convert(mode)
        if picture.size != (width, height):
            picture = picture.resize((width, height), Image.Resampling.BILINEAR)
        pixels = np.asarray(picture, np.uint8)
    return pixels.reshape(height, width, -1)


def picture_size(data: bytes) -> tuple[int, int]:
    """(height, width), from the header alone. Raises OSError when the bytes are no picture."""
    with Image.open(io.BytesIO(data)) as image:
        return image.height, image.width


def shrink_array(values: Floats, canvas: tuple[int, int], frame: Frame) -> Pixels:
    """uint8 (height, width, channels) of a stored array (rows, cols, channels)."""
    scaled = (np.nan_to_num(values) - frame.low) * (255 / max(frame.high - frame.low, 1e-12))
    pixels = np.clip(scaled, 0, 255).astype(np.uint8)
    return resize_pixels(pixels, canvas)


def resize_pixels(pixels: Pixels, canvas: tuple[int, int]) -> Pixels:
    """The same picture on another canvas, any number of channels."""
    if pixels.shape[:2] == canvas:
        return pixels
    size = (canvas[1], canvas[0])
    planes = [
        np.asarray(Image.fromarray(pixels[:, :, c]).resize(size, Image.Resampling.BILINEAR))
        for c in range(pixels.shape[2])
    ]
    return np.stack(planes, axis=2)


def frame_of_arrays(examples: Sequence[Floats]) -> Frame:
    """The typical layout of stored arrays, each (T, H, W, C)."""
    values = np.concatenate([example.ravel()[:50_000] for example in examples])
    values = values[np.isfinite(values)]
    low, high = np.percentile(values, (0.5, 99.5)) if values.size else (0.0, 1.0)
    if 0 <= values.min(initial=0) and values.max(initial=0) <= 1 and high > 0.5:
        low, high = 0.0, 1.0
    height, width = np.median([example.shape[1:3] for example in examples], axis=0)
    channels = examples[0].shape[3]
    frame = Frame(float(height), float(width), channels, float(low), float(high))
    if channels <= 4:
        return frame
    points = np.concatenate([example.reshape(-1, channels)[:50_000:7] for example in examples])
    return replace(frame, mix=_principal(shrink_array(points[None], (1, len(points)), frame)[0]))


def _principal(points: Pixels) -> Floats:
    """The three principal components of (n, channels) as colours: about 127 +- 60."""
    x = points.astype(np.float64)
    mean = x.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(x - mean, rowvar=False))
    chosen = vectors[:, ::-1][:, :3] * (60 / np.sqrt(np.maximum(values[::-1][:3], 1.0)))
    return np.asarray(np.concatenate([chosen, [127.5 - mean @ chosen]]), np.float32)


def frame_of_encoded(pictures: Sequence[bytes], channels: int) -> Frame:
    """The typical layout of encoded pictures."""
    sizes = []
    for data in pictures:
        with suppress(OSError, ValueError, SyntaxError):  # a broken one says nothing of the others
            sizes.append(picture_size(data))
    height, width = np.median(sizes, axis=0) if sizes else (1.0, 1.0)
    return Frame(float(height), float(width), channels if channels in _MODES else 3)


def _round(size: float) -> int:
    whole = max(1, round(size))
    eights = 8 * round(whole / 8)
    return eights if eights and abs(eights - whole) <= 0.1 * whole else whole
