"""What a learner has fitted as plain data, and back: no pickle, no code in the file.

A predictor is a function or an object of this package. Its state is what it closes over or has as
attributes: numbers, text, arrays, containers, other functions and objects of this package, and the
models of the libraries in ``portable_libraries.py``. ``encode`` writes this graph as JSON values
and a list of arrays; functions and classes are written as their place in this package, so that
reading a file can call nothing else. What is not of these kinds, above all the examples, is
refused.

An object that holds what cannot be written says how to make it anew by ``__reduce__``, as for
pickle: ``(its class, arguments)``.
"""

from __future__ import annotations

import enum
import functools
import importlib
import re
import types
from typing import Any

import numpy as np

from . import portable_libraries as libraries

PACKAGE = __name__.rpartition(".")[0]
_MODULE = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
_LOCALS = ".<locals>."
_CONTAINERS: dict[str, Any] = {kind.__name__: kind for kind in (list, dict, tuple, set, frozenset)}
Value = Any  # of JSON


class PortableError(Exception):
    """A value cannot be written, or a file holds what no encoder writes; the message says where."""


def encode(value: object) -> tuple[Value, list[np.ndarray[Any, Any]]]:
    """``value`` as JSON values and the arrays that they refer to. Raises PortableError."""
    encoder = _Encoder()
    return encoder.encode(value, ""), encoder.arrays


def decode(encoded: Value, arrays: list[np.ndarray[Any, Any]]) -> Any:
    """The value that ``encode`` was given. Raises PortableError."""
    try:
        return _Decoder(arrays).decode(encoded)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise PortableError(f"the model is damaged: {type(error).__name__}: {error}") from error


class _Encoder:
    def __init__(self) -> None:
        self.arrays: list[np.ndarray[Any, Any]] = []
        self._known: dict[int, int] = {}  # the number of each object by its id
        self._kept: list[object] = []  # so that no id is used twice

    def encode(self, value: object, where: str) -> Value:
        """One value; ``where`` is the way to it, for the message of a refusal."""
        if value is None or type(value) in (bool, int, str):
            return value
        if type(value) is float:
            return {"float": value.hex()}
        if isinstance(value, enum.Enum):
            return {"enum": self._place(type(value), where), "name": value.name}
        if isinstance(value, type):
            return {"class": self._place(value, where)}
        if id(value) in self._known:
            return {"ref": self._known[id(value)]}
        self._known[id(value)] = len(self._kept)
        self._kept.append(value)
        return self._encode_new(value, where)

    def _encode_new(self, value: Any, where: str) -> Value:
        if isinstance(value, np.ndarray | np.generic):
            return {"array": self._array(np.asarray(value), where), "scalar": np.isscalar(value)}
        if isinstance(value, bytes):
            return {"bytes": self._array(np.frombuffer(value, np.uint8), where)}
        if type(value) is dict:
            return {"dict": [self._pair(k, v, where) for k, v in value.items()]}
        if type(value) in _CONTAINERS.values():
            kind = type(value).__name__
            return {kind: [self.encode(x, f"{where}[{i}]") for i, x in enumerate(value)]}
        if isinstance(value, types.FunctionType):
            return self._function(value, where)
        if isinstance(value, types.MethodType):
            owner = self.encode(value.__self__, f"{where}.__self__")
            return {"method": value.__name__, "of": owner}
        if isinstance(value, functools.partial):
            parts = [value.func, value.args, value.keywords]
            return {"partial": [self.encode(part, f"{where}.partial") for part in parts]}
        if (kept := libraries.dismantle(value)) is not None:
            kind, state = kept
            return {"library": kind, "state": self.encode(state, f"{where}<{kind}>")}
        return self._object(value, where)

    def _object(self, value: Any, where: str) -> Value:
        place = self._place(type(value), where)
        if "__reduce__" in vars(type(value)):
            made, arguments = value.__reduce__()[:2]
            if made is not type(value):
                raise PortableError(f"{where}: __reduce__ must name the object's own class")
            return {"made": place, "of": self.encode(arguments, f"{where}.__reduce__")}
        if getattr(type(value), "__slots__", None):
            raise PortableError(f"{where}: {type(value).__name__} has slots")
        state = {k: self.encode(v, f"{where}.{k}") for k, v in vars(value).items()}
        return {"object": place, "state": state}

    def _function(self, function: types.FunctionType, where: str) -> Value:
        place = self._place(function, where)
        number = _codes(*place).index(function.__code__) if _LOCALS in place[1] else 0
        where = where or function.__qualname__
        names = function.__code__.co_freevars
        cells = zip(names, function.__closure__ or (), strict=True)
        return {
            "function": [*place, number],
            "cells": [self.encode(cell.cell_contents, f"{where}.{name}") for name, cell in cells],
            "defaults": self.encode(function.__defaults__, f"{where}.__defaults__"),
            "keywords": self.encode(function.__kwdefaults__, f"{where}.__kwdefaults__"),
        }

    def _pair(self, key: object, value: object, where: str) -> list[Value]:
        return [self.encode(key, f"{where} key"), self.encode(value, f"{where}[{key!r}]")]

    def _array(self, array: np.ndarray[Any, Any], where: str) -> int:
        if array.dtype.hasobject:
            raise PortableError(f"{where}: an array of objects cannot be written")
        self.arrays.append(array)
        return len(self.arrays) - 1

    def _place(self, named: type | types.FunctionType, where: str) -> list[str]:
        package, _, module = named.__module__.partition(".")
        if package != PACKAGE or not module:
            kind = f"{named.__module__}.{named.__qualname__}"
            raise PortableError(f"{where or 'the model'}: {kind} is no part of a model")
        return [module, named.__qualname__]


