"""Where a bundle's files are written: into a folder, into a zip, or nowhere."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

BUFFER_BYTES = 1 << 20
ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest a zip can hold: no clock in the bytes


class Sink(Protocol):
    """Takes one file after another."""

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """A new file to be written, called by its path within the bundle."""
        yield ...  # type: ignore[misc]


class FolderSink:
    """Files in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """See ``Sink``."""
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb", buffering=BUFFER_BYTES) as file:
            yield file


class ZipSink:
    """Files in a zip, stored: media do not shrink, and a run reads it once."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """See ``Sink``."""
        entry = zipfile.ZipInfo(name, ZIP_TIME)
        entry.external_attr = 0o644 << 16
        with self._archive.open(entry, "w", force_zip64=True) as file:
            yield file


class NullSink:
    """Nothing is kept."""

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """See ``Sink``."""
        with Path(os.devnull).open("wb") as file:
            yield file


def zip_folder(folder: Path, path: Path) -> Path:
    """What lies in a folder, zipped the same way."""
    with sink_for(path, is_zip=True) as sink:
        for file in sorted(p for p in folder.rglob("*") if p.is_file()):
            with file.open("rb") as data, sink.open(file.relative_to(folder).as_posix()) as packed:
                shutil.copyfileobj(data, packed, BUFFER_BYTES)
    return path


@contextmanager
def sink_for(out: Path | None, is_zip: bool) -> Iterator[Sink]:
    """The sink that makes ``out``, a zip or a folder; None: nothing is kept."""
    if out is None:
        yield NullSink()
    elif is_zip:
        with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
            yield ZipSink(archive)
    else:
        out.mkdir()
        yield FolderSink(out)
