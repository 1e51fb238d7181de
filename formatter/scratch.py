"""What a source is taken apart into while it is read once: files aside, read back in any order."""

from __future__ import annotations

import os
import tempfile
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

BLOCK_ROWS = 4096
BUFFER_BYTES = 1 << 20
PLACES = 1 << 20  # looked up at a time: NumPy makes eight bytes of each first
STRETCH_BYTES = 32 << 20  # of rows that are put in order in memory


class RowFile:
    """Rows of float32 values, equally many each; gone with the object."""

    def __init__(self, folder: Path | None, columns: int) -> None:
        self._folder = folder
        self._columns = columns
        self._file = tempfile.TemporaryFile(dir=folder)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, values: Floats) -> None:
        """Add rows, float32 (n, columns)."""
        self._file.write(np.ascontiguousarray(values, np.float32).data)
        self._count += len(values)

    def read(self, rows: NDArray[np.int32]) -> Iterator[Floats]:
        """The rows with these numbers, none twice, in this order: blocks float32 (n, columns).

        They are dealt out to stretches of the order asked for, each small enough for memory: so
        the file is read from start to end, whatever the order.
        """
        self._file.flush()
        if (rows[1:] > rows[:-1]).all():
            yield from self._pick(rows)
            return
        stretch = max(BLOCK_ROWS, STRETCH_BYTES // (4 * self._columns))
        places = np.full(self._count, -1, np.int32)
        for start in range(0, len(rows), PLACES):
            part = rows[start : start + PLACES]
            places[part] = np.arange(start, start + len(part), dtype=np.int32)
        filled = np.arange(0, len(rows), stretch, dtype=np.int64)
        with tempfile.TemporaryFile(dir=self._folder) as dealt:
            for start, block in self._blocks():
                place = places[start : start + len(block)]
                kept = np.flatnonzero(place >= 0)
                self._deal(dealt.fileno(), block, kept, place[kept] // stretch, filled)
            del places  # some megabytes for each million rows
            room = np.empty((min(len(rows), stretch), self._columns), np.float32)
            for start in range(0, len(rows), stretch):
                part = rows[start : start + stretch]
                as_dealt = self._pread(dealt.fileno(), start, room[: len(part)])
                rank = np.empty(len(part), np.int32)
                rank[np.argsort(part)] = np.arange(len(part), dtype=np.int32)
                for first in range(0, len(part), BLOCK_ROWS):
                    yield as_dealt[rank[first : first + BLOCK_ROWS]]

    def _pick(self, rows: NDArray[np.int32]) -> Iterator[Floats]:
        """Rows that are in the order of the file."""
        for start, block in self._blocks():
            first, end = np.searchsorted(rows, [start, start + len(block)])
            if first < end:
                yield block[rows[first:end] - start]

    def _blocks(self) -> Iterator[tuple[int, Floats]]:
        """The whole file in blocks, each there until the next; the first row's number with each."""
        room = np.empty((min(BLOCK_ROWS, self._count), self._columns), np.float32)
        for start in range(0, self._count, BLOCK_ROWS):
            yield start, self._pread(self._file.fileno(), start, room[: self._count - start])

    def in_groups(
        self, group_of: Callable[[Floats], NDArray[np.int32]], sizes: NDArray[np.int64]
    ) -> Iterator[Floats]:
        """All rows, in blocks of whole groups, which are in order; within one there is none.

        ``group_of`` says to which group each row of a block belongs; of these ``sizes`` rows each.
        """
        ends = np.cumsum(sizes)
        wanted = max(BLOCK_ROWS, STRETCH_BYTES // (4 * self._columns))
        _, first, stretch_of = np.unique(
            (ends - 1) // wanted, return_index=True, return_inverse=True
        )
        starts = (ends - sizes)[first]
        filled = starts.copy()
        self._file.flush()
        with tempfile.TemporaryFile(dir=self._folder) as dealt:
            for _, block in self._blocks():
                every = np.arange(len(block))
                self._deal(dealt.fileno(), block, every, stretch_of[group_of(block)], filled)
            for start, end in zip(starts.tolist(), filled.tolist(), strict=True):
                room = np.empty((end - start, self._columns), np.float32)
                yield self._pread(dealt.fileno(), start, room)

    def _deal(
        self,
        file: int,
        block: Floats,
        kept: NDArray[np.intp],
        stretch: NDArray[np.integer],
        filled: NDArray[np.int64],
    ) -> None:
        """Append the rows ``kept`` each to its stretch, of which ``filled`` are the next places."""
        few = len(filled) <= np.iinfo(np.int16).max  # which are sorted faster
        order = np.argsort(stretch.astype(np.int16) if few else stretch, kind="stable")
        block = block[kept[order]]
        at = 0
        for number, count in enumerate(np.bincount(stretch).tolist()):
            if count:
                where = int(filled[number]) * 4 * self._columns
                os.pwrite(file, block[at : at + count].data, where)
                filled[number] += count
                at += count

    def _pread(self, file: int, start: int, into: Floats) -> Floats:
        """Fill ``into`` with the rows from ``start`` on."""
        done, size = 0, into.nbytes
        while done < size:
            left = into.data.cast("B")[done:]
            done += os.preadv(file, [left], start * 4 * self._columns + done)
        return into


class Spool:
    """Pieces of bytes of any size; gone with the folder."""

    def __init__(self, folder: Path | None) -> None:
        self._file = tempfile.NamedTemporaryFile("wb", BUFFER_BYTES, dir=folder, delete=False)
        self._ends = array("q", [0])

    @property
    def path(self) -> str:
        """Of the file that holds them, one after another; to be read after ``flush``."""
        return self._file.name

    def append(self, piece: bytes) -> tuple[int, int]:
        """Add a piece; (start, size) of it in the file."""
        self._file.write(piece)
        self._ends.append(self._ends[-1] + len(piece))
        return self._ends[-2], len(piece)

    def flush(self) -> None:
        """Have all that was added in the file."""
        self._file.flush()

    def read(self, number: int) -> bytes:
        """A piece, once they were flushed."""
        start, end = self._ends[number : number + 2]
        return os.pread(self._file.fileno(), end - start, start)
