"""NumPy arrays: ``X`` and ``y``, or ``x_train``, ``y_train`` and the like.

They are in one ``.npz`` file; or in ``.npy`` files of these names in a folder, where the labels may
be a ``.txt`` file of a label a line; or the source is one ``.npy`` file with its labels beside it.
Labels of another name, in the file or folder, are named by ``--label``.

By the form of ``X``: uint8 of 3 or 4 axes are images (n, height, width[, 3]); numbers of 3 axes
are series (n, channels, steps), as aeon has them; of 2 axes they are a table (n, features). ``y``
holds a class an example, or a row of 0 and 1. ``unlabelled`` or ``x_unlabelled`` may be there too.
"""

from __future__ import annotations

import io
import shutil
import struct
import tempfile
import tokenize
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from autodl.errors import BundleError
from autodl.metadata import Format, MatrixSpec
from autodl.pieces import OpenFile
from autodl.records import Example
from formatter.readers.files import sort_labels
from formatter.source import IndexBuilder, Options, Shape, Subset

Array = NDArray[np.generic]
COPY_BYTES = 1 << 20
# What NumPy and the zip and Python parsers below it raise on broken files.
_BROKEN = (
    ArithmeticError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
_NAMES: dict[Subset | None, tuple[str, str]] = {
    None: ("x", "y"),
    "train": ("x_train", "y_train"),
    "test": ("x_test", "y_test"),
}
_KNOWN = {*(n for names in _NAMES.values() for n in names), "labels", "unlabelled", "x_unlabelled"}


class ArraySource:
    """Arrays of one source. Raises BundleError (``arrays-unreadable``, ``arrays-unfit``)."""

    kind = "arrays"

    def __init__(self, source: Path, options: Options) -> None:
        self._file = source.name
        arrays = self._load(source, options)
        self._parts: list[_Rows] = []
        index = IndexBuilder()
        for subset, (x, y) in _NAMES.items():
            if x in arrays and y in arrays:
                self._add(arrays[x], arrays[y], subset, index)
        for name in ("unlabelled", "x_unlabelled"):
            if name in arrays:
                self._add(arrays[name], None, "unlabelled", index)
        if not self._parts:
            raise self._unfit(f"It holds {', '.join(arrays) or 'nothing'}, not X and y.")
        self.index = index.build()
        self.label_names = sort_labels({n for names in self.index.label_sets for n in names})
        self._starts = np.cumsum([0, *map(len, self._parts)])
        first = self._parts[0]
        self._is_image = first.dtype == np.uint8 and first.ndim >= 3

    def read(self, rows: NDArray[np.int32]) -> Iterator[Example]:
        """See ``Source``: pixels become PNG, a series (steps, channels), a table's row one step."""
        parts = np.searchsorted(self._starts, rows, "right") - 1
        for part, number in zip(parts.tolist(), (rows - self._starts[parts]).tolist(), strict=True):
            value = self._parts[part][number]
            if self._is_image:
                out = io.BytesIO()
                Image.fromarray(np.squeeze(value)).save(out, "PNG")
                yield Example(compressed=[out.getvalue()])
            else:
                steps = np.asarray(value, np.float32)
                yield Example(dense=steps.T if steps.ndim == 2 else steps[None])

    def shape(self) -> Shape:
        """Of all examples alike, since they are rows of one array."""
        form = self._parts[0].shape[1:]
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

    def _load(self, source: Path, options: Options) -> Mapping[str, Array]:
        """Arrays by their names in lower case; a label may name the one that is y."""
        named = Path(options.label[0]).stem.lower() if options.label else None
        try:
            if source.suffix.lower() == ".npz":
                arrays = _unpack(source, options.scratch)
            elif source.is_dir():
                arrays = _read_files(source, {*_KNOWN, named})
            else:
                arrays = _read_files(source.parent, {"y", "labels", "unlabelled", named})
                arrays["x"] = _open(source)
        except _BROKEN as error:
            raise BundleError(
                "arrays-unreadable",
                f"The arrays cannot be read: {error}.",
                hint="Save them with numpy.save or numpy.savez, without objects.",
                file=self._file,
            ) from error
        if named is not None and named not in arrays:
            raise self._unfit(f"There is no array called {named}.")
        labels = arrays.get(named or "y", arrays.get("labels"))
        return arrays if labels is None else {**arrays, "y": labels}

    def _add(self, x: Array, y: Array | None, subset: Subset | None, index: IndexBuilder) -> None:
        pixels = x.dtype == np.uint8
        fit = x.ndim in ((2, 3, 4) if pixels else (2, 3)) and x.dtype.kind in "biuf"
        if not fit or 0 in x.shape:
            raise self._unfit(f"X has the form {x.shape} and the type {x.dtype}.")
        if self._parts and x.shape[1:] != self._parts[0].shape[1:]:
            raise self._unfit("The examples of the parts differ in form.")
        if y is not None and len(y) != len(x):
            raise self._unfit(f"There are {len(x)} examples and {len(y)} labels.")
        if y is not None and y.dtype.kind == "f" and not np.isfinite(y).all():
            raise self._unfit("A label in y is no number.")
        self._parts.append(_Rows(x))
        for number in range(len(x)):
            index.add(None, () if y is None else _labels(y[number]), subset)

    def _unfit(self, what: str) -> BundleError:
        return BundleError(
            "arrays-unfit",
            what,
            hint="X is (n, features), (n, channels, steps), or uint8 (n, height, width[, 3]);"
            " y is (n,), or 0 and 1 of (n, labels).",
            file=self._file,
        )


class _Rows:
    """The rows of an array, read from its file when asked for."""

    def __init__(self, array: Array) -> None:
        self.dtype = array.dtype
        self.shape: tuple[int, ...] = array.shape
        self.ndim = array.ndim
        self._array = array
        self._file = None
        if isinstance(array, np.memmap) and array.flags.c_contiguous:
            assert array.filename is not None
            self._file, self._start = OpenFile(Path(array.filename)), int(array.offset)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, number: int) -> Array:
        if self._file is None:
            return np.asarray(self._array[number])
        row = self._array[:1].nbytes
        data = self._file.read(self._start + number * row, row)
        return np.frombuffer(data, self.dtype).reshape(self.shape[1:])


