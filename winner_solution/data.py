"""The examples of a subset, decoded once and kept small; and the task that learners work on."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from . import config
from .budget import Deadline, OutOfTimeError
from .domain import Domain, Shape, probe, route
from .machine import cores, free_memory
from .pictures import (
    Frame,
    Pixels,
    decode_picture,
    frame_of_arrays,
    frame_of_encoded,
    resize_pixels,
    shrink_array,
)
from .split import Fold, Rows, make_folds

if TYPE_CHECKING:
    from autodl.dataset import Dataset

Floats = NDArray[np.float32]

BLOCK = 64  # rows between two looks at the clock
LARGEST = np.float32(1e15)  # values beyond are cut: sums of their squares must stay finite


class Extractor(Protocol):
    """Turns rows into vectors; ``name`` is its identity in the cache of a subset."""

    @property
    def name(self) -> str:
        """Identity in the cache of a subset: equal names, equal features."""

    def __call__(self, subset: Subset, rows: Rows) -> Floats:
        """float32 (len(rows), F), finite, the same F for every call."""


def pictures_of(extractor: Extractor, shape: Shape) -> int:
    """How many pictures of an example the extractor looks at: its ``count``, of a clip."""
    return 1 if shape.steps == 1 else int(getattr(extractor, "count", 1))


class Subset:
    """A dataset as learners read it: rows are 0..len-1, everything is cached by row.

    ``index`` picks rows of the dataset (an even part of a very large one).
    """

    def __init__(self, dataset: Dataset, shape: Shape, index: Rows | None = None) -> None:
        self.dataset = dataset
        self.shape = shape
        self.frame: Frame | None = None  # set for pictures, the same for all subsets
        self._index = np.arange(len(dataset)) if index is None else index
        self._examples: dict[int, Floats] = {}
        self._pictures: dict[tuple[int, int], dict[int, Pixels]] = {}
        self._cached_bytes = 0
        self._most_bytes = min(config.CACHE_SHARE * free_memory(), config.CACHE_MAX_BYTES)
        self._features: dict[str, _Matrix] = {}
        self.extraction_seconds = 0.0  # spent in ``features`` so far

    def __len__(self) -> int:
        return len(self._index)

    @property
    def rows(self) -> Rows:
        """All rows."""
        return np.arange(len(self))

    def labels(self) -> Floats:
        """float32 (len, C)."""
        if len(self) == len(self.dataset):
            return self.dataset.labels()
        return np.stack([self.dataset[int(i)][1] for i in self._index])

    def examples(self, rows: Rows) -> list[Floats]:
        """The tensors themselves, float32 (T, H, W, C) each."""
        found = []
        for row in rows.tolist():
            example = self._examples.get(row)
            if example is None:
                example = self.dataset[int(self._index[row])][0]
                if self._has_room(example.nbytes):
                    self._examples[row] = example
            found.append(example)
        return found

    def encoded(self, row: int) -> list[bytes]:
        """Encoded frames of one example (COMPRESSED only), not cached."""
        return self.dataset.encoded(int(self._index[row]))

    def table(self, rows: Rows) -> Floats:
        """float32 (n, columns) of dense tables; NaN where a value is missing."""
        table = np.stack([example.ravel() for example in self.examples(rows)])
        return np.asarray(np.clip(table, -LARGEST, LARGEST))

    def sparse_table(self, rows: Rows) -> sparse.csr_matrix:
        """float32 CSR (n, columns) of sparse tables."""
        pairs = [example.reshape(-1, 2) for example in self.examples(rows)]
        ends = np.cumsum([0] + [len(pair) for pair in pairs])
        flat = np.concatenate(pairs) if pairs else np.zeros((0, 2), np.float32)
        columns = flat[:, 0].astype(np.int32)
        shape = (len(rows), self.shape.cols)
        return sparse.csr_matrix((np.nan_to_num(flat[:, 1]), columns, ends), shape=shape)

    def tokens(self, rows: Rows) -> list[NDArray[np.int32]]:
        """Token codes of texts, int32 (T,) each."""
        return [example.ravel().astype(np.int32) for example in self.examples(rows)]

    def series(self, rows: Rows) -> list[Floats]:
        """Series of vectors, float32 (T, dimensions) each; T is at least 1."""
        shape = self.shape
        blank = np.zeros((1, max(1, shape.rows * shape.cols * shape.channels)), np.float32)
        return [
            np.clip(np.nan_to_num(e.reshape(len(e), -1)), -LARGEST, LARGEST) if e.size else blank
            for e in self.examples(rows)
        ]

    def images(self, rows: Rows, side: int) -> Pixels:
        """uint8 (n, height, width, channels): first frames, the longer side at most ``side``."""
        return self.frames(rows, side, 1)[:, 0]

    def frames(self, rows: Rows, side: int, count: int) -> Pixels:
        """uint8 (n, count, height, width, channels): ``count`` frames spread evenly."""
        if self.frame is None:
            raise TypeError("this dataset has no pictures")
        canvas = self.frame.canvas(side)
        cache = self._pictures.setdefault((side, count), {})
        missing = [row for row in rows.tolist() if row not in cache]
        done = _pool().map(lambda row: self._picture(row, side, count, canvas), missing)
        new = dict(zip(missing, done, strict=True))
        frames = np.stack([new[row] if row in new else cache[row] for row in rows.tolist()])
        if new and self._has_room(frames[0].nbytes * len(new)):
            cache.update(new)
        return frames

    def features(
        self, extractor: Extractor, rows: Rows, deadline: Deadline | None = None
    ) -> Floats:
        """float32 (n, F) by ``extractor``, each row computed once.

        Raises OutOfTimeError at ``deadline``; what was computed by then is kept.
        """
        matrix = self._features.setdefault(extractor.name, _Matrix(len(self)))
        missing = rows[~matrix.known[rows]]
        for start in range(0, len(missing), BLOCK):
            if deadline is not None:
                deadline.check()
            block = missing[start : start + BLOCK]
            began = time.monotonic()
            matrix.put(block, extractor(self, block))
            self.extraction_seconds += time.monotonic() - began
        return matrix.get(rows)

    def ready(self, extractor: Extractor, rows: Rows, deadline: Deadline) -> Rows:
        """Compute features until ``deadline``; the rows that have them then, in the given order."""
        with suppress(OutOfTimeError):
            self.features(extractor, rows, deadline)
        return rows[self._features[extractor.name].known[rows]]

    def count_features(self, extractor: Extractor) -> int:
        """Rows for which ``features`` costs nothing any more."""
        matrix = self._features.get(extractor.name)
        return 0 if matrix is None else int(matrix.known.sum())

    def forget(self, extractor: Extractor) -> None:
        """Free what ``features`` keeps."""
        self._features.pop(extractor.name, None)

    def _has_room(self, size: int) -> bool:
        """Count ``size`` bytes more into the cache, or say that it is full."""
        if self._cached_bytes + size > self._most_bytes:
            return False
        self._cached_bytes += size
        return True

    def _picture(self, row: int, side: int, count: int, canvas: tuple[int, int]) -> Pixels:
        """uint8 (count, height, width, channels) of one row; zeros where it cannot be decoded."""
        frame = self.frame
        assert frame is not None
        larger = [
            s
            for (s, c), cache in self._pictures.items()
            if c == count and s > side and row in cache
        ]
        if larger:
            known = self._pictures[min(larger), count][row]
            return np.stack([resize_pixels(pixels, canvas) for pixels in known])
        if not self.shape.compressed:
            example = self.dataset[int(self._index[row])][0]
            return np.stack([shrink_array(x, canvas, frame) for x in spread(example, count)])
        blank = np.zeros((*canvas, frame.channels), np.uint8)
        pictures = []
        for data in spread(self.encoded(row), count):
            try:
                pictures.append(decode_picture(data, canvas, frame.channels))
            except (OSError, ValueError, SyntaxError):  # one bad picture must not cost the run
                pictures.append(blank)
        return np.stack(pictures) if pictures else np.stack([blank] * count)


def spread(steps: Sequence[Any] | Floats, count: int) -> list[Any]:
    """``count`` of ``steps``, the middles of equal stretches; repeated when there are fewer."""
    middles = ((np.arange(count) + 0.5) * len(steps) / count).astype(int)
    return [steps[i] for i in middles.tolist()] if len(steps) else []


class _Matrix:
    """Rows of a feature matrix that come in any order.

    Wide ones, of networks, are kept in half precision, and large ones in a scratch file, which
    the system writes to disk when memory is short.
    """

    def __init__(self, rows: int) -> None:
        self.known = np.zeros(rows, bool)
        self._values: NDArray[np.floating] | None = None

    def put(self, rows: Rows, values: Floats) -> None:
        if self._values is None:
            self._values = _scratch(len(self.known), values.shape[1])
        limit = np.finfo(self._values.dtype).max
        self._values[rows] = np.clip(np.nan_to_num(values), -limit, limit)
        self.known[rows] = True

    def get(self, rows: Rows) -> Floats:
        if self._values is None:
            return np.zeros((0, 0), np.float32)
        return np.asarray(self._values[rows], np.float32)


def _scratch(rows: int, columns: int) -> NDArray[np.floating]:
    """Zeros (rows, columns), in a file without a name where they are many and the disk has room."""
    dtype = np.float16 if columns >= config.HALF_MIN_COLUMNS else np.float32
    size = rows * columns * np.dtype(dtype).itemsize
    if size >= config.SCRATCH_MIN_BYTES:
        with suppress(OSError), tempfile.TemporaryFile() as file:
            os.posix_fallocate(file.fileno(), 0, size)  # writing later must not find a full disk
            return np.memmap(file, dtype, "r+", shape=(rows, columns))
    return np.zeros((rows, columns), dtype)


_workers: list[ThreadPoolExecutor] = []


def renew_pool() -> None:
    """Decode in other threads from now on: those at work may hang."""
    _workers.clear()


def _pool() -> ThreadPoolExecutor:
    if not _workers:
        _workers.append(ThreadPoolExecutor(cores(), thread_name_prefix="decode"))
    return _workers[0]


@dataclass
class Task:
    """One dataset to learn: what every learner is given."""

    domain: Domain
    shape: Shape
    train: Subset
    labels: Floats  # (len(train), C), of 0, 1 or a confidence between
    folds: list[Fold]  # replaced once, when the test examples are known (``shift.py``)
    multilabel: bool
    test: Subset | None = None  # known from the first call of ``test`` on
    look: Extractor | None = None  # cheap features in which examples are compared
    picture_seconds: float = 0.0  # to decode a picture or frame, here and on all cores
    notes: dict[str, Any] = field(default_factory=dict)  # shared findings of learners, by name

    @property
    def classes(self) -> int:
        """Number of label columns."""
        return int(self.labels.shape[1])

    @property
    def targets(self) -> NDArray[np.intp]:
        """Class of each training row (multi-class tasks)."""
        return np.asarray(self.labels.argmax(axis=1), np.intp)

    def attach_test(self, dataset: Dataset) -> None:
        """Make the test examples known."""
        if self.test is None or self.test.dataset is not dataset:
            self.test = Subset(dataset, self.shape)
            self.test.frame = self.train.frame


def open_task(dataset: Dataset, shape: Shape) -> Task:
    """Read all labels, look at a few examples, and decide the domain and the folds."""
    n = len(dataset)
    index = None
    if n > config.MAX_TRAIN_ROWS:
        index = np.linspace(0, n - 1, config.MAX_TRAIN_ROWS).astype(np.intp)
    train = Subset(dataset, shape, index)
    labels = train.labels()
    domain, decoding = route(shape), 0.0
    look = np.linspace(0, len(train) - 1, min(config.PROBE_EXAMPLES, len(train))).astype(np.intp)
    if domain in (Domain.IMAGE, Domain.VIDEO):
        train.frame = _frame(train, look)
        decoding = _picture_seconds(train, look[:: max(1, len(look) // config.DECODED_EXAMPLES)])
    else:
        domain = probe(domain, train.examples(look))
    multilabel = bool((np.round(labels.sum(axis=1), 3) != 1).any())
    folds = make_folds(labels)
    return Task(domain, shape, train, labels, folds, multilabel, picture_seconds=decoding)


def _picture_seconds(subset: Subset, rows: Rows) -> float:
    """Measured on a dataset's own pictures: a large PNG takes a thousand times a small JPEG."""
    count = 1 if subset.shape.steps == 1 else config.CLIP_LOOKS
    taken: list[float] = []
    for row in rows:
        start = time.monotonic()
        subset.frames(np.array([row]), config.PIXEL_SIDE, count)
        taken.append(time.monotonic() - start)
        if sum(taken) > config.DECODED_SECONDS:
            break
    return float(np.median(taken)) / count / cores()


def _frame(subset: Subset, rows: Rows) -> Frame:
    if not subset.shape.compressed:
        return frame_of_arrays([subset.dataset[int(subset._index[row])][0] for row in rows])
    pictures = []
    for row in rows.tolist():
        pictures += subset.encoded(row)[:1]
    return frame_of_encoded(pictures, subset.shape.channels)
