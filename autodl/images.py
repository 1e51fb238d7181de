"""Encoded images to pixels, as the original reader's decoder gives them (AutoDL formats 1.5).

Grey is replicated to colour, colour becomes grey with the weights of ITU-R BT.601, alpha is
dropped or made opaque, 16-bit samples keep their high byte, orientation tags are ignored.
"""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from autodl.errors import BundleError

Pixels = NDArray[np.uint8]

MAX_PIXELS = 100_000_000  # of one image: 10,000 x 10,000, 300 MB decoded
MAX_ANIMATION_PIXELS = 4 * MAX_PIXELS  # of all frames: each is painted on the whole canvas
THUMBNAIL_SIDE = 16
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP")
# Pillow itself refuses twice this while it reads headers and frames; what it would only warn of,
# we refuse.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
# What Pillow's plugins raise on broken files.
_BROKEN = (OSError, SyntaxError, ValueError, TypeError, IndexError, EOFError, OverflowError)
_GREY = (9798, 19235, 3735)  # 0.299, 0.587, 0.114 in units of 2^-15
_GREY_ROWS = 64
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def decode_image(data: bytes, channels: int) -> Pixels:
    """Pixels of the first frame: uint8 (height, width, channels); 0 channels is "as stored".

    Raises BundleError: ``image-channels-unsupported``, ``image-unreadable``, ``image-too-large``.
    """
    _require_channels(channels)
    with _open(data) as image, _translated():
        if image.format == "JPEG" and channels == 1:
            image.draft("L", image.size)  # the stored luma itself, as the original decoder does
        return _convert(image, channels)


def decode_animation(data: bytes, channels: int) -> list[Pixels]:
    """Pixels of every frame of a GIF or WebP; one frame for any other image. Raises as above."""
    with _open(data) as image, _translated():
        frames = _count_frames(image)
        if frames == 1:
            return [decode_image(data, channels)]
        _require_channels(channels)
        return [_convert(_at(image, frame), channels) for frame in range(frames)]


@dataclass(frozen=True)
class Probe:
    """What an image is: its frames, size, and a grey uint8 thumbnail of the first frame."""

    frames: int
    height: int
    width: int
    thumbnail: Pixels


def probe_image(data: bytes, channels: int, animated: bool = False) -> Probe:
    """Look at an image, every byte of it having been read; of an animation only if ``animated``.

    Faster than decoding, for JPEG is decoded at an eighth of its size, and as sure to find
    damage. Raises BundleError as ``decode_image`` does.
    """
    _require_channels(channels)
    with _open(data) as image, _translated():
        height, width = image.height, image.width
        frames = _count_frames(image) if animated else 1
        image.draft("L", (THUMBNAIL_SIDE, THUMBNAIL_SIDE))
        deep = image.mode.startswith("I")
        grey = Image.fromarray(_stored(image)[:, :, 0]) if deep else image.convert("L")
        small = grey.resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BOX)
        for frame in range(1, frames):
            _at(image, frame).load()
        return Probe(frames, height, width, np.asarray(small))


def _count_frames(image: Image.Image) -> int:
    frames: int = getattr(image, "n_frames", 1)
    if frames * image.width * image.height > MAX_ANIMATION_PIXELS:
        raise BundleError(
            "image-too-large",
            f"{frames:,} frames of {image.width} x {image.height} are more than"
            f" {MAX_ANIMATION_PIXELS:,} pixels.",
            hint="Scale the animation down, or take fewer of its frames.",
        )
    return frames


def _at(image: Image.Image, frame: int) -> Image.Image:
    image.seek(frame)
    return image


def _require_channels(channels: int) -> None:
    if channels not in (0, 1, 3, 4):
        raise BundleError(
            "image-channels-unsupported",
            f"Images cannot be decoded to {channels} channels.",
            hint="Set num_channels in metadata.textproto to 1, 3 or 4.",
        )


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except Image.DecompressionBombError as error:
        raise _too_large("a frame has more") from error
    except (*_BROKEN, struct.error) as error:
        raise _unreadable(str(error)) from error


def _open(data: bytes) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise _unreadable("not a JPEG, PNG, BMP, GIF or WebP file") from error
    except Image.DecompressionBombError as error:
        raise _too_large("it has more pixels than that") from error
    except (*_BROKEN, struct.error) as error:
        raise _unreadable(str(error)) from error
    if image.width * image.height > MAX_PIXELS:
        raise _too_large(f"it has {image.width} x {image.height}")
    return image


def _convert(image: Image.Image, channels: int) -> Pixels:
    pixels = _stored(image)
    stored = pixels.shape[2]
    if channels in (0, stored):
        return pixels
    alpha = pixels[:, :, stored - 1 :] if stored in (2, 4) else np.full_like(pixels[:, :, :1], 255)
    colour = pixels[:, :, : 1 if stored < 3 else 3]
    if channels == 1:
        return colour if stored < 3 else _grey(colour)
    colour = np.broadcast_to(colour, (*colour.shape[:2], 3))
    return np.ascontiguousarray(colour) if channels == 3 else np.concatenate([colour, alpha], 2)


def _stored(image: Image.Image) -> Pixels:
    """uint8 (height, width, 1 to 4) in the image's own channels, palettes resolved."""
    if image.mode.startswith("I") or image.mode == "F":
        return (np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)[:, :, None]
    if image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    elif image.mode == "1":
        image = image.convert("L")
    elif image.mode not in _MODES.values():
        image = image.convert("RGB")
    pixels = np.array(image)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def _grey(colour: Pixels) -> Pixels:
    grey = np.empty((*colour.shape[:2], 1), np.uint8)
    for top in range(0, len(colour), _GREY_ROWS):  # by stripes, for sums take four times the room
        stripe = colour[top : top + _GREY_ROWS].astype(np.uint32)
        total = np.asarray(sum(weight * stripe[:, :, i] for i, weight in enumerate(_GREY)))
        grey[top : top + _GREY_ROWS, :, 0] = total >> 15
    return grey


def _unreadable(why: str) -> BundleError:
    return BundleError(
        "image-unreadable",
        f"The image cannot be decoded: {why}.",
        hint="Replace or remove the image and format the dataset again.",
    )


def _too_large(why: str) -> BundleError:
    return BundleError(
        "image-too-large",
        f"An image may have {MAX_PIXELS:,} pixels; {why}.",
        hint="Scale the images down before formatting.",
    )
