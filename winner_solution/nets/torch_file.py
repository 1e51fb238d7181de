"""Read the tensors of a PyTorch checkpoint into NumPy, without PyTorch and without trusting it.

Both formats are read: the legacy one (five pickles, then the raw storages) and the zip one
(``*/data.pkl`` and ``*/data/KEY``). Source: PyTorch's documentation of its serialization.
"""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_VERSION = 1001
STORAGE_DTYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "?",
}


class TorchFileError(Exception):
    """The file is not a checkpoint that this reader admits."""


@dataclass(frozen=True)
class _StorageType:
    dtype: str


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: str
    size: int


@dataclass(frozen=True)
class _Tensor:
    """A view into a storage that is read later, all in elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self, values: NDArray[Any]) -> NDArray[Any]:
        """A copy of the view. Raises TorchFileError when it would reach outside of the storage."""
        numbers = (self.offset, *self.shape, *self.strides)
        if len(self.shape) != len(self.strides) or min(numbers) < 0:
            raise TorchFileError("a tensor's shape and strides do not fit")
        if 0 in self.shape:
            return np.empty(self.shape, values.dtype)
        steps = zip(self.shape, self.strides, strict=True)
        last = self.offset + sum((size - 1) * stride for size, stride in steps)
        if last >= values.size:
            raise TorchFileError("a tensor reaches outside of its storage")
        strides = [stride * values.itemsize for stride in self.strides]
        view = np.lib.stride_tricks.as_strided(values[self.offset :], self.shape, strides)
        return view.copy()


def _rebuild_tensor(
    storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object
) -> _Tensor:
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _rebuild_parameter(tensor: _Tensor, *_: object) -> _Tensor:
    return tensor


class _Unpickler(pickle.Unpickler):
    """Admits containers and tensors; any other name is refused before anything is called."""

    _ADMITTED: ClassVar[dict[tuple[str, str], object]] = {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
        ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
        ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
        **{("torch", name): _StorageType(dtype) for name, dtype in STORAGE_DTYPES.items()},
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._ADMITTED[module, name]
        except KeyError:
            raise TorchFileError(f"the pickle asks for {module}.{name}") from None

    def persistent_load(self, pid: Any) -> _Storage:
        kind, storage_type, key, _location, size = pid[:5]
        if kind != "storage" or not isinstance(storage_type, _StorageType):
            raise TorchFileError("the pickle holds a reference that is not a storage")
        return _Storage(str(key), storage_type.dtype, int(size))


def read_torch(path: Path) -> dict[str, NDArray[Any]]:
    """All tensors by dotted name, nested mappings joined with dots.

    Raises TorchFileError when the file is no checkpoint, is cut short, or asks for a name that is
    not admitted.
    """
    try:
        with path.open("rb") as stream:
            if zipfile.is_zipfile(stream):
                return _read_zip(stream)
            stream.seek(0)
            return _read_legacy(stream)
    except (pickle.UnpicklingError, EOFError, IndexError, KeyError, TypeError, ValueError) as error:
        raise TorchFileError(f"not a PyTorch checkpoint: {error}") from error


def _read_legacy(stream: IO[bytes]) -> dict[str, NDArray[Any]]:
    if _Unpickler(stream).load() != LEGACY_MAGIC or _Unpickler(stream).load() != LEGACY_VERSION:
        raise TorchFileError("the magic number is missing")
    _Unpickler(stream).load()  # facts about the machine that wrote the file
    tensors = dict(_flatten(_Unpickler(stream).load()))
    sizes = {t.storage.key: t.storage for t in tensors.values()}
    values: dict[str, NDArray[Any]] = {}
    for key in _Unpickler(stream).load():
        storage = sizes[key]
        count = int.from_bytes(_exactly(stream, 8), "little", signed=True)
        if count != storage.size:
            raise TorchFileError(f"storage {key} has {count} elements, not {storage.size}")
        dtype = np.dtype(storage.dtype)
        values[key] = np.frombuffer(_exactly(stream, count * dtype.itemsize), dtype)
    return {name: t.array(values[t.storage.key]) for name, t in tensors.items()}


def _read_zip(stream: IO[bytes]) -> dict[str, NDArray[Any]]:
    with zipfile.ZipFile(stream) as archive:
        (index,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
        folder = index.removesuffix("data.pkl")
        with archive.open(index) as pickled:
            tensors = dict(_flatten(_Unpickler(pickled).load()))
        found: dict[str, NDArray[Any]] = {}
        for name, tensor in tensors.items():
            data = archive.read(f"{folder}data/{tensor.storage.key}")
            found[name] = tensor.array(np.frombuffer(data, tensor.storage.dtype))
        return found


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size) if size >= 0 else b""
    if len(data) != size:
        raise TorchFileError("the file is cut short")
    return data


def _flatten(node: object, prefix: str = "") -> list[tuple[str, _Tensor]]:
    if isinstance(node, _Tensor):
        return [(prefix, node)]
    if not isinstance(node, dict):
        return []
    found: list[tuple[str, _Tensor]] = []
    for key, value in node.items():
        found += _flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return found
