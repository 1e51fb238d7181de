"""Images: JPEG and PNG stay as they are, byte for byte; everything else becomes PNG."""

from __future__ import annotations

import io
import struct
import warnings
from typing import NamedTuple

from PIL import Image, ImageOps, UnidentifiedImageError

from autodl.errors import BundleError
from autodl.images import MAX_PIXELS
from autodl.metadata import Format, MatrixSpec
from autodl.records import Example
from formatter.readers.files import FileIndex, FileSource, Place
from formatter.readers.png import vouch
from formatter.source import Options, Shape

KEPT_FORMATS = {"JPEG", "PNG"}  # what every reader of the format decodes
GREY_MODES = ("1", "L", "LA", "I", "I;16", "F")
JPEG_QUALITY = 95
# What Pillow's plugins raise on broken files, besides OSError and struct.error.
BROKEN = (SyntaxError, ValueError, TypeError, IndexError, EOFError, OverflowError)


# Odd metadata do not matter here, and would be reported once a file.
warnings.filterwarnings("ignore", module=r"PIL\.")


class Picture(NamedTuple):
    """An encoded image, its (height, width), and whether it has colour."""

    data: bytes
    size: tuple[int, int]
    colour: bool


class ImageSource(FileSource[Picture]):
    """A folder of images. Raises BundleError: ``image-unreadable``, ``image-too-large``."""

    kind = "image"
    suffixes = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"})

    def __init__(self, files: FileIndex, options: Options) -> None:
        super().__init__(files, options)
        self._sizes: set[tuple[int, int]] = set()
        self._colour = False

    @staticmethod
    def load(place: Place, options: Options) -> Picture:
        """See ``FileSource``: every byte is read through a decoder, so that none fails later."""
        data = place.read()
        try:
            return _prepare(data, options.max_side)
        except UnidentifiedImageError as error:
            raise BundleError("image-unreadable", "This is no image of a known format.") from error
        except Image.DecompressionBombError as error:
            raise BundleError("image-too-large", f"The image is too large: {error}") from error
        except (*BROKEN, OSError, struct.error) as error:
            raise BundleError("image-unreadable", f"The image is damaged: {error}.") from error

    def encode(self, loaded: Picture) -> Example:
        """See ``FileSource``: an image is one frame."""
        self._sizes.add(loaded.size)
        self._colour |= loaded.colour
        return Example(compressed=[loaded.data])

    def shape(self) -> Shape:
        """Counts of -1 when the images' sizes differ; one channel when all are grey."""
        height, width = next(iter(self._sizes)) if len(self._sizes) == 1 else (-1, -1)
        return Shape(
            MatrixSpec(
                row_count=height,
                col_count=width,
                num_channels=3 if self._colour else 1,
                has_locality_row=True,
                has_locality_col=True,
                format=Format.COMPRESSED,
            )
        )


def _prepare(data: bytes, max_side: int | None) -> Picture:
    """The bytes as they are where they may stay so; otherwise encoded anew, upright."""
    good = vouch(data, MAX_PIXELS)
    if good is not None and (max_side is None or max(good.height, good.width) <= max_side):
        return Picture(data, (good.height, good.width), good.colour)
    with Image.open(io.BytesIO(data)) as image:
        colour = image.mode not in GREY_MODES
        size = image.height, image.width
        if size[0] * size[1] > MAX_PIXELS:
            raise Image.DecompressionBombError(f"it has {image.width} x {image.height} pixels")
        small = max_side is None or max(size) <= max_side
        if image.format in KEPT_FORMATS and small:
            image.draft("L", (1, 1))  # a JPEG's bytes are all read, but hardly any pixel is made
            image.load()
            return Picture(data, size, colour)
        kind = "JPEG" if image.format == "JPEG" else "PNG"
        upright = ImageOps.exif_transpose(image).convert("RGB" if colour else "L")
    if max_side is not None and not small:
        upright.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    upright.save(out, kind, quality=JPEG_QUALITY)
    return Picture(out.getvalue(), (upright.height, upright.width), colour)