class _Decoder:
    def __init__(self, arrays: list[np.ndarray[Any, Any]]) -> None:
        self._arrays = arrays
        self._made: list[Any] = []

    def decode(self, value: Value) -> Any:
        if not isinstance(value, dict):
            return value
        kind = next(iter(value))
        if kind == "ref":
            return self._made[value["ref"]]
        if kind == "float":
            return float.fromhex(value["float"])
        if kind == "enum":
            return _find_class(value["enum"])[value["name"]]  # type: ignore[index]
        if kind == "class":
            return _find_class(value["class"])
        number = len(self._made)
        self._made.append(None)
        self._made[number] = made = self._decode_new(kind, value, number)
        return made

    def _decode_new(self, kind: str, value: dict[str, Value], number: int) -> Any:
        if kind == "array":
            array = self._arrays[value["array"]]
            return array[()] if value["scalar"] else array
        if kind == "bytes":
            return self._arrays[value["bytes"]].tobytes()
        if kind in _CONTAINERS:
            return self._container(kind, value[kind], number)
        if kind == "method":
            return getattr(self.decode(value["of"]), _plain(value["method"]))
        if kind == "library":
            return libraries.assemble(value["library"], self.decode(value["state"]))
        if kind == "partial":
            function, arguments, keywords = (self.decode(part) for part in value["partial"])
            return functools.partial(function, *arguments, **keywords)
        if kind == "function":
            return self._function(value, number)
        return self._object(kind, value, number)

    def _container(self, kind: str, parts: list[Value], number: int) -> Any:
        if kind == "dict":
            pairs = self._made[number] = {}
            for key, part in parts:
                known = self.decode(key)
                pairs[known] = self.decode(part)
            return pairs
        if kind == "list":
            listed = self._made[number] = []
            listed.extend(self.decode(part) for part in parts)
            return listed
        return _CONTAINERS[kind](self.decode(part) for part in parts)

    def _object(self, kind: str, value: dict[str, Value], number: int) -> Any:
        cls = _find_class(value[kind])
        if kind == "made":
            return cls(*self.decode(value["of"]))
        self._made[number] = made = _new(cls)
        for name, part in value["state"].items():
            object.__setattr__(made, _plain(name), self.decode(part))  # also of frozen ones
        return made

    def _function(self, value: dict[str, Value], number: int) -> types.FunctionType:
        module, name, index = value["function"]
        if _LOCALS not in name:
            found = _find(module, name)
            if not isinstance(found, types.FunctionType):
                raise PortableError(f"{module}.{name} is no function")
            return found
        code = _codes(module, name)[index]
        cells = tuple(types.CellType() for _ in code.co_freevars)
        namespace = vars(_import(module))
        made = types.FunctionType(code, namespace, code.co_name, None, cells)
        self._made[number] = made
        for cell, part in zip(cells, value["cells"], strict=True):
            cell.cell_contents = self.decode(part)
        made.__defaults__ = self.decode(value["defaults"])
        made.__kwdefaults__ = self.decode(value["keywords"])
        made.__qualname__ = name
        return made


def _codes(module: str, name: str) -> list[types.CodeType]:
    """The code of every inner function of that qualified name, in the order of the source."""
    outer = _find(module, name.partition(_LOCALS)[0])
    if isinstance(outer, property):
        outer = outer.fget
    found: list[types.CodeType] = []
    pending = [_code_of(outer)]
    while pending:
        code = pending.pop(0)
        inner = [c for c in code.co_consts if isinstance(c, types.CodeType)]
        found += [c for c in inner if c.co_qualname == name]
        pending += inner
    return found


def _code_of(function: Any) -> types.CodeType:
    """The code of a function, a method or what ``functools`` has wrapped."""
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    code: types.CodeType = getattr(function, "__func__", function).__code__
    return code


def _new(cls: type) -> Any:
    return object.__new__(cls)


def _find_class(place: list[str]) -> type:
    found = _find(*place)
    if not isinstance(found, type):
        raise PortableError(f"{'.'.join(place)} is no class")
    return found


def _find(module: str, name: str) -> Any:
    """What is defined under that name in a module of this package, nothing it has imported."""
    found: Any = _import(module)
    for part in name.split("."):
        found = vars(found)[_plain(part)]
    found = getattr(found, "__func__", found)
    if getattr(found, "__module__", None) != f"{PACKAGE}.{module}" and not isinstance(
        found, property
    ):
        raise PortableError(f"{module}.{name} is not of this package")
    return found


def _import(module: str) -> types.ModuleType:
    if not _MODULE.fullmatch(module):
        raise PortableError(f"{module!r} is no module")
    return importlib.import_module(f"{PACKAGE}.{module}")


def _plain(name: str) -> str:
    """A name that is not Python's own."""
    if not name.isidentifier() or (name.startswith("__") and name.endswith("__")):
        raise PortableError(f"{name!r} is not a name")
    return name
