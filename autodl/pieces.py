"""Files that are read piece by piece, so that none is in memory as a whole."""

from __future__ import annotations

import os
import weakref
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from autodl.errors import BundleError


class OpenFile:
    """A file that is read at any place. Threads and forked children may share one; a pickled copy
    opens the file again. Raises BundleError (``file-missing``)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._fd = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise BundleError(
                "file-missing", f"Cannot open: {error.strerror}.", file=str(path)
            ) from error
        weakref.finalize(self, os.close, self._fd)

    def __getstate__(self) -> Path:
        return self.path

    def __setstate__(self, path: Path) -> None:
        self.__init__(path)  # type: ignore[misc]

    @property
    def size(self) -> int:
        """In bytes."""
        return os.fstat(self._fd).st_size

    def read(self, start: int, size: int) -> bytes:
        """What lies there; less where the file ends."""
        return os.pread(self._fd, size, start)


class LineFile:
    """The lines of a UTF-8 file, without their ends; an empty one after the last end is none.

    Raises BundleError: ``file-missing``, ``text-not-utf8``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = OpenFile(path)
        starts = array("q", [0])
        with path.open("rb") as file:
            for line in file:
                starts.append(starts[-1] + len(line))
        self._starts = np.frombuffer(starts, np.int64)

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, index: int) -> str:
        start, end = self._starts[index : index + 2].tolist()
        return self._decode(index, self._file.read(start, end - start))

    def __iter__(self) -> Iterator[str]:
        with self.path.open("rb") as file:
            for index, line in enumerate(file):
                yield self._decode(index, line)

    def _decode(self, index: int, line: bytes) -> str:
        try:
            text = line.decode("utf-8" if index else "utf-8-sig")
        except UnicodeDecodeError as error:
            raise BundleError(
                "text-not-utf8",
                f"Byte {error.start} of the line is not UTF-8.",
                hint="Save the file as UTF-8.",
                file=str(self.path),
                line=index + 1,
            ) from error
        return text.removesuffix("\n").removesuffix("\r")
