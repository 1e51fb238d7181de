"""AutoML datasets (AutoDL formats 5.3): matrices as text, a row per example.

A row is dense (numbers), sparse (``index:value``, indices from 1) or sparse binary (indices of the
ones). The validation part is appended to the training part, as the official formatter does.
"""

from __future__ import annotations

import warnings
from bisect import bisect_right
from itertools import accumulate
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autodl.errors import BundleError
from autodl.examples import Example, SparseValues
from autodl.metadata import DataSpecification, Format, MatrixSpec
from autodl.predictions import read_labels
from autodl.source import Source
from autodl.speech import labelled

Row = NDArray[np.float32] | SparseValues


class MatrixSource(Source):
    """One subset: ``NAME_train.data`` (with ``NAME_valid.data``), ``NAME_test.data``, ...

    Raises BundleError when a file is missing or malformed, with its line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._name, subset = path.stem.rsplit("_", 1)
        self._files = [path]
        valid = self._beside("valid.data")
        if subset == "train" and valid.is_file() and valid.stat().st_size:
            self._files.append(valid)
        info = _read_info(self._beside("public.info"))
        tables = [_read_table(file, info) for file in self._files]
        self._ends = list(accumulate(len(table) for table in tables))
        self._rows = [row for table in tables for row in table]
        self._labels = None
        if subset == "train":
            self._labels = self._read_labels()
        self.spec = self._specification(info)

    def __len__(self) -> int:
        return len(self._rows)

    def record(self, index: int) -> Example:
        """One row."""
        row = self._rows[index]
        if isinstance(row, SparseValues):
            return labelled(Example(id=index, sparse=row), self._labels, index)
        return labelled(Example(id=index, dense=row.reshape(1, -1)), self._labels, index)

    def place(self, index: int) -> tuple[str, int]:
        """(file, row)."""
        number = bisect_right(self._ends, index)
        return str(self._files[number]), index - (self._ends[number - 1] if number else 0)

    def _beside(self, rest: str) -> Path:
        return self.path.with_name(f"{self._name}_{rest}")

    def _read_labels(self) -> NDArray[np.float64]:
        parts = [read_labels(file.with_suffix(".solution")) for file in self._files]
        if len({part.shape[1] for part in parts}) > 1 or sum(map(len, parts)) != len(self):
            raise BundleError(
                "labels-count",
                f"The labels of {len(self)} training rows are"
                f" {' and '.join(f'{len(p)} x {p.shape[1]}' for p in parts)} numbers.",
                hint="Line i holds the labels of row i, as many numbers on each line.",
                file=str(self.path.with_suffix(".solution")),
            )
        return np.concatenate(parts)

    def _specification(self, info: dict[str, str]) -> DataSpecification:
        first = next(iter(self._rows), None)
        sparse = isinstance(first, SparseValues)
        columns = _number(info, "feat_num")
        if columns is None:
            columns = len(first) if isinstance(first, np.ndarray) else self._count_columns()
        classes = _number(info, "target_num")
        if self._labels is not None:
            classes = self._labels.shape[1]
        elif classes is None:
            classes = read_labels(self._beside("train.solution")).shape[1]
        form = Format.SPARSE if sparse else Format.DENSE
        return DataSpecification(
            (MatrixSpec(col_count=columns, row_count=1, num_channels=1, format=form),),
            output_dim=classes,
            sample_count=len(self),
            label_to_index_map=_read_names(self._beside("label.name")),
            feature_to_index_map=_read_names(self._beside("feat.name")),
        )

    def _count_columns(self) -> int:
        """The highest column of any subset, for all must agree."""
        files = [self._beside(f"{part}.data") for part in ("train", "valid", "test", "unlabelled")]
        rows = (row for file in files if file.is_file() for row in _read_table(file, {}))
        columns = (int(r.col.max()) for r in rows if isinstance(r, SparseValues) and len(r.col))
        return 1 + max(columns, default=-1)


def _read_table(path: Path, info: dict[str, str]) -> list[Row]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise BundleError(
            "file-missing", f"Cannot open: {error.strerror}.", file=str(path)
        ) from error
    except UnicodeDecodeError as error:
        raise _malformed(path, None, "it is not text") from error
    lines = text.splitlines()
    if ":" in text or info.get("is_sparse") == "1" or info.get("format", "").startswith("sparse"):
        return [_sparse_row(line, path, number) for number, line in enumerate(lines, 1)]
    words = {len(line.split()) for line in lines if line.strip()}
    if len(words) > 1 and _looks_binary(lines):
        return [_sparse_row(line, path, number) for number, line in enumerate(lines, 1)]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # an empty file has no rows
            return list(np.loadtxt(lines, np.float32, ndmin=2, comments=None))
    except ValueError as error:
        raise _dense_fault(lines, path) from error


def _looks_binary(lines: list[str]) -> bool:
    """Whether every row holds ascending whole numbers from 1: indices of ones."""
    for line in lines:
        words = line.split()
        if not all(word.isascii() and word.isdigit() for word in words):
            return False
        indices = [int(word) for word in words]
        if indices != sorted(set(indices)) or (indices and indices[0] < 1):
            return False
    return True


def _sparse_row(line: str, path: Path, number: int) -> SparseValues:
    try:
        pairs = [word.partition(":") for word in line.split()]
        col = np.array([int(index) - 1 for index, _, _ in pairs], np.int64)
        value = np.array([float(v) if colon else 1.0 for _, colon, v in pairs], np.float32)
    except (ValueError, OverflowError) as error:
        raise _malformed(path, number, f"{error}") from error
    if len(col) and col.min() < 0:
        raise _malformed(path, number, "indices count from 1")
    return SparseValues(col=col, value=value)


def _dense_fault(lines: list[str], path: Path) -> BundleError:
    width = None
    for number, line in enumerate(lines, 1):
        words = line.split()
        for word in words:
            try:
                float(word)
            except ValueError:
                return _malformed(path, number, f"{word[:40]!r} is not a number")
        if words and len(words) != (width := width or len(words)):
            return _malformed(path, number, f"{len(words)} numbers, but {width} before")
    return _malformed(path, None, "it is not a matrix of numbers")


def _malformed(path: Path, line: int | None, why: str) -> BundleError:
    return BundleError(
        "matrix-malformed",
        f"The matrix cannot be read: {why}.",
        hint="A row per line: numbers, `index:value` pairs, or indices of ones, split by blanks.",
        file=str(path),
        line=line,
    )


def _read_info(path: Path) -> dict[str, str]:
    """The entries ``key = 'value'`` of a ``public.info``; empty without one."""
    if not path.is_file():
        return {}
    entries = (line.partition("=") for line in path.read_text("utf-8", "replace").splitlines())
    return {key.strip(): value.strip().strip("'\"") for key, sign, value in entries if sign}


def _number(info: dict[str, str], key: str) -> int | None:
    value = info.get(key, "")
    return int(value) if value.isascii() and value.isdigit() else None


def _read_names(path: Path) -> dict[str, int]:
    if not path.is_file():
        return {}
    names = path.read_text("utf-8", "replace").split("\n")
    return {name.strip(): index for index, name in enumerate(names) if name.strip()}
