"""Video: frames evenly spaced in time, each a JPEG; sound is left out.

The official formatter keeps every frame, which makes a bundle many times the size of its videos;
``--max-frames 0`` does so here.
"""

from __future__ import annotations

import io
from typing import NamedTuple

import numpy as np
from PIL import Image

from autodl.errors import BundleError
from autodl.metadata import Format, MatrixSpec
from autodl.records import Example
from formatter.readers.files import FileIndex, FileSource, Place
from formatter.source import Options, Shape, require_media

JPEG_QUALITY = 90


class Clip(NamedTuple):
    """Encoded frames and their (height, width)."""

    frames: list[bytes]
    size: tuple[int, int]


class VideoSource(FileSource[Clip]):
    """A folder of videos. Raises BundleError (``video-unreadable``) and what files raise."""

    kind = "video"
    suffixes = frozenset({".mp4", ".avi", ".mkv", ".webm", ".mov", ".m4v", ".mpg", ".mpeg"})

    def __init__(self, files: FileIndex, options: Options) -> None:
        super().__init__(files, options)
        self._sizes: set[tuple[int, int]] = set()
        self._lengths: set[int] = set()

    @staticmethod
    def load(place: Place, options: Options) -> Clip:
        """See ``FileSource``."""
        with require_media("video"):
            import av
        try:
            with place.open() as file, av.open(file, "r") as container:
                if not container.streams.video:
                    raise BundleError("video-unreadable", "The file holds no picture.")
                packets = sum(packet.size > 0 for packet in container.demux(video=0))
            wanted = _choose(packets, options.max_frames)  # a packet is a frame
            frames: list[bytes] = []
            size: tuple[int, int] | None = None
            with place.open() as file, av.open(file, "r") as container:
                for number, frame in enumerate(container.decode(video=0)):
                    if number in wanted:
                        image: Image.Image = frame.to_image()  # type: ignore[no-untyped-call]
                        size = size or image.size
                        frames.append(_encode(image, size, options.max_side))
        except av.FFmpegError as error:
            raise BundleError("video-unreadable", f"The video cannot be read: {error}.") from error
        if not frames:
            raise BundleError("video-unreadable", "The video holds no frame.")
        with Image.open(io.BytesIO(frames[0])) as first:
            return Clip(frames, (first.height, first.width))

    def encode(self, loaded: Clip) -> Example:
        """See ``FileSource``."""
        self._sizes.add(loaded.size)
        self._lengths.add(len(loaded.frames))
        return Example(compressed=loaded.frames)

    def shape(self) -> Shape:
        """Counts of -1 where the videos differ."""
        height, width = next(iter(self._sizes)) if len(self._sizes) == 1 else (-1, -1)
        matrix = MatrixSpec(
            row_count=height,
            col_count=width,
            num_channels=3,
            has_locality_row=True,
            has_locality_col=True,
            format=Format.COMPRESSED,
        )
        # a sequence of one would be read as an image
        same = len(self._lengths) == 1 and self._lengths != {1}
        return Shape(matrix, sequence_size=next(iter(self._lengths)) if same else -1)


def _choose(count: int, most: int) -> set[int]:
    """Numbers of the frames to keep: the middles of ``most`` equal stretches; 0 keeps all."""
    if not most or count <= most:
        return set(range(count))
    return set(((np.arange(most) + 0.5) * count / most).astype(int).tolist())


def _encode(image: Image.Image, size: tuple[int, int], max_side: int | None) -> bytes:
    if image.size != size:  # a stream may change its size; the format's frames may not
        image = image.resize(size)
    if max_side is not None:
        image.thumbnail((max_side, max_side))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=JPEG_QUALITY)
    return out.getvalue()
