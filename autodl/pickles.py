"""Reading pickles that nobody vouches for: lists of NumPy arrays, and nothing else.

A pickle is a program, so it is never given to ``pickle.load``. Ours runs in pickle's Python
machine, where the only names that can be reached are stand-ins of our own for the few that NumPy
writes; a name such as ``os.system`` ends the reading with ``pickle-unsafe``.
"""

from __future__ import annotations

import mmap
import pickle
import struct
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO, Any, ClassVar, overload

import numpy as np
from numpy.typing import NDArray

from autodl.errors import BundleError
from autodl.pieces import OpenFile

_CORES = ("numpy.core", "numpy._core")  # before and since NumPy 2
_VIEW_BYTES = 1 << 8  # longer reads are not copied but stay views of the mapped file
_HINT = "A subset is a pickled list of one-dimensional NumPy arrays, one waveform each."
# What a malformed pickle makes pickle's machine raise.
_MALFORMED = (
    pickle.UnpicklingError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    RecursionError,
    struct.error,
    TypeError,
    ValueError,
)


class Waves(Sequence[NDArray[Any]]):
    """The waveforms of a pickle, one-dimensional number arrays, read when asked for.

    Threads and forked children may share one, and it can be pickled itself.
    """

    def __init__(self, path: Path, waves: Iterable[NDArray[Any]], mapped: mmap.mmap) -> None:
        self._file = OpenFile(path)
        whole = np.frombuffer(mapped, np.uint8)
        start, size = whole.__array_interface__["data"][0], len(whole)
        self._waves: list[NDArray[Any] | tuple[int, int, np.dtype[Any]]] = []
        for wave in waves:
            place = wave.__array_interface__["data"][0] - start
            inside = 0 <= place < size and len(wave)
            self._waves.append((place, wave.nbytes, wave.dtype) if inside else wave)

    def __len__(self) -> int:
        return len(self._waves)

    @overload
    def __getitem__(self, index: int) -> NDArray[Any]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[NDArray[Any]]: ...
    def __getitem__(self, index: int | slice) -> NDArray[Any] | Sequence[NDArray[Any]]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        wave = self._waves[index]
        if isinstance(wave, np.ndarray):
            return wave
        place, size, kind = wave
        return np.frombuffer(self._file.read(place, size), kind)


def read_waves(path: Path) -> Waves:
    """The waveforms of a pickle; none is in memory but those that are lists, or were written by a
    protocol before 3.

    Raises BundleError: ``file-missing``, ``pickle-unsafe``, ``pickle-invalid``,
    ``speech-content``.
    """
    try:
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise BundleError(
            "file-missing", f"Cannot read: {error}.", hint=_HINT, file=str(path)
        ) from error
    machine = _Unpickler(_Mapped(mapped))
    try:
        waves = machine.load()
        if not isinstance(waves, list | tuple):
            raise TypeError(f"a {type(waves).__name__} instead of a list")
    except _UnsafeNameError as error:
        raise BundleError(
            "pickle-unsafe",
            f"The pickle asks for {error}, which is not allowed.",
            hint=_HINT,
            file=str(path),
        ) from error
    except _MALFORMED as error:
        raise BundleError(
            "pickle-invalid",
            f"The pickle cannot be read: {str(error) or type(error).__name__}.",
            hint=_HINT,
            file=str(path),
        ) from error
    arrays = (_wave(wave, str(path), index) for index, wave in enumerate(waves))
    return Waves(path, arrays, mapped)


def _wave(wave: object, file: str, index: int) -> NDArray[Any]:
    try:
        if isinstance(wave, _Array):
            array = wave.to_numpy()
        elif isinstance(wave, list | tuple) and all(type(v) in (int, float) for v in wave):
            array = np.array(wave, np.float32)
        else:
            raise TypeError(f"a {type(wave).__name__}")
        if array.ndim != 1 or array.dtype.kind not in "fiu":
            raise TypeError(f"an array of {array.dtype} with {array.ndim} dimensions")
    except _MALFORMED as error:
        raise BundleError(
            "speech-content",
            f"The list holds something that is not a waveform: {error}.",
            hint=_HINT,
            file=file,
            record=index,
        ) from error
    return array


def dump_waves(waves: Iterable[NDArray[np.float32]], file: IO[bytes]) -> None:
    """Pickle waveforms, each float32 (samples,), as a list, none being kept in memory.

    The names are those that every NumPy since 1.0 knows; protocol 4 is read by Python since 3.4.
    """
    file.write(_PICKLE_HEAD)
    for wave in waves:
        data = np.ascontiguousarray(wave, "<f4").tobytes()
        file.write(_WAVE_HEAD + struct.pack("<i", len(wave)) + _WAVE_SHAPE)
        file.write(pickle.BINBYTES8 + struct.pack("<Q", len(data)))
        file.write(data)
        file.write(pickle.TUPLE + pickle.BUILD + pickle.APPEND)
    file.write(pickle.STOP)


