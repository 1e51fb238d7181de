"""AutoML datasets (AutoDL formats 5.3): matrices as text, a row per example.

A row is dense (numbers), sparse (``index:value``, indices from 1) or sparse binary (indices of the
ones). The validation part is appended to the training part, as the official formatter does.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autodl.errors import BundleError
from autodl.examples import Example, SparseValues
from autodl.metadata import DataSpecification, Format, MatrixSpec
from autodl.pieces import LineFile
from autodl.predictions import read_labels
from autodl.source import Source
from autodl.speech import labelled

Row = NDArray[np.float32] | SparseValues
MAX_DIGITS = 19  # of an index


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
        self._tables = [_Table(file, info) for file in self._files]
        self._ends = list(accumulate(map(len, self._tables)))
        self._labels = None
        if subset == "train":
            self._labels = self._read_labels()
        self.spec = self._specification(info)

    def __len__(self) -> int:
        return self._ends[-1]

    def record(self, index: int) -> Example:
        """One row."""
        table, local = self._locate(index)
        row = self._tables[table][local]
        if isinstance(row, SparseValues):
            return labelled(Example(id=index, sparse=row), self._labels, index)
        return labelled(Example(id=index, dense=row.reshape(1, -1)), self._labels, index)

    def place(self, index: int) -> tuple[str, int]:
        """(file, row)."""
        table, local = self._locate(index)
        return str(self._files[table]), local

    def _locate(self, index: int) -> tuple[int, int]:
        number = bisect_right(self._ends, index)
        return number, index - (self._ends[number - 1] if number else 0)

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
        columns, sparse = _number(info, "feat_num"), self._tables[0].sparse
        if columns is None:
            columns = self._count_columns() if sparse else self._tables[0].columns
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
        return max((_Table(file, {}).columns for file in files if file.is_file()), default=0)


class _Table:
    """The rows of a file, read when asked for; looked through once, whether they are sound.

    ``columns`` is how many there are: in a dense row, or up to the highest index of a sparse one.
    """

    def __init__(self, path: Path, info: dict[str, str]) -> None:
        self._lines = LineFile(path)
        try:
            self.sparse = _is_sparse(self._lines, info)
            self._rows: Sequence[int] = range(len(self._lines))
            if not self.sparse:  # where blank lines are none
                self._rows = array("q", (n for n, line in enumerate(self._lines) if line.strip()))
        except BundleError as error:
            raise _malformed(path, error.line, "it is not text") from error
        self.columns = 0
        numbers = iter(self._rows)
        lines = self._lines if self.sparse else filter(str.strip, self._lines)
        for number, line in zip(numbers, lines, strict=True):
            row = self._parse(number, line)
            if isinstance(row, SparseValues):
                self.columns = max(self.columns, 1 + int(row.col.max(initial=-1)))
                continue
            self.columns = self.columns or len(row)
            if len(row) != self.columns:
                why = f"{len(row)} numbers, but {self.columns} before"
                raise _malformed(path, number + 1, why)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Row:
        number = self._rows[index]
        return self._parse(number, self._lines[number])

    def _parse(self, number: int, line: str) -> Row:
        path, words = self._lines.path, line.split()
        if self.sparse:
            return _sparse_row(words, path, number + 1)
        try:
            return np.array(words, np.float32)
        except ValueError:
            word = next((word for word in words if not _is_number(word)), words[0])
            why = f"{word[:40]!r} is not a number"
            raise _malformed(path, number + 1, why) from None


def _is_sparse(lines: LineFile, info: dict[str, str]) -> bool:
    """By the information, by colons, or because the rows of indices are not equally long."""
    if info.get("is_sparse") == "1" or info.get("format", "").startswith("sparse"):
        return True
    binary, widths = True, set()
    for line in lines:
        if ":" in line:
            return True
        words = line.split()
        widths.add(len(words))
        binary = binary and _looks_binary(words)
    return binary and len(widths - {0}) > 1


def _looks_binary(words: list[str]) -> bool:
    """Whether a row holds ascending whole numbers from 1: indices of ones."""
    if not all(word.isascii() and word.isdigit() and len(word) < MAX_DIGITS for word in words):
        return False
    indices = [int(word) for word in words]
    return indices == sorted(set(indices)) and (not indices or indices[0] >= 1)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _sparse_row(words: list[str], path: Path, number: int) -> SparseValues:
    try:
        pairs = [word.partition(":") for word in words]
        col = np.array([int(index) - 1 for index, _, _ in pairs], np.int64)
        value = np.array([float(v) if colon else 1.0 for _, colon, v in pairs], np.float32)
    except (ValueError, OverflowError) as error:
        raise _malformed(path, number, f"{error}") from error
    if len(col) and col.min() < 0:
        raise _malformed(path, number, "indices count from 1")
    return SparseValues(col=col, value=value)


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
