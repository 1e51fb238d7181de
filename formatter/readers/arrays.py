"""NumPy arrays: an ``.npz`` file of ``X`` and ``y``, or of ``x_train``, ``y_train`` and the like.

By the form of ``X``: uint8 of 3 or 4 axes are images (n, height, width[, 3]); numbers of 3 axes
are series (n, channels, steps), as aeon has them; of 2 axes they are a table (n, features). ``y``
holds a class an example, or a row of 0 and 1. ``unlabelled`` or ``x_unlabelled`` may be there too.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from autodl.errors import BundleError
from autodl.metadata import Format, MatrixSpec
from autodl.records import Example
from formatter.readers.files import sort_labels
from formatter.source import Options, Row, Shape, Subset

Array = NDArray[np.generic]
# What NumPy and the zip and text parsers below it raise on broken files.
_BROKEN = (
    ValueError,
    OSError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
)
_NAMES: dict[Subset | None, tuple[str, str]] = {
    None: ("x", "y"),
    "train": ("x_train", "y_train"),
    "test": ("x_test", "y_test"),
}


class ArraySource:
    """One file of arrays. Raises BundleError (``arrays-unreadable``, ``arrays-unfit``)."""

    kind = "arrays"

    def __init__(self, source: Path, options: Options) -> None:
        self._file = source.name
        arrays = self._load(source)
        self._values: list[Array] = []
        self.rows: list[Row] = []
        for subset, (x, y) in _NAMES.items():
            if x in arrays and y in arrays:
                self._add(arrays[x], arrays[y], subset)
        for name in ("unlabelled", "x_unlabelled"):
            if name in arrays:
                self._add(arrays[name], None, "unlabelled")
        if not self.rows:
            raise self._unfit(f"It holds {', '.join(arrays) or 'nothing'}, not X and y.")
        self.label_names = self._name_labels()
        self._is_image = self._values[0].dtype == np.uint8 and self._values[0].ndim >= 2

    def read(self, rows: Sequence[int]) -> Iterator[Example]:
        """See ``Source``: pixels become PNG, a series (steps, channels), a table's row one step."""
        for number in rows:
            value = self._values[number]
            if self._is_image:
                out = io.BytesIO()
                Image.fromarray(np.squeeze(value)).save(out, "PNG")
                yield Example(compressed=[out.getvalue()])
            else:
                steps = np.asarray(value, np.float32)
                yield Example(dense=steps.T if steps.ndim == 2 else steps[None])

    def shape(self) -> Shape:
        """Of all examples alike, since they are rows of one array."""
        form = self._values[0].shape
        if self._is_image:
            channels = 3 if len(form) == 3 and form[2] > 1 else 1
            matrix = MatrixSpec(
                row_count=form[0],
                col_count=form[1],
                num_channels=channels,
                has_locality_row=True,
                has_locality_col=True,
                format=Format.COMPRESSED,
            )
            return Shape(matrix)
        columns = form[0]
        matrix = MatrixSpec(row_count=1, col_count=columns, num_channels=1, format=Format.DENSE)
        return Shape(matrix, sequence_size=form[1] if len(form) == 2 else 1)

    def _load(self, path: Path) -> Mapping[str, Array]:
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return {name.lower(): arrays[name] for name in arrays.files}
        except _BROKEN as error:
            raise BundleError(
                "arrays-unreadable",
                f"The arrays cannot be read: {error}.",
                hint="Save them with numpy.savez, without objects.",
                file=self._file,
            ) from error

    def _add(self, x: Array, y: Array | None, subset: Subset | None) -> None:
        pixels = x.dtype == np.uint8
        fit = x.ndim in ((2, 3, 4) if pixels else (2, 3)) and x.dtype.kind in "biuf"
        if not fit or 0 in x.shape:
            raise self._unfit(f"X has the form {x.shape} and the type {x.dtype}.")
        if self._values and x.shape[1:] != self._values[0].shape:
            raise self._unfit("The examples of the parts differ in form.")
        if y is not None and len(y) != len(x):
            raise self._unfit(f"There are {len(x)} examples and {len(y)} labels.")
        if y is not None and y.dtype.kind == "f" and not np.isfinite(y).all():
            raise self._unfit("A label in y is no number.")
        labels = [()] * len(x) if y is None else [_labels(row) for row in y]
        self._values.extend(x)
        self.rows += [Row(str(i), names, subset) for i, names in enumerate(labels)]

    def _name_labels(self) -> list[str]:
        return sort_labels({name for row in self.rows for name in row.labels})

    def _unfit(self, what: str) -> BundleError:
        return BundleError(
            "arrays-unfit",
            what,
            hint="X is (n, features), (n, channels, steps), or uint8 (n, height, width[, 3]);"
            " y is (n,), or 0 and 1 of (n, labels).",
            file=self._file,
        )


def _labels(row: NDArray[np.generic]) -> tuple[str, ...]:
    """A class, or the columns that hold 1."""
    if row.ndim:
        return tuple(str(column) for column in np.flatnonzero(row))
    value = row.item()
    return (str(int(value) if isinstance(value, float) and value.is_integer() else value),)
