"""PNG files vouched for without making their pixels, which takes three times as long.

Source: the PNG specification (third edition), sections 5 (chunks), 9 (filters) and 11.2.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_TEXT_BYTES = 1 << 16
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type: grey, RGB, palette, + alpha
_PALETTE = 3
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
# Chunks that change nothing about whether the pixels can be made.
_HARMLESS = {b"tRNS", b"gAMA", b"pHYs", b"sRGB", b"cHRM", b"bKGD", b"sBIT", b"tIME", b"tEXt"}
_FILTERS = 5


class Header(NamedTuple):
    """Of a good image: its height and width, and whether it has colour."""

    height: int
    width: int
    colour: bool


def vouch(data: bytes, max_pixels: int) -> Header | None:
    """The header of a file of which every byte is known to be good; None: let a decoder judge."""
    if not data.startswith(SIGNATURE):
        return None
    try:
        chunks = _read_chunks(data)
    except struct.error:
        return None
    if chunks is None or len(chunks.header) != 13:
        return None
    width, height, depth, kind, method, filters, interlaced = struct.unpack(
        ">IIBBBBB", chunks.header
    )
    if depth not in _DEPTHS.get(kind, ()) or method or filters or interlaced:
        return None
    if not 0 < width * height <= max_pixels or (kind == _PALETTE) > chunks.palette:
        return None
    stride = 1 + (width * depth * _CHANNELS[kind] + 7) // 8
    inflater = zlib.decompressobj()
    try:
        rows = inflater.decompress(chunks.pixels, stride * height + 1)
    except zlib.error:
        return None
    if not inflater.eof or len(rows) != stride * height or max(rows[::stride]) >= _FILTERS:
        return None
    return Header(height, width, kind not in (0, 4))


class _Chunks(NamedTuple):
    header: bytes
    pixels: bytes
    palette: bool


def _read_chunks(data: bytes) -> _Chunks | None:
    """What matters of the chunks, if all are known, in order, and have the right checksum."""
    header, palette, pixels = b"", False, []
    at = len(SIGNATURE)
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        end = at + 8 + size
        if zlib.crc32(data[at + 4 : end]) != struct.unpack_from(">I", data, end)[0]:
            return None
        if kind == b"IDAT":
            pixels.append(data[at + 8 : end])
        elif kind == b"IHDR" and not header:
            header = data[at + 8 : end]
        elif kind == b"PLTE" and size and size % 3 == 0 and not pixels:
            palette = True
        elif kind == b"IEND":
            return _Chunks(header, b"".join(pixels), palette) if end + 4 == len(data) else None
        elif kind not in _HARMLESS or size > MAX_TEXT_BYTES:
            return None
        at = end + 4
    return None
