"""Reading every record of a subset once, on all cores, to know what is in it.

Only small facts are kept of each record (sizes, 8-byte digests), so memory does not grow with the
data but by some thirty bytes a record, and seventy more of a picture.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from autodl.dataset import BLOCK_RECORDS, Dataset
from autodl.decode import decode_labels, decode_tensor, frames_differ
from autodl.errors import BundleError
from autodl.examples import Example, SparseValues
from autodl.images import Pixels, Probe, probe_image
from autodl.lookalikes import CELLS, describe_look
from autodl.metadata import DataSpecification, Format
from autodl.report import Finding
from autodl.source import Block

_PICTURE = np.ones(1, np.float32)
MAX_EXAMPLE_BYTES = 4 << 30  # as float32: what a solution must hold at once


@dataclass
class Column:
    """Running facts of the columns of a table (of one column for any other data)."""

    missing: NDArray[np.int64]
    lowest: NDArray[np.float32]
    highest: NDArray[np.float32]

    @classmethod
    def of(cls, values: NDArray[np.float32]) -> Column:
        """Facts of ``values`` float32 (n, columns), NaN being missing."""
        missing = np.isnan(values)
        return cls(
            missing.sum(0),
            np.where(missing, np.float32(np.inf), values).min(0, initial=np.inf),
            np.where(missing, np.float32(-np.inf), values).max(0, initial=-np.inf),
        )

    def add(self, other: Column) -> None:
        """Take in the facts of more rows."""
        self.missing = self.missing + other.missing
        self.lowest = np.minimum(self.lowest, other.lowest)
        self.highest = np.maximum(self.highest, other.highest)

    @property
    def constant(self) -> NDArray[np.bool_]:
        """Which columns hold one value only, or none."""
        return np.asarray(self.lowest >= self.highest)


@dataclass
class Survey:
    """What was seen in a subset.

    With an entry per record: ``digest`` of its content, ``look`` and ``cells`` of its picture (only
    where the dataset is of images), ``label_digest`` of its labels,
    ``shape`` (steps, rows, columns), all -1 if the record is broken. ``class_counts`` (C,) counts
    the examples of each label, ``label_counts`` the examples by their number of labels, ``soft``
    those with a score other than 0 and 1.
    """

    digest: NDArray[np.uint64]
    look: NDArray[np.uint64]
    cells: Pixels
    label_digest: NDArray[np.uint64]
    shape: NDArray[np.int32]
    class_counts: NDArray[np.int64]
    label_counts: Counter[int] = field(default_factory=Counter)
    soft: int = 0
    columns: Column | None = None

    def __len__(self) -> int:
        return len(self.digest)

    @property
    def readable(self) -> NDArray[np.bool_]:
        """Which records could be decoded."""
        return np.asarray(self.shape[:, 0] >= 0)

    @classmethod
    def empty(cls, records: int, spec: DataSpecification) -> Survey:
        """Nothing seen yet of ``records`` records."""
        return cls(
            digest=np.zeros(records, np.uint64),
            look=np.zeros(records if spec.domain == "image" else 0, np.uint64),
            cells=np.zeros((records, CELLS**2 if spec.domain == "image" else 0), np.uint8),
            label_digest=np.zeros(records, np.uint64),
            shape=np.full((records, 3), -1, np.int32),
            class_counts=np.zeros(max(0, spec.output_dim), np.int64),
        )

    def place(self, part: Survey, start: int) -> None:
        """Take in what was seen of the records from ``start`` on."""
        for name in ("digest", "look", "cells", "label_digest", "shape"):
            getattr(self, name)[start : start + len(part)] = getattr(part, name)
        self.class_counts += part.class_counts
        self.label_counts += part.label_counts
        self.soft += part.soft
        if part.columns is not None:
            self.see_columns(part.columns)

    def see_columns(self, columns: Column) -> None:
        """Take in facts of the columns of more rows."""
        if self.columns is None:
            self.columns = columns
        else:
            self.columns.add(columns)


def survey(dataset: Dataset, jobs: int | None = None) -> Iterator[Survey | Finding]:
    """Read all of ``dataset`` with ``jobs`` threads (all cores).

    Yields a Finding for whatever is broken, in record order, and the Survey at the end.
    """
    total = len(dataset)
    seen = Survey.empty(total, dataset.metadata_)
    jobs = jobs or os.cpu_count() or 1
    waiting: deque[tuple[int, Future[tuple[Survey, list[Finding]]]]] = deque()
    with ThreadPoolExecutor(jobs) as pool:
        for start in range(0, total, BLOCK_RECORDS):
            chunk = range(start, min(start + BLOCK_RECORDS, total))
            waiting.append((start, pool.submit(_survey_chunk, dataset, chunk)))
            while len(waiting) > 2 * jobs or (waiting and chunk.stop == total):
                first, future = waiting.popleft()
                part, findings = future.result()
                seen.place(part, first)
                yield from findings
    yield seen


def _survey_chunk(dataset: Dataset, records: range) -> tuple[Survey, list[Finding]]:
    spec = dataset.metadata_
    seen = Survey.empty(len(records), spec)
    findings: list[Finding] = []
    is_table = spec.domain == "tabular" and spec.matrix_spec[0].format is Format.DENSE
    done, odd = _see_block(seen, dataset.source.block(records.start, records.stop), spec)
    for at in np.flatnonzero(~done | odd).tolist():
        index = records[at]
        try:
            tensor = _see_record(seen, at, dataset.record(index), spec, noted=done[at])
        except BundleError as error:
            if error.file is None:
                error.file, error.record = dataset.source.place(index)
            findings.append(_finding(error))
            seen.shape[at] = -1
            continue
        if is_table and not done[at]:
            seen.see_columns(Column.of(tensor.reshape(1, -1)))
        findings += _odd_values(tensor, spec, *dataset.source.place(index))
    return seen, findings


def _see_block(
    seen: Survey, block: Block | None, spec: DataSpecification
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Note the rows of a table that are decoded already: which they are, and which are odd."""
    if block is None:
        return np.zeros(len(seen), bool), np.zeros(len(seen), bool)
    values, labels, decoded = block
    done = decoded & np.isfinite(labels).all(1)
    which = np.flatnonzero(done)
    matrix = spec.matrix_spec[0]
    seen.shape[which] = 1, matrix.row_count, matrix.col_count
    seen.digest[which] = [_digest(row.tobytes()) for row in values[which]]
    _see_labels(seen, which, labels[which])
    if len(which):
        seen.see_columns(Column.of(values[which]))
    return done, done & np.isinf(values).any(1)


