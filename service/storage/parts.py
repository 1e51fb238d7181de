"""An object that comes in parts, on a disk: every byte is in place when the last part is.

The folder of an object holds ``data``, a sparse file of the whole size, and an empty file for each
part that is there, its receipt, named ``number-size-SHA-256``. A part is written to its place, made
durable, and when it has turned out right, and only then, its receipt is written. So a kill leaves
the part out, and completing is a rename: few bytes are read again, for the whole's SHA-256 runs
along (``service/storage/running.py``).

Parts may come at once and again: one whose place is taken, by itself or by another that is still
coming, is received into a nameless file and copied to its place at its end. So a link that hangs
blocks nobody, and what is there stays until what replaces it is known to be right.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import RawIOBase
from pathlib import Path

from autodl.errors import PlatformError, UsageError
from service.storage.base import CHUNK_BYTES, Part
from service.storage.running import Receipt, RunningDigest

RECEIPT = re.compile(r"(\d{5})-(\d+)-([0-9a-f]{64})")


class PartFolder:
    """The parts of one object that is not complete yet. Raises ``OSError``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data = path / "data"

    def create(self, size_bytes: int) -> None:
        """Make room; again changes nothing."""
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / "lock").touch()
        with self.data.open("ab") as file:
            file.truncate(size_bytes)
        sync_folder(self.path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Alone among threads and processes; ``FileNotFoundError`` if the object is no more."""
        with (self.path / "lock").open("r+b") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def list_parts(self) -> list[Part]:
        """The parts whose bytes are in place, by number."""
        if not self.path.is_dir():
            return []
        names = (RECEIPT.fullmatch(path.name) for path in self.path.iterdir())
        return sorted(
            (Part(int(n[1]), int(n[2]), n[3]) for n in names if n), key=lambda part: part.number
        )

    def list_receipts(self) -> list[Receipt]:
        """The same, with what tells one receipt of a part from a later one."""
        stats = [(part, self._receipt(part).stat()) for part in self.list_parts()]
        return [Receipt(part, (stat.st_ino, stat.st_ctime_ns)) for part, stat in stats]

    def claim(self, number: int) -> Claim | None:
        """The right to write a part to its place, unless it is there or another has the right."""
        with self.locked():
            path = self._claim(number)
            if path.exists() or any(part.number == number for part in self.list_parts()):
                return None
            return Claim(path)

    def confirm(self, part: Part, data: int, claim: Claim) -> None:
        """Make a part durable that was written to its place in the open ``data``.

        Raises ``UsageError`` (``part-superseded``) when other bytes were placed there meanwhile.
        """
        os.fdatasync(data)
        with self.locked(), claim.held() as stands:
            if stands:
                self._receipt(part).touch()
                self._claim(part.number).unlink()
                sync_folder(self.path)
            elif part not in self.list_parts():
                raise UsageError(
                    "part-superseded",
                    f"Another part {part.number} has come meanwhile, of other bytes.",
                    hint="Send the part again if yours is the right one.",
                )

    def place(self, part: Part, source: int, offset: int) -> None:
        """Copy a part from an open file to its place; one that is there already is left alone."""
        with self.locked():
            known = [other for other in self.list_parts() if other.number == part.number]
            if known == [part]:
                return
            for other in known:
                self._receipt(other).unlink()  # before its bytes are written over
            with suppress(FileNotFoundError):
                Claim.revoke(self._claim(part.number))
            with self.data.open("r+b") as data:
                _copy(source, data.fileno(), offset, part.size_bytes)
                os.fdatasync(data.fileno())
            self._receipt(part).touch()
            sync_folder(self.path)

    def move_to(self, target: Path, running: RunningDigest) -> str | None:
        """Make the object of its parts, and return its SHA-256.

        That it is there already is success, and ``None``.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self.locked():
                sha256 = running.finish(self)
                self.data.replace(target)
                sync_folder(target.parent)
                self.remove()
                return sha256
        except FileNotFoundError:
            if not target.is_file():
                raise
            self.remove()  # what a kill left after the rename
            return None

    def remove(self) -> None:
        """Whatever there is; absent is success."""
        if self.path.is_dir():
            shutil.rmtree(self.path)

    def _receipt(self, part: Part) -> Path:
        return self.path / f"{part.number:05d}-{part.size_bytes}-{part.sha256}"

    def _claim(self, number: int) -> Path:
        return self.path / f"{number:05d}-claim"


class Claim:
    """The right to write a part to its place: it stands as long as its file has a name.

    Who takes it away waits for a write that is under way, among threads and processes. One that a
    kill left behind is taken away by the next writer of the part.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("xb")

    @contextmanager
    def held(self) -> Iterator[bool]:
        """Whether it stands; nobody takes it away meanwhile."""
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            yield os.fstat(self._file.fileno()).st_nlink > 0
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give it up, if it stands."""
        with self.held() as stands:
            if stands:
                self._path.unlink()
        self._file.close()

    @staticmethod
    def revoke(path: Path) -> None:
        """Take away the claim of that file. Raises ``FileNotFoundError``."""
        with path.open("rb") as claim:
            fcntl.flock(claim, fcntl.LOCK_EX)
            path.unlink()


class FilePartWriter:
    """See ``PartWriter``. Writes to the part's place, or aside where that is taken."""

    def __init__(
        self, folder: PartFolder, part: Part, offset: int, running: RunningDigest, *, aside: Path
    ) -> None:
        self._folder = folder
        self._running = running
        self._part = part
        self._offset = offset
        self._digest = hashlib.sha256()
        self._size = 0
        self._claim = folder.claim(part.number)
        self._file: RawIOBase
        if self._claim is None:
            self._file = tempfile.TemporaryFile(dir=aside, buffering=0)  # gone with the process
        else:
            self._file = folder.data.open("r+b", buffering=0)
            self._file.seek(offset)

    def write(self, data: bytes) -> None:
        """See ``PartWriter``."""
        self._size += len(data)
        if self._size > self._part.size_bytes:
            raise wrong_size(self._part)
        self._digest.update(data)
        with translated(self._folder.path.name):
            if self._claim is None:
                _write(self._file, data)
                return
            with self._claim.held() as stands:
                if stands:  # else another one of it has come first
                    _write(self._file, data)

    def commit(self) -> None:
        """See ``PartWriter``."""
        check_part(self._part, self._size, self._digest.hexdigest())
        with translated(self._folder.path.name):
            if self._claim is None:
                self._folder.place(self._part, self._file.fileno(), self._offset)
            else:
                self._folder.confirm(self._part, self._file.fileno(), self._claim)
            with suppress(FileNotFoundError):  # completed meanwhile, or aborted
                self._running.advance(self._folder)

    def close(self) -> None:
        """See ``PartWriter``."""
        self._file.close()
        if self._claim is not None:
            self._claim.close()


def check_part(part: Part, size_bytes: int, sha256: str) -> None:
    """Whether the bytes that came are those that were announced.

    Raises ``UsageError`` (``part-size-wrong``, ``digest-mismatch``).
    """
    if size_bytes != part.size_bytes:
        raise wrong_size(part)
    if sha256 != part.sha256:
        raise UsageError(
            "digest-mismatch",
            f"The SHA-256 of part {part.number} is not the one it was announced with.",
            hint="It was changed on the way: send it again.",
        )


def wrong_size(part: Part) -> UsageError:
    """The refusal of a part of another length."""
    return UsageError(
        "part-size-wrong",
        f"Part {part.number} has exactly {part.size_bytes} bytes.",
        hint="Every part has the upload's `part_bytes`, but for the last.",
    )


class translated:  # noqa: N801 reads as a statement
    """Disk errors as ours."""

    def __init__(self, key: str) -> None:
        self.key = key

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, FileNotFoundError):
            raise PlatformError("object-not-found", f"There is no object {self.key}.") from error
        if isinstance(error, OSError):
            raise PlatformError(
                "storage-unavailable",
                f"The object store failed: {error.strerror}.",
                hint="It is tried again; if it lasts, see the service's log.",
            ) from error


def sync_folder(folder: Path) -> None:
    """Make a rename durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(file: RawIOBase, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


def _copy(source: int, target: int, offset: int, size: int) -> None:
    """From the start of one file to the middle of another, inside of the kernel where it can."""
    done = 0
    while done < size:
        if hasattr(os, "copy_file_range"):
            count = os.copy_file_range(source, target, size - done, done, offset + done)
        else:
            count = os.pwrite(target, os.pread(source, CHUNK_BYTES, done), offset + done)
        if count == 0:
            raise OSError(5, "The part that was received has become shorter")
        done += count
