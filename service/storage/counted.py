"""Bytes on their way into a store."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable
from typing import Any, BinaryIO

from service.storage.base import read_chunks, too_large


class Counted(io.RawIOBase):
    """A stream of either kind of source, counted and digested as it is read.

    Reading raises ``UsageError`` (``upload-too-large``) past ``max_bytes``.
    """

    def __init__(self, chunks: Iterable[bytes] | BinaryIO, max_bytes: int | None) -> None:
        self._chunks = iter(read_chunks(chunks))
        self._rest = memoryview(b"")
        self._max_bytes = max_bytes
        self.size = 0
        self.digest = hashlib.sha256()

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, target: Any) -> int:
        """See ``io.RawIOBase``."""
        while not self._rest:
            if (chunk := next(self._chunks, None)) is None:
                return 0
            self.size += len(chunk)
            if self._max_bytes is not None and self.size > self._max_bytes:
                raise too_large(self._max_bytes)
            self.digest.update(chunk)
            self._rest = memoryview(chunk)
        count = min(len(target), len(self._rest))
        target[:count], self._rest = self._rest[:count], self._rest[count:]
        return count