# What ndarray.__reduce__ gives, by opcode: three memo entries (2: the type, 0: _reconstruct, 1:
# ndarray), then for each wave _reconstruct(ndarray, (0,), b"b") and its state.
_PICKLE_HEAD = b"".join(
    (
        *(pickle.PROTO, b"\4", pickle.EMPTY_LIST),
        *(pickle.dumps(np.dtype("<f4"), 2)[2:-1], pickle.BINPUT, b"\2", pickle.POP),
        *(
            pickle.GLOBAL,
            b"numpy.core.multiarray\n_reconstruct\n",
            pickle.BINPUT,
            b"\0",
            pickle.POP,
        ),
        *(pickle.GLOBAL, b"numpy\nndarray\n", pickle.BINPUT, b"\1", pickle.POP),
    )
)
_WAVE_HEAD = b"".join(
    (
        *(pickle.BINGET, b"\0", pickle.BINGET, b"\1", pickle.BININT1, b"\0", pickle.TUPLE1),
        *(pickle.SHORT_BINBYTES, b"\1b", pickle.TUPLE3, pickle.REDUCE),
        *(pickle.MARK, pickle.BININT1, b"\1", pickle.BININT),
    )
)
_WAVE_SHAPE = pickle.TUPLE1 + pickle.BINGET + b"\2" + pickle.NEWFALSE


class _UnsafeNameError(Exception):
    """A pickle asked for a name that is not on the list."""


class _Type:
    """Stand-in for ``numpy.dtype`` objects: holds the letters, never calls NumPy."""

    __slots__ = ("_code", "_order")

    def __init__(self, code: object, *_: object) -> None:
        self._code, self._order = code, "<"

    def __setstate__(self, state: tuple[object, ...]) -> None:
        if state[1] in ("<", ">"):
            self._order = str(state[1])

    def to_numpy(self) -> np.dtype[Any]:
        if not isinstance(self._code, str) or self._code[:1] not in "fiu":
            raise TypeError(f"values of type {self._code!r}")
        return np.dtype(self._order + self._code)


class _Array:
    """Stand-in for an ``ndarray``: its parts, until they are known to be harmless."""

    __slots__ = ("_data", "_dtype", "_shape")

    def __init__(self, data: object = b"", dtype: object = None, shape: object = ()) -> None:
        self._data, self._dtype, self._shape = data, dtype, shape

    def __setstate__(self, state: tuple[object, ...]) -> None:
        _, self._shape, self._dtype, _, self._data = state

    def to_numpy(self) -> NDArray[Any]:
        if not isinstance(self._dtype, _Type) or not isinstance(self._shape, tuple):
            raise TypeError("an array without type or shape")
        if not isinstance(self._data, bytes | bytearray | memoryview):
            raise TypeError("an array of objects")
        return np.frombuffer(self._data, self._dtype.to_numpy()).reshape(self._shape)


class _Names:
    """What pickles may call. Bound methods, because BUILD cannot set anything on them."""

    def reconstruct(self, *_: object) -> _Array:
        return _Array()

    def frombuffer(self, data: object, dtype: object, shape: object, *_: object) -> _Array:
        return _Array(data, dtype, shape)

    def dtype(self, code: object, *_: object) -> _Type:
        return _Type(code)

    def scalar(self, dtype: object, data: object) -> object:
        return _Array(data, dtype, (1,)).to_numpy()[0].item()

    def encode(self, text: str, *_: object) -> bytes:
        return text.encode("latin1")

    def no_bytes(self) -> bytes:
        return b""

    def ndarray(self, *_: object) -> None:
        raise TypeError("ndarray is not called by NumPy's own pickles")


_NAMES = _Names()
_ALLOWED = {
    **{(f"{core}.multiarray", "_reconstruct"): _NAMES.reconstruct for core in _CORES},
    **{(f"{core}.numeric", "_frombuffer"): _NAMES.frombuffer for core in _CORES},
    **{(f"{core}.multiarray", "scalar"): _NAMES.scalar for core in _CORES},
    ("numpy", "dtype"): _NAMES.dtype,
    ("numpy", "ndarray"): _NAMES.ndarray,
    ("_codecs", "encode"): _NAMES.encode,  # how old protocols write bytes ...
    ("__builtin__", "bytes"): _NAMES.no_bytes,  # ... and no bytes
}


class _Unpickler(pickle._Unpickler):
    """Pickle's machine in Python: its memo is a dict, so a huge memo index costs nothing."""

    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)
    read: Callable[[int], bytes]  # both are set when loading begins
    append: Callable[[object], None]

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise _UnsafeNameError(f"{module}.{name}") from None

    def load_frame(self) -> None:
        """Pass over a frame's size: what it holds is read from the file, so that views can be."""
        self.read(8)

    dispatch[pickle.FRAME[0]] = load_frame

    def load_bytearray8(self) -> None:
        """Read what is there, where the machine itself first makes room for what is claimed."""
        (size,) = struct.unpack("<Q", self.read(8))
        self.append(self.read(size))

    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8


class _Mapped:
    """The file object of a mapped file; large reads are views, so that arrays are not copied."""

    def __init__(self, mapped: mmap.mmap) -> None:
        self._mapped = mapped
        self._view = memoryview(mapped)

    def read(self, size: int = -1) -> bytes:
        start = self._mapped.tell()
        if size < _VIEW_BYTES:
            return self._mapped.read(size)
        self._mapped.seek(min(start + size, len(self._view)))
        return self._view[start : start + size]  # type: ignore[return-value]

    def readline(self) -> bytes:
        return self._mapped.readline()

    def readinto(self, buffer: bytearray) -> int:
        data = self._mapped.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
