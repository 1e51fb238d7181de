"""Sparse tables in libsvm's text form: ``label[,label] index:value ...``, indices from 1."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autodl.errors import BundleError, UsageError
from autodl.metadata import Format, MatrixSpec
from autodl.records import Example, SparseValues
from formatter.parts import find_parts
from formatter.readers.files import sort_labels
from formatter.scratch import Spool
from formatter.source import IndexBuilder, Options, Shape, Subset

SUFFIXES = (".libsvm", ".svm", ".svmlight")
PAIR_BYTES = 12  # a column and its value


class LibsvmSource:
    """One file, or a folder with ``train`` and ``test`` files of such a suffix.

    Raises BundleError (``libsvm-malformed``, ``source-file-missing``).
    """

    kind = "libsvm"

    def __init__(self, source: Path, options: Options) -> None:
        if options.label or options.group:
            raise UsageError(
                "label-column-unknown",
                "Columns of libsvm files have no names, so --label and --group do not apply.",
            )
        self._pairs = Spool(options.scratch)  # of each row: as many int64 as float32 after them
        self._columns = 0
        index = IndexBuilder()
        for subset, path in find_parts(source, options, _find):
            self._add(path, subset, index)
        self.index = index.build()
        self.label_names = sort_labels({n for names in self.index.label_sets for n in names})

    def read(self, rows: NDArray[np.int32]) -> Iterator[Example]:
        """See ``Source``."""
        self._pairs.flush()
        for number in rows.tolist():
            data = self._pairs.read(number)
            count = len(data) // PAIR_BYTES
            columns = np.frombuffer(data, np.int64, count)
            values = np.frombuffer(data, np.float32, count, columns.nbytes)
            row = np.zeros(count, np.int64)
            yield Example(sparse=SparseValues(col=columns, value=values, row=row))

    def shape(self) -> Shape:
        """One sparse row of as many columns as the largest index needs."""
        # with a single column the reader would take the record for sparse text
        matrix = MatrixSpec(
            row_count=1, col_count=max(2, self._columns), num_channels=1, format=Format.SPARSE
        )
        return Shape(matrix)

    def _add(self, path: Path, subset: Subset | None, index: IndexBuilder) -> None:
        with path.open(encoding="utf-8", errors="replace") as file:
            for line, text in enumerate(file, 1):
                words = text.partition("#")[0].split()
                if not words:
                    continue
                labels = () if ":" in words[0] else tuple(words.pop(0).split(","))
                try:
                    pairs = [(int(i), float(v)) for i, v in (w.split(":") for w in words)]
                    columns = np.array([i for i, _ in pairs], np.int64) - 1
                    if len(columns) and columns.min() < 0:
                        raise ValueError
                except (ValueError, OverflowError) as error:
                    raise BundleError(
                        "libsvm-malformed",
                        "The line does not read: label index:value index:value ...",
                        hint="Indices are whole numbers from 1.",
                        file=path.name,
                        line=line,
                    ) from error
                self._columns = max(self._columns, 1 + int(columns.max(initial=-1)))
                values = np.array([v for _, v in pairs], np.float32)
                self._pairs.append(columns.tobytes() + values.tobytes())
                index.add(None, labels if subset != "unlabelled" else (), subset)


def is_libsvm(source: Path) -> bool:
    """Whether ``source`` is such a file or a folder of already split ones."""
    return source.suffix.lower() in SUFFIXES or _find(source, "train") is not None


def _find(folder: Path, stem: str) -> Path | None:
    found = (folder / f"{stem}{suffix}" for suffix in SUFFIXES)
    return next((path for path in found if path.is_file()), None)