def is_arrays(source: Path) -> bool:
    """Whether ``source`` is such a file, or a folder of them."""
    if source.is_dir():
        return any(
            p.suffix.lower() == ".npy" and p.stem.lower() in _KNOWN for p in source.iterdir()
        )
    return source.suffix.lower() in (".npz", ".npy")


def _open(path: Path) -> Array:
    """An array that stays in its file."""
    array: Array = np.load(path, "r", allow_pickle=False)
    return array


def _unpack(source: Path, scratch: Path | None) -> dict[str, Array]:
    """The arrays of a ``.npz``, in files of their own."""
    arrays: dict[str, Array] = {}
    with zipfile.ZipFile(source) as stored:
        for entry in stored.infolist():
            path = Path(tempfile.mkdtemp(dir=scratch)) / "x.npy"
            with stored.open(entry) as packed, path.open("wb") as file:
                shutil.copyfileobj(packed, file, COPY_BYTES)
            arrays[Path(entry.filename).stem.lower()] = _open(path)
    return arrays


def _read_files(folder: Path, names: Collection[str | None]) -> dict[str, Array]:
    """The arrays of files called so, which stay there; labels may be lines of text."""
    arrays: dict[str, Array] = {}
    for path in sorted(folder.iterdir()):
        name, suffix = path.stem.lower(), path.suffix.lower()
        if name in names and suffix == ".npy":
            arrays[name] = _open(path)
        elif name in names and suffix == ".txt":
            lines = path.read_text(encoding="utf-8-sig").splitlines()
            arrays[name] = np.array([line.strip() for line in lines])
    return arrays


def _labels(row: NDArray[np.generic]) -> tuple[str, ...]:
    """A class, or the columns that hold 1."""
    if row.ndim:
        return tuple(str(column) for column in np.flatnonzero(row))
    value = row.item()
    return (str(int(value) if isinstance(value, float) and value.is_integer() else value),)
