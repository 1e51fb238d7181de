"""Arrow's IPC files and streams, some rows at a time.

A stream is messages: a schema, then dictionaries and record batches. polars reads what is a whole
stream, so each batch is given to it as one, with the schema and the dictionaries before it. Source:
the Arrow columnar format, section "IPC Streaming Format".
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import polars as pl

_MAGIC = b"ARROW1"  # begins a file, which polars reads in parts by itself
_MARK = b"\xff\xff\xff\xff"  # before each message since Arrow 0.15
_END = _MARK + bytes(4)
_BATCH = 3  # which member of the union MessageHeader a record batch is; others are kept
MAX_METADATA_BYTES = 64 << 20
FRAME_ROWS = 1 << 16


def read_schema(path: Path) -> pl.Schema:
    """The columns' types. Raises OSError, ValueError and what polars raises."""
    if _is_file(path):
        return pl.scan_ipc(path).collect_schema()
    with path.open("rb") as file:
        _, message = next(_messages(file), (0, b""))
    return pl.read_ipc_stream(io.BytesIO(message + _END)).schema


def read_batches(path: Path) -> Iterator[pl.DataFrame]:
    """The rows, batch by batch. Raises OSError, ValueError and what polars raises."""
    if _is_file(path):
        scan = pl.scan_ipc(path)
        for start in range(0, scan.select(pl.len()).collect().item(), FRAME_ROWS):
            yield scan.slice(start, FRAME_ROWS).collect()
        return
    before = b""
    with path.open("rb") as file:
        for kind, message in _messages(file):
            if kind == _BATCH:
                yield pl.read_ipc_stream(io.BytesIO(before + message + _END))
            else:
                before += message


def _is_file(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def _messages(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """(kind, the message with its body) of each. Raises ValueError where the file is cut short."""
    while head := file.read(4):
        if head == _MARK:
            head = file.read(4)
        if len(head) < 4:
            raise ValueError("it ends inside a batch of rows")
        (size,) = struct.unpack("<i", head)
        if size == 0:
            return
        if not 0 < size <= MAX_METADATA_BYTES:
            raise ValueError("it is no Arrow file")
        metadata = file.read(size)
        try:
            kind, body_bytes = _describe(metadata)
        except struct.error as error:
            raise ValueError("it is no Arrow file") from error
        body = file.read(body_bytes)
        if len(metadata) < size or len(body) < body_bytes:
            raise ValueError("it ends inside a batch of rows")
        yield kind, _MARK + head + metadata + body


def _describe(metadata: bytes) -> tuple[int, int]:
    """(header_type, bodyLength) of a Message, fields 1 and 3 of a flatbuffer's root table."""
    (table,) = struct.unpack_from("<I", metadata, 0)
    (back,) = struct.unpack_from("<i", metadata, table)
    fields = table - back
    (size,) = struct.unpack_from("<H", metadata, fields)
    kind, length = (
        struct.unpack_from("<H", metadata, fields + 4 + 2 * number)[0]
        if 4 + 2 * number < size
        else 0
        for number in (1, 3)
    )
    return (
        struct.unpack_from("<B", metadata, table + kind)[0] if kind else 0,
        max(0, struct.unpack_from("<q", metadata, table + length)[0]) if length else 0,
    )
