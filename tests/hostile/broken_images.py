"""TFRecord datasets with broken pictures and videos."""

import io
import struct
import zlib
from dataclasses import replace
from pathlib import Path

from PIL import Image

from autodl.metadata import Format
from autodl.records import Example

from .cases import broken
from .datasets import (
    PICTURES,
    TEST_FILE,
    TRAIN_FILE,
    example,
    images,
    picture,
    spec_of,
    videos,
)


def with_image(data: bytes) -> dict[int, Example]:
    return {3: example(dense=None, compressed=[data])}


def png_claiming(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + crc

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


@broken("image-unreadable", TRAIN_FILE, record=3)
def png_cut(root: Path) -> None:
    images(root, train=with_image(picture(3, size=(64, 64))[:-3000]))


@broken("image-unreadable", TRAIN_FILE, record=3)
def jpeg_cut(root: Path) -> None:
    data = picture(3, "JPEG", size=(64, 64))
    images(root, train=with_image(data[: len(data) // 2]))


@broken("image-unreadable", TRAIN_FILE, record=3)
def image_of_no_bytes(root: Path) -> None:
    images(root, train=with_image(b""))


@broken("image-unreadable", TRAIN_FILE, record=3)
def image_is_a_web_page(root: Path) -> None:
    images(root, train=with_image(b"<html>404 not found</html>"))


@broken("image-unreadable", TRAIN_FILE, record=3)
def image_is_svg(root: Path) -> None:
    images(root, train=with_image(b'<svg xmlns="http://www.w3.org/2000/svg"/>'))


@broken("image-unreadable", TRAIN_FILE, record=3)
def image_is_tiff(root: Path) -> None:
    images(root, train=with_image(picture(3, "TIFF")))


@broken("image-unreadable", TRAIN_FILE, record=3)
def image_is_postscript(root: Path) -> None:
    images(root, train=with_image(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage"))


@broken("image-unreadable", TRAIN_FILE, record=3)
def png_with_no_pixels(root: Path) -> None:
    images(root, train=with_image(png_claiming(0, 0)))


@broken("image-unreadable", TRAIN_FILE, record=3)
def png_checksum_flipped(root: Path) -> None:
    data = bytearray(picture(3, size=(64, 64)))
    data[20] ^= 0xFF
    images(root, train=with_image(bytes(data)))


@broken("image-too-large", TRAIN_FILE, record=3)
def png_of_two_gigapixels(root: Path) -> None:
    images(root, train=with_image(png_claiming(50_000, 50_000)))


@broken("image-too-large", TRAIN_FILE, record=3)
def png_just_too_large(root: Path) -> None:
    images(root, train=with_image(png_claiming(10_001, 10_000)))


@broken("image-too-large", TRAIN_FILE, record=3)
def gif_of_four_gigapixels(root: Path) -> None:
    data = bytearray(picture(3, "GIF"))
    data[6:10] = b"\xff\xff\xff\xff"
    images(root, train=with_image(bytes(data)))


@broken("image-too-large", TRAIN_FILE, record=3)
def gif_of_many_huge_frames(root: Path) -> None:
    """Frames of one pixel, each to be painted on a canvas of 96 megapixels."""
    frames = [Image.new("RGB", (2, 2), (12 * shade, 0, 0)) for shade in range(20)]
    packed = io.BytesIO()
    frames[0].save(packed, "GIF", save_all=True, append_images=frames[1:])
    data = bytearray(packed.getvalue())
    data[6:10] = struct.pack("<HH", 12_000, 8_000)
    videos(root, train=with_image(bytes(data)))


@broken("image-unreadable", TRAIN_FILE, record=3)
def png_text_chunk_bomb(root: Path) -> None:
    body = b"a\0\0" + zlib.compress(bytes(1 << 27))
    crc = struct.pack(">I", zlib.crc32(b"zTXt" + body))
    chunk = struct.pack(">I", len(body)) + b"zTXt" + body + crc
    plain = picture(3)
    images(root, train=with_image(plain[:33] + chunk + plain[33:]))


@broken("image-missing", TRAIN_FILE, record=3)
def no_image(root: Path) -> None:
    images(root, train={3: example(dense=None)})


@broken("image-channels-unsupported", TRAIN_FILE, record=0)
def two_channels(root: Path) -> None:
    images(root, spec_of(Format.COMPRESSED, col_count=8, row_count=6, num_channels=2))


@broken("image-channels-unsupported", TRAIN_FILE, record=0)
def five_channels(root: Path) -> None:
    images(root, spec_of(Format.COMPRESSED, col_count=8, row_count=6, num_channels=5))


@broken("frames-differ", TRAIN_FILE, record=3)
def frames_of_two_sizes(root: Path) -> None:
    frames = [picture(3), picture(4, size=(9, 6))]
    videos(root, train={3: example(dense=None, compressed=frames)})


@broken("image-unreadable", TEST_FILE, record=4)
def last_frame_cut(root: Path) -> None:
    frames = [picture(3), picture(4)[:-30]]
    videos(root, test={4: Example(compressed=frames)})


@broken("example-too-large", TRAIN_FILE, record=3)
def video_too_large_to_decode(root: Path) -> None:
    packed = io.BytesIO()
    Image.new("1", (5000, 5000)).save(packed, "PNG")
    videos(root, train={3: example(dense=None, compressed=[packed.getvalue()] * 15)})


@broken("image-unreadable", TRAIN_FILE, record=3)
def gif_of_nothing(root: Path) -> None:
    packed = io.BytesIO()
    Image.new("L", (4, 4)).save(packed, "GIF")
    images(root, replace(PICTURES), train=with_image(packed.getvalue()[:14]))
