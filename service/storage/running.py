"""The SHA-256 of an object while its parts come, so that little is left to read at their end."""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING, NamedTuple

from service.storage.base import CHUNK_BYTES, Part

if TYPE_CHECKING:
    from service.storage.parts import PartFolder


class Receipt(NamedTuple):
    """A part whose bytes are in place; another receipt of the same part differs in its mark."""

    part: Part
    mark: tuple[int, int]  #: inode, and nanoseconds of its last change


class RunningDigest:
    """Hashes the parts in their order, as far as they are there. Raises ``OSError``.

    A part may be replaced after it was hashed, or while it is, by another process too: at the end
    the receipts of what was hashed are compared with those that are there.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._restart()

    def advance(self, folder: PartFolder) -> None:
        """Hash what has come, unless another thread is at it."""
        if self._lock.acquire(blocking=False):
            try:
                self._hash(folder, folder.list_receipts())
            finally:
                self._lock.release()

    def finish(self, folder: PartFolder) -> str:
        """The digest of all parts, in hexadecimal; nobody may change them meanwhile."""
        with self._lock:
            receipts = folder.list_receipts()
            if self._hashed != receipts[: len(self._hashed)]:
                self._restart()
            self._hash(folder, receipts)
            return self._digest.hexdigest()

    def _restart(self) -> None:
        self._digest = hashlib.sha256()
        self._hashed: list[Receipt] = []

    def _hash(self, folder: PartFolder, receipts: list[Receipt]) -> None:
        buffer = memoryview(bytearray(CHUNK_BYTES))
        with folder.data.open("rb", buffering=0) as data:
            data.seek(sum(receipt.part.size_bytes for receipt in self._hashed))
            for receipt in receipts[len(self._hashed) :]:
                if receipt.part.number != len(self._hashed) + 1:
                    return
                left = receipt.part.size_bytes
                while left and (count := data.readinto(buffer[: min(left, CHUNK_BYTES)])):
                    self._digest.update(buffer[:count])
                    left -= count
                self._hashed.append(receipt)
