"""Reading pickles that nobody vouches for: lists of NumPy arrays, and nothing else.

A pickle is a program, so it is never given to ``pickle.load``. Ours runs in pickle's Python
machine, where the only names that can be reached are stand-ins of our own for the few that NumPy
writes; a name such as ``os.system`` ends the reading with ``pickle-unsafe``.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO, Any, ClassVar, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from autodl.errors import BundleError
from autodl.pieces import OpenFile

_CORES = ("numpy.core", "numpy._core")  # before and since NumPy 2
_STAY_BYTES = 1 << 8  # longer data are not read but stay in the file
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


class Stretch(NamedTuple):
    """Data that stay in the file, and what they are."""

    start: int
    size: int
    kind: np.dtype[Any] | None = None


class Waves(Sequence[NDArray[Any]]):
    """The waveforms of a pickle, one-dimensional number arrays, read when asked for.

    Threads and forked children may share one, and it can be pickled itself.
    """

    def __init__(self, path: Path, waves: Iterable[NDArray[Any] | Stretch]) -> None:
        self._file = OpenFile(path)
        self._waves = list(waves)

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
        if isinstance(wave, Stretch):
            return np.frombuffer(self._file.read(wave.start, wave.size), wave.kind)
        return wave


def read_waves(path: Path) -> Waves:
    """The waveforms of a pickle; none is in memory but those that are lists, or were written by a
    protocol before 3.

    Raises BundleError: ``file-missing``, ``pickle-unsafe``, ``pickle-invalid``,
    ``speech-content``.
    """
    try:
        with path.open("rb") as file:
            waves = _Unpickler(file, path.stat().st_size).load()
        if not isinstance(waves, list | tuple):
            raise TypeError(f"a {type(waves).__name__} instead of a list")
    except OSError as error:
        raise BundleError(
            "file-missing", f"Cannot read: {error}.", hint=_HINT, file=str(path)
        ) from error
    except _UnsafeNameError as error:
        raise BundleError(
            "pickle-unsafe",
            f"The pickle asks for {error}, which is not allowed.",
            hint=_HINT,
            file=str(path),
        ) from error
    except _MALFORMED as error:
        ended = "it ends too early" if isinstance(error, EOFError) else type(error).__name__
        raise BundleError(
            "pickle-invalid",
            f"The pickle cannot be read: {str(error) or ended}.",
            hint=_HINT,
            file=str(path),
        ) from error
    return Waves(path, (_wave(wave, str(path), index) for index, wave in enumerate(waves)))


def _wave(wave: object, file: str, index: int) -> NDArray[Any] | Stretch:
    try:
        if isinstance(wave, _Array) and (stretch := wave.find_stretch()):
            return stretch
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

    def find_stretch(self) -> Stretch | None:
        """Where a waveform lies, if it was left in the file."""
        if not isinstance(self._data, Stretch):
            return None
        if not isinstance(self._dtype, _Type) or not isinstance(self._shape, tuple):
            raise TypeError("an array without type or shape")
        kind = self._dtype.to_numpy()
        if self._shape != (self._data.size // kind.itemsize,) or self._data.size % kind.itemsize:
            raise TypeError(f"{self._data.size} bytes of {kind} in the form {self._shape}")
        return self._data._replace(kind=kind)

    def to_numpy(self) -> NDArray[Any]:
        if not isinstance(self._dtype, _Type) or not isinstance(self._shape, tuple):
            raise TypeError("an array without type or shape")
        if not isinstance(self._data, bytes):
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

    def __init__(self, file: IO[bytes], size: int) -> None:
        super().__init__(file)
        self._file, self._size = file, size

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise _UnsafeNameError(f"{module}.{name}") from None

    def load_frame(self) -> None:
        """Pass over a frame's size: what it holds is read, or left, as if there was none."""
        self.read(8)

    dispatch[pickle.FRAME[0]] = load_frame

    def load_binbytes(self) -> None:
        self._leave(*struct.unpack("<I", self.read(4)))

    dispatch[pickle.BINBYTES[0]] = load_binbytes

    def load_binbytes8(self) -> None:
        self._leave(*struct.unpack("<Q", self.read(8)))

    dispatch[pickle.BINBYTES8[0]] = load_binbytes8
    dispatch[pickle.BYTEARRAY8[0]] = load_binbytes8

    def _leave(self, size: int) -> None:
        """Take few bytes; leave many where they are."""
        start = self._file.tell()
        if size > self._size - start:
            raise EOFError("it ends inside an array")
        if size < _STAY_BYTES:
            self.append(self.read(size))
        else:
            self._file.seek(start + size)
            self.append(Stretch(start, size))
