"""TFRecord files (AutoDL formats 1.4): the framing of records, read and written.

A record is: length (uint64 LE), masked CRC-32C of those 8 bytes, payload, masked CRC-32C of the
payload. What a payload holds is the business of ``autodl.examples``, whose names are offered here
too: whoever writes records writes examples.
"""

from __future__ import annotations

import struct
from array import array
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
from autodl.pieces import OpenFile

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
        self._file = OpenFile(path)
        self._starts = self._index()  # of each payload, and where one more would begin

    def __len__(self) -> int:
        return len(self._starts) - 1

    def read(self, record: int, verify: bool = True) -> bytes:
        """Payload of one record; ``verify`` compares its CRC."""
        start, length = self._place(record)
        data = self._file.read(start, length + FOOTER_BYTES)
        if len(data) < length + FOOTER_BYTES:
            raise self._truncated(record)
        payload = data[:length]
        if verify and masked_crc(payload) != int.from_bytes(data[length:], "little"):
            raise self._crc_mismatch(record, "payload")
        return payload

    def read_head(self, record: int, size: int) -> bytes:
        """The first ``size`` bytes of a payload at most, not verified."""
        start, length = self._place(record)
        return self._file.read(start, min(size, length))

    def read_block(self, first: int, stop: int) -> list[bytes | None]:
        """Payloads of neighbouring records by one read; None for those with a wrong checksum."""
        starts = self._starts[first : stop + 1]
        data = self._file.read(int(starts[0]), int(starts[-1] - starts[0]) - HEADER_BYTES)
        ends = np.diff(starts).cumsum() - HEADER_BYTES
        payloads: list[bytes | None] = []
        for start, end in zip((starts[:-1] - starts[0]).tolist(), ends.tolist(), strict=True):
            payload = data[start : end - FOOTER_BYTES]
            sound = masked_crc(payload) == int.from_bytes(data[end - FOOTER_BYTES : end], "little")
            payloads.append(payload if sound else None)
        return payloads

    def _place(self, record: int) -> tuple[int, int]:
        """(start, length) of a payload."""
        start, following = self._starts[record : record + 2].tolist()
        return start, following - start - FOOTER_BYTES - HEADER_BYTES

    def _index(self) -> Ints:
        starts = array("q", [HEADER_BYTES])
        size = self._file.size
        with self.path.open("rb") as file:
            while header := file.read(HEADER_BYTES):
                record = len(starts) - 1
                if len(header) < HEADER_BYTES:
                    raise self._truncated(record)
                length, crc = struct.unpack("<QI", header)
                if masked_crc(header[:8]) != crc:
                    raise self._not_a_record(record, header)
                end = starts[-1] + length + FOOTER_BYTES
                if end > size:
                    raise self._truncated(record)
                starts.append(end + HEADER_BYTES)
                file.seek(end)
        return np.frombuffer(starts, np.int64)

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
