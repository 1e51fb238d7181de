"""Objects as files below one folder.

A file is written aside, made durable, then renamed into place, so that a reader never sees half of
it and a kill leaves none.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from service.storage.base import (
    Multipart,
    Part,
    SignedPart,
    StoredObject,
    Upkeep,
    check_key,
    read_chunks,
    too_large,
)
from service.storage.parts import FilePartWriter, PartFolder, sync_folder, translated
from service.storage.running import RunningDigest

MAX_RUNNING = 1000  # digests of uploads under way; of one that was forgotten all is read at its end


class FileStorage:
    """Objects as files below one folder."""

    origin = ""  # parts come through the service

    def __init__(self, root: Path) -> None:
        self.root = root
        self._aside = root / ".aside"  # no valid key can name it, nor the next
        self._parts = root / ".parts"
        self._running: dict[str, RunningDigest] = {}  # by the folder's name, oldest first

    def prepare(self, upkeep: Upkeep | None = None) -> None:
        """See ``Storage``; a folder has no rules."""
        with translated("the root"):
            self.root.mkdir(parents=True, exist_ok=True)

    def put(
        self, key: str, chunks: Iterable[bytes] | BinaryIO, *, max_bytes: int | None = None
    ) -> StoredObject:
        """See ``Storage``."""
        target = self._file(key)
        digest = hashlib.sha256()
        size = 0
        with translated(key):
            self._aside.mkdir(parents=True, exist_ok=True)
            target.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=self._aside)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    for chunk in read_chunks(chunks):
                        size += len(chunk)
                        if max_bytes is not None and size > max_bytes:
                            raise too_large(max_bytes)
                        digest.update(chunk)
                        file.write(chunk)
                    file.flush()
                    os.fsync(file.fileno())
                Path(name).replace(target)
                sync_folder(target.parent)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
        return StoredObject(key, size, digest.hexdigest())

    def open(self, key: str) -> BinaryIO:
        """See ``Storage``."""
        with translated(key):
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

    def list_folders(self, prefix: str) -> Sequence[str]:
        """See ``Storage``."""
        folder = self._file(prefix)
        return sorted(p.name for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []

    def delete(self, prefix: str) -> None:
        """See ``Storage``."""
        target = self._file(prefix)
        with translated(prefix):
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

    def create_multipart(self, key: str, size_bytes: int, part_bytes: int) -> Multipart:
        """See ``Storage``."""
        with translated(key):
            folder = self._folder(key)
            folder.create(size_bytes)
        return Multipart(key, folder.path.name, size_bytes, part_bytes)

    def sign_part(self, multipart: Multipart, part: Part, seconds: float) -> SignedPart | None:
        """See ``Storage``; a folder has no address."""
        return None

    def write_part(self, multipart: Multipart, part: Part) -> FilePartWriter:
        """See ``Storage``."""
        with translated(multipart.key):
            self._aside.mkdir(parents=True, exist_ok=True)
            folder = self._folder(multipart.key)
            offset = (part.number - 1) * multipart.part_bytes
            return FilePartWriter(folder, part, offset, self._run(folder), aside=self._aside)

    def list_parts(self, multipart: Multipart) -> Sequence[Part]:
        """See ``Storage``."""
        with translated(multipart.key):
            return self._folder(multipart.key).list_parts()

    def complete_multipart(self, multipart: Multipart, parts: Sequence[Part]) -> str | None:
        """See ``Storage``."""
        with translated(multipart.key):
            folder = self._folder(multipart.key)
            sha256 = folder.move_to(self._file(multipart.key), self._run(folder))
        self._running.pop(folder.path.name, None)
        return sha256

    def abort_multipart(self, key: str, multipart_id: str) -> None:
        """See ``Storage``."""
        with translated(key):
            folder = self._folder(key)
            folder.remove()
        self._running.pop(folder.path.name, None)

    def list_multiparts(self) -> Sequence[tuple[str, str]]:
        """See ``Storage``."""
        folders = self._parts.iterdir() if self._parts.is_dir() else ()
        return sorted((folder.name.replace("%", "/"), folder.name) for folder in folders)

    def remove_leftovers(self, before: datetime) -> None:
        """See ``Storage``."""
        for path in self._aside.iterdir() if self._aside.is_dir() else ():
            with translated(path.name), contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < before.timestamp():
                    path.unlink()

    def _run(self, folder: PartFolder) -> RunningDigest:
        running = self._running.setdefault(folder.path.name, RunningDigest())
        while len(self._running) > MAX_RUNNING:
            self._running.pop(next(iter(self._running)), None)
        return running

    def _file(self, key: str) -> Path:
        return self.root / check_key(key)

    def _folder(self, key: str) -> PartFolder:
        return PartFolder(self._parts / check_key(key).replace("/", "%"))  # no key has a %
