"""Sparse tables in libsvm's text form: ``label[,label] index:value ...``, indices from 1."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from autodl.errors import BundleError, UsageError
from autodl.metadata import Format, MatrixSpec
from autodl.records import Example, SparseValues
from formatter.readers.files import sort_labels
from formatter.source import Options, Row, Shape, Subset

SUFFIXES = (".libsvm", ".svm", ".svmlight")


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
        self._values: list[SparseValues] = []
        self.rows: list[Row] = []
        for subset, path in _parts(source, options):
            self._add(path, subset)
        self.label_names = sort_labels({name for row in self.rows for name in row.labels})

    def read(self, rows: Sequence[int]) -> Iterator[Example]:
        """See ``Source``."""
        for number in rows:
            yield Example(sparse=self._values[number])

    def shape(self) -> Shape:
        """One sparse row of as many columns as the largest index needs."""
        columns = max((int(v.col.max()) + 1 for v in self._values if len(v.col)), default=0)
        # with a single column the reader would take the record for sparse text
        matrix = MatrixSpec(
            row_count=1, col_count=max(2, columns), num_channels=1, format=Format.SPARSE
        )
        return Shape(matrix)

    def _add(self, path: Path, subset: Subset | None) -> None:
        count = 0
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
                values = np.array([v for _, v in pairs], np.float32)
                rows = np.zeros(len(pairs), np.int64)
                self._values.append(SparseValues(col=columns, value=values, row=rows))
                known = labels if subset != "unlabelled" else ()
                self.rows.append(Row(str(count), known, subset))
                count += 1


def is_libsvm(source: Path) -> bool:
    """Whether ``source`` is such a file or a folder of already split ones."""
    return source.suffix.lower() in SUFFIXES or _find(source, "train") is not None


def _find(folder: Path, stem: str) -> Path | None:
    found = (folder / f"{stem}{suffix}" for suffix in SUFFIXES)
    return next((path for path in found if path.is_file()), None)


def _parts(source: Path, options: Options) -> Iterator[tuple[Subset | None, Path]]:
    if source.is_file():
        yield ("train" if options.test_part else None), source
        if options.test_part is not None:
            yield "test", options.test_part
    else:
        subsets: tuple[Subset, ...] = ("train", "test")
        for subset in subsets:
            path = _find(source, subset)
            if path is None:
                raise BundleError(
                    "source-file-missing",
                    f"There is no file called {subset}.",
                    hint="Bring train and test, or format one file and let it be split.",
                    file=source.name,
                )
            yield subset, path
    unlabelled = options.unlabelled or _find(source, "unlabelled")
    if unlabelled is not None and unlabelled.is_file():
        yield "unlabelled", unlabelled
