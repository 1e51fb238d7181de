"""An object that comes in parts, on a disk: every byte is in place when the last part is.

The folder of an object holds ``data``, a sparse file of the whole size, and an empty file for each
part that is there, named ``number-size-SHA-256``. A part is received into a nameless file of its
own, which takes as long as the link does; when it has turned out right it is copied to its place
and made durable, and only then its name is written. So parts may come in any order, at once and
again, a kill leaves the part out, and completing is a rename: no byte is written twice to disk, and
few are read again, for the whole's SHA-256 runs along (``service/storage/running.py``).
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

    def place(self, part: Part, source: int, offset: int) -> None:
        """Copy a part from an open file to its place; one that is there already is left alone."""
        with self.locked():
            known = [other for other in self.list_parts() if other.number == part.number]
            if known == [part]:
                return
            for other in known:
                self._receipt(other).unlink()  # before its bytes are written over
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


class FilePartWriter:
    """See ``PartWriter``."""

    def __init__(
        self, folder: PartFolder, part: Part, offset: int, running: RunningDigest, *, aside: Path
    ) -> None:
        self._folder = folder
        self._running = running
        self._part = part
        self._offset = offset
        self._digest = hashlib.sha256()
        self._size = 0
        self._file = tempfile.TemporaryFile(dir=aside)  # nameless: gone with the process

    def write(self, data: bytes) -> None:
        """See ``PartWriter``."""
        self._size += len(data)
        if self._size > self._part.size_bytes:
            raise wrong_size(self._part)
        self._digest.update(data)
        with translated(self._folder.path.name):
            self._file.write(data)

    def commit(self) -> None:
        """See ``PartWriter``."""
        check_part(self._part, self._size, self._digest.hexdigest())
        with translated(self._folder.path.name):
            self._file.flush()
            self._folder.place(self._part, self._file.fileno(), self._offset)
            with suppress(FileNotFoundError):  # completed meanwhile, or aborted
                self._running.advance(self._folder)

    def close(self) -> None:
        """See ``PartWriter``."""
        self._file.close()


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
