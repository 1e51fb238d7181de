"""TFRecord files (AutoDL formats 1.4): the framing of records, read and written.

A record is: length (uint64 LE), masked CRC-32C of those 8 bytes, payload, masked CRC-32C of the
payload. What a payload holds is the business of ``autodl.examples``, whose names are offered here
too: whoever writes records writes examples.
"""

from __future__ import annotations

import os
import struct
import weakref
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from autodl.errors import BundleError
from autodl.examples import Example, Ints, SparseValues, decode_example, encode_example

__all__ = [
    "Example",
    "RecordFile",
    "RecordWriter",
    "SparseValues",
    "decode_example",
    "encode_example",
    "frame",
    "masked_crc",
    "read_records",
]

HEADER_BYTES = 12  # length, CRC of the length
FOOTER_BYTES = 4  # CRC of the payload


def masked_crc(data: bytes) -> int:
    """CRC-32C rotated right by 15 bits, plus a constant (formats 1.4)."""
    crc: int = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


class RecordFile:
    """One TFRecord file with random access: an index of offsets, payloads read on demand.

    Reads are positional, so threads and forked children may share one; a pickled copy opens the
    file again. Raises BundleError with file and record: ``record-truncated`` and
    ``record-crc-mismatch`` for a broken frame, ``record-file-compressed`` for a gzip file,
    ``file-missing`` when it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open()
        self._starts, self._lengths = self._index()

    def _open(self) -> None:
        try:
            self._fd = os.open(self.path, os.O_RDONLY)
        except OSError as error:
            raise BundleError(
                "file-missing", f"Cannot open: {error.strerror}.", file=str(self.path)
            ) from error
        weakref.finalize(self, os.close, self._fd)

    def __getstate__(self) -> tuple[Path, Ints, Ints]:
        return self.path, self._starts, self._lengths

    def __setstate__(self, state: tuple[Path, Ints, Ints]) -> None:
        self.path, self._starts, self._lengths = state
        self._open()

    def __len__(self) -> int:
        return len(self._starts)

    def read(self, record: int, verify: bool = True) -> bytes:
        """Payload of one record; ``verify`` compares its CRC."""
        length = int(self._lengths[record])
        data = os.pread(self._fd, length + FOOTER_BYTES, int(self._starts[record]))
        if len(data) < length + FOOTER_BYTES:
            raise self._truncated(record)
        payload = data[:length]
        if verify and masked_crc(payload) != int.from_bytes(data[length:], "little"):
            raise self._crc_mismatch(record, "payload")
        return payload

    def read_head(self, record: int, size: int) -> bytes:
        """The first ``size`` bytes of a payload at most, not verified."""
        return os.pread(self._fd, min(size, int(self._lengths[record])), int(self._starts[record]))

    def read_block(self, first: int, stop: int) -> list[bytes | None]:
        """Payloads of neighbouring records by one read; None for those with a wrong checksum."""
        start = int(self._starts[first])
        end = int(self._starts[stop - 1] + self._lengths[stop - 1]) + FOOTER_BYTES
        data = os.pread(self._fd, end - start, start)
        payloads: list[bytes | None] = []
        for place, length in zip(
            (self._starts[first:stop] - start).tolist(),
            self._lengths[first:stop].tolist(),
            strict=True,
        ):
            payload = data[place : place + length]
            crc = data[place + length : place + length + FOOTER_BYTES]
            sound = masked_crc(payload) == int.from_bytes(crc, "little")
            payloads.append(payload if sound else None)
        return payloads

    def _index(self) -> tuple[Ints, Ints]:
        starts: list[int] = []
        lengths: list[int] = []
        size = os.fstat(self._fd).st_size
        offset = 0
        with self.path.open("rb") as file:
            while header := file.read(HEADER_BYTES):
                if len(header) < HEADER_BYTES:
                    raise self._truncated(len(starts))
                length, crc = struct.unpack("<QI", header)
                if masked_crc(header[:8]) != crc:
                    raise self._not_a_record(len(starts), header)
                end = offset + HEADER_BYTES + length + FOOTER_BYTES
                if end > size:
                    raise self._truncated(len(starts))
                starts.append(offset + HEADER_BYTES)
                lengths.append(length)
                offset = end
                file.seek(offset)
        return np.array(starts, np.int64), np.array(lengths, np.int64)

    def _not_a_record(self, record: int, header: bytes) -> BundleError:
        if record == 0 and header[:2] == b"\x1f\x8b":
            return BundleError(
                "record-file-compressed",
                "This record file is compressed with gzip.",
                hint="Records are stored uncompressed: gunzip the file.",
                file=str(self.path),
            )
        return self._crc_mismatch(record, "length")

    def _crc_mismatch(self, record: int, what: str) -> BundleError:
        return BundleError(
            "record-crc-mismatch",
            f"The checksum of the record's {what} does not match.",
            hint="The file is not a TFRecord file or was damaged on its way: copy it again.",
            file=str(self.path),
            record=record,
        )

    def _truncated(self, record: int) -> BundleError:
        return BundleError(
            "record-truncated",
            "The file ends inside a record.",
            hint="It was not written or copied to its end; make or copy it again.",
            file=str(self.path),
            record=record,
        )


def frame(payload: bytes) -> tuple[bytes, bytes, bytes]:
    """A record: what stands before the payload, the payload itself, and what stands after it."""
    return _frame_head(len(payload)), payload, masked_crc(payload).to_bytes(4, "little")


def frame_rows(payloads: int, length: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Room for equally long records, uint8 (n, length + 16), and in it for their payloads.

    The payloads are to be filled in; then ``seal_rows`` completes the records.
    """
    rows = np.empty((payloads, HEADER_BYTES + length + FOOTER_BYTES), np.uint8)
    return rows, rows[:, HEADER_BYTES:-FOOTER_BYTES]


def seal_rows(rows: NDArray[np.uint8]) -> None:
    """Write what stands around the payloads."""
    length = rows.shape[1] - HEADER_BYTES - FOOTER_BYTES
    rows[:, :HEADER_BYTES] = np.frombuffer(_frame_head(length), np.uint8)
    payload = {"names": ["payload"], "formats": [f"V{length}"], "offsets": [HEADER_BYTES]}
    record = np.dtype({**payload, "itemsize": rows.shape[1]})  # type: ignore[call-overload]
    crcs = map(google_crc32c.value, rows.view(record)["payload"].ravel().tolist())
    crc = np.fromiter(crcs, np.uint32, len(rows))
    masked = ((crc >> 15) | (crc << 17)) + np.uint32(0xA282EAD8)
    rows[:, -FOOTER_BYTES:] = masked.astype("<u4")[:, None].view(np.uint8)


@lru_cache(1 << 16)
def _frame_head(size: int) -> bytes:
    """The 12 bytes before a payload of ``size`` bytes."""
    length = struct.pack("<Q", size)
    return length + struct.pack("<I", masked_crc(length))


def read_records(path: Path, verify: bool = True) -> Iterator[bytes]:
    """Payloads of a TFRecord file in order. Raises BundleError as RecordFile does."""
    file = RecordFile(path)
    for record in range(len(file)):
        yield file.read(record, verify)


class RecordWriter:
    """Writes a TFRecord file; a context manager. Equal payloads give equal bytes."""

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("wb", buffering=1 << 20)

    def write(self, payload: bytes) -> None:
        """Append one record."""
        self._file.writelines(frame(payload))

    def __enter__(self) -> RecordWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