def _see_record(
    seen: Survey, at: int, example: Example, spec: DataSpecification, noted: bool
) -> NDArray[np.float32]:
    """Note one example if it is not ``noted``; its numbers, of which pictures have none."""
    if noted:
        return decode_tensor(example, spec)
    labels = decode_labels(example, spec.output_dim)
    if not np.isfinite(labels).all():
        raise BundleError(
            "label-score-not-finite",
            "A label score is NaN or infinite.",
            hint="Scores are confidences between 0 and 1, usually 1.",
        )
    _see_labels(seen, np.array([at]), labels[None])
    return _see_content(seen, at, example, spec)


def _see_labels(seen: Survey, which: NDArray[np.intp], labels: NDArray[np.float32]) -> None:
    """Note the ``labels`` (n, C) of the records ``which``."""
    positive = labels > 0
    seen.class_counts += positive.sum(0)
    seen.label_counts.update(positive.sum(1).tolist())
    seen.soft += int(((labels != 0) & (labels != 1)).any(1).sum())
    seen.label_digest[which] = [_digest(row.tobytes()) for row in labels]


def _see_content(
    seen: Survey, at: int, example: Example, spec: DataSpecification
) -> NDArray[np.float32]:
    """Note digest and shape."""
    matrix = spec.matrix_spec[0]
    if matrix.format is Format.COMPRESSED:
        animated = spec.sequence_size != 1
        probes: list[Probe] = []
        for data in example.compressed:
            probes.append(probe_image(data, matrix.channels, animated))
            frames = sum(probe.frames for probe in probes) + len(example.compressed) - len(probes)
            _require_room(frames, probes[0], matrix.channels or 3)
        if len({(probe.height, probe.width) for probe in probes}) != 1:
            raise frames_differ(len(probes))
        seen.shape[at] = frames, probes[0].height, probes[0].width
        seen.digest[at] = _digest(*example.compressed)
        if seen.cells.size:
            seen.look[at], seen.cells[at] = describe_look(probes[0].thumbnail)
        return _PICTURE
    tensor = decode_tensor(example, spec)
    seen.shape[at] = tensor.shape[:3]
    if matrix.format is Format.SPARSE:
        _require_columns(example.sparse or SparseValues(), matrix.col_count, matrix.channels)
    seen.digest[at] = _digest(tensor.tobytes())
    return tensor


def _require_room(frames: int, frame: Probe, channels: int) -> None:
    size = 4 * frames * frame.height * frame.width * channels
    if size > MAX_EXAMPLE_BYTES:
        raise BundleError(
            "example-too-large",
            f"Decoded, the example takes {size:,} bytes; {MAX_EXAMPLE_BYTES:,} are allowed.",
            hint="Scale the frames down, or take fewer of them.",
        )


def _require_columns(sparse: SparseValues, col_count: int, channels: int) -> None:
    col = sparse.col
    if col_count > channels and len(col) and not (0 <= col.min() and col.max() < col_count):
        raise BundleError(
            "sparse-column-out-of-range",
            f"A column index is outside 0 to {col_count - 1}.",
            hint="Columns count from 0; col_count in the metadata is their number.",
        )


def _odd_values(
    tensor: NDArray[np.float32], spec: DataSpecification, file: str, record: int
) -> Iterator[Finding]:
    if not tensor.size and spec.domain != "tabular":
        yield Finding(
            "example-empty",
            "warning",
            "The example has no time steps.",
            "Leave out examples without content; solutions may not expect them.",
            file,
            record,
        )
    if np.isfinite(tensor).all():
        return
    if np.isinf(tensor).any():
        yield Finding(
            "values-infinite",
            "warning",
            "The example holds infinite values.",
            "Solutions will read them as very large numbers; write NaN for what is missing.",
            file,
            record,
        )
    elif spec.domain != "tabular":
        yield Finding(
            "values-missing",
            "warning",
            "The example holds NaN.",
            "Only tables may have missing values; leave the steps out, or fill them.",
            file,
            record,
        )


def _finding(error: BundleError) -> Finding:
    place = error.file, error.record, error.line
    return Finding(error.code, "error", error.message, error.hint, *place)


def _digest(*parts: bytes) -> int:
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        digest.update(part)
    return int.from_bytes(digest.digest(), "little")
