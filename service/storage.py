"""Where bytes lie: one protocol, and its form on a local disk.

Objects are immutable in use: written aside, made durable, then renamed into place, so that a
reader never sees half an object and a kill leaves none.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import urlsplit
from urllib.request import url2pathname

from autodl.errors import PlatformError, UsageError

KEY = re.compile(r"(?!.*(^|/)\.)[A-Za-z0-9._+=@-]+(/[A-Za-z0-9._+=@-]+)*")
CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True)
class StoredObject:
    """What is known of an object once it is stored."""

    key: str
    size_bytes: int
    sha256: str


class Storage(Protocol):
    """The object store.

    Keys are ``/``-separated ASCII names, none of whose parts begins with a dot. Every method raises
    ``PlatformError``: ``storage-unavailable`` when the store fails, and those that read
    ``object-not-found`` when the key names nothing.
    """

    def put(
        self, key: str, chunks: Iterable[bytes] | BinaryIO, *, max_bytes: int | None = None
    ) -> StoredObject:
        """Store the bytes, atomically and durably.

        Raises ``UsageError`` (``upload-too-large``) past ``max_bytes``, and stores nothing then.
        """

    def open(self, key: str) -> BinaryIO:
        """The object as a binary stream, for reading."""

    def read(self, key: str) -> bytes:
        """The whole object."""

    def exists(self, key: str) -> bool:
        """Whether the key names an object."""

    def list(self, prefix: str) -> list[str]:
        """Every key below ``prefix/``, sorted."""

    def delete(self, prefix: str) -> None:
        """Remove the object ``prefix`` and everything below ``prefix/``; absent is success."""

    def url(self, key: str) -> str:
        """A URL that lets its holder read this one object."""

    def path(self, key: str) -> Path | None:
        """The object as a local file, or ``None`` in a store that is elsewhere."""


class FileStorage:
    """Objects as files below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._aside = root / ".aside"  # no valid key can name it

    def put(
        self, key: str, chunks: Iterable[bytes] | BinaryIO, *, max_bytes: int | None = None
    ) -> StoredObject:
        """See ``Storage``."""
        target = self._file(key)
        digest = hashlib.sha256()
        size = 0
        with _translated(key):
            self._aside.mkdir(parents=True, exist_ok=True)
            target.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=self._aside)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    for chunk in _read_chunks(chunks):
                        size += len(chunk)
                        if max_bytes is not None and size > max_bytes:
                            raise _too_large(max_bytes)
                        digest.update(chunk)
                        file.write(chunk)
                    file.flush()
                    os.fsync(file.fileno())
                Path(name).replace(target)
                _sync_folder(target.parent)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
        return StoredObject(key, size, digest.hexdigest())

    def open(self, key: str) -> BinaryIO:
        """See ``Storage``."""
        with _translated(key):
            return self._file(key).open("rb")

    def read(self, key: str) -> bytes:
        """See ``Storage``."""
        with self.open(key) as file:
            return file.read()

    def exists(self, key: str) -> bool:
        """See ``Storage``."""
        return self._file(key).is_file()

    def list(self, prefix: str) -> list[str]:
        """See ``Storage``."""
        files = (p for p in self._file(prefix).rglob("*") if p.is_file())
        return sorted(p.relative_to(self.root).as_posix() for p in files)

    def delete(self, prefix: str) -> None:
        """See ``Storage``."""
        target = self._file(prefix)
        with _translated(prefix):
            if target.is_dir():
                shutil.rmtree(target)
            else:
                target.unlink(missing_ok=True)

    def url(self, key: str) -> str:
        """See ``Storage``."""
        return self._file(key).as_uri()

    def path(self, key: str) -> Path | None:
        """See ``Storage``."""
        return self._file(key)

    def _file(self, key: str) -> Path:
        if not KEY.fullmatch(key):
            raise PlatformError("object-key-invalid", f"{key!r} is not a storage key.")
        return self.root / key


def open_storage(url: str) -> Storage:
    """The store that ``url`` names: ``file:///folder``."""
    parts = urlsplit(url)
    if parts.scheme != "file":
        raise UsageError(
            "storage-url-unknown",
            f"There is no store for {parts.scheme or 'a bare path'!r} URLs.",
            hint="AUTODL_STORAGE takes file:///folder.",
        )
    return FileStorage(Path(url2pathname(parts.path)))


def _too_large(max_bytes: int) -> UsageError:
    return UsageError(
        "upload-too-large",
        f"The upload is larger than {max_bytes} bytes.",
        hint="Send a smaller bundle, or ask the operator to raise the limit.",
    )


def _read_chunks(source: Iterable[bytes] | BinaryIO) -> Iterator[bytes]:
    if not hasattr(source, "read"):
        yield from source
        return
    while chunk := source.read(CHUNK_BYTES):
        yield chunk


class _translated:  # noqa: N801 reads as a statement
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


def _sync_folder(folder: Path) -> None:
    """Make a rename durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
