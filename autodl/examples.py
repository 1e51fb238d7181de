"""One example as it is stored: a ``tensorflow.SequenceExample`` (AutoDL formats 1.4).

The protobuf classes are our own: packed floats stay bytes until NumPy takes them, so a series of
a million steps is one copy.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from autodl._proto import sequence_example_pb2 as pb
from autodl.errors import BundleError

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Steps = Floats | Sequence[Floats]

DENSE_KEY = "0_dense_input"
_COMPRESSED = "0_compressed"
_SPARSE = {
    "value": "0_sparse_value",
    "col": "0_sparse_col_index",
    "row": "0_sparse_row_index",
    "channel": "0_sparse_channel_index",
}


def _no_ints() -> Ints:
    return np.empty(0, np.int64)


def _no_floats() -> Floats:
    return np.empty(0, np.float32)


@dataclass(frozen=True)
class SparseValues:
    """The entries of a SPARSE matrix: four parallel arrays, any of which may be empty."""

    col: Ints = field(default_factory=_no_ints)
    value: Floats = field(default_factory=_no_floats)
    row: Ints = field(default_factory=_no_ints)
    channel: Ints = field(default_factory=_no_ints)


@dataclass(frozen=True)
class Example:
    """One record, not yet decoded to a tensor.

    ``label_index`` int64 (k,) and ``label_score`` float32 (k,) are the positive labels. Of
    ``dense`` (an array per time step, or one array of shape (steps, values); None if absent),
    ``compressed`` (an encoded image per time step) and ``sparse``, the one that the metadata's
    format names is used.
    """

    id: int | None = None
    label_index: Ints = field(default_factory=_no_ints)
    label_score: Floats = field(default_factory=_no_floats)
    dense: Steps | None = None
    compressed: Sequence[bytes] = ()
    sparse: SparseValues | None = None


def decode_example(payload: bytes, file: str | None = None, record: int | None = None) -> Example:
    """Decode one payload; ``file`` and ``record`` only name it in errors.

    Raises BundleError: ``record-not-an-example`` when the bytes are no SequenceExample,
    ``record-feature-kind`` when a feature holds another kind of value than the format says.
    """
    message = pb.SequenceExample()
    try:
        message.ParseFromString(payload)
        lists = message.feature_lists.feature_list
        label = decode_context(message.context.feature)
        return Example(
            *label,
            dense=_decode_dense(lists[DENSE_KEY]) if DENSE_KEY in lists else None,
            compressed=_decode_frames(lists[_COMPRESSED]) if _COMPRESSED in lists else (),
            sparse=_decode_sparse(lists),
        )
    except DecodeError as error:
        raise BundleError(
            "record-not-an-example",
            "The record is not a SequenceExample.",
            hint="Each record holds one serialised tensorflow.SequenceExample.",
            file=file,
            record=record,
        ) from error
    except BundleError as error:
        error.file, error.record = file, record
        raise


def decode_context(context: Mapping[str, pb.Feature]) -> tuple[int | None, Ints, Floats]:
    """(id, label_index, label_score) of a record's context; absent keys are None and empty."""
    ids = _ints(context, "id")
    scores = _no_floats()
    if "label_score" in context:
        feature = context["label_score"]
        if feature.WhichOneof("kind") not in ("float_list", None):
            raise _wrong_kind("label_score", "floats")
        scores = _floats(feature.float_list)
    return (int(ids[0]) if len(ids) else None), _ints(context, "label_index"), scores


def decode_labels_only(head: bytes) -> Example | None:
    """The id and labels of an example from the ``head`` of its payload, without the rest.

    None when the context is not all there, not the first thing, or not readable. Raises
    BundleError (``record-feature-kind``).
    """
    size = _first_field_bytes(head)
    if not size:
        return None
    try:
        context = pb.SequenceExample.FromString(head[:size]).context
        return Example(*decode_context(context.feature))
    except DecodeError:
        return None


def encode_example(example: Example) -> bytes:
    """Serialise ``example``; equal examples give equal bytes (map keys are sorted).

    Messages are put together from parts that come again and again; protobuf would give the same.
    """
    index = tuple(np.asarray(example.label_index, int).tolist())
    context = _encode_labels(index, np.asarray(example.label_score, "<f4").tobytes())
    if example.id is not None:
        number = _varint(example.id & _UINT64)
        context = _ID_HEADS[len(number)] + number + context
    lists: dict[str, bytes] = {}
    if example.compressed:
        lists[_COMPRESSED] = _encode_frames(example.compressed)
    if example.dense is not None:
        lists[DENSE_KEY] = _encode_dense(example.dense)
    if example.sparse is not None:
        _encode_sparse(example.sparse, lists)
    payload = _field(1, context)
    if lists:
        entries = (
            _field(1, _field(1, key.encode()) + _field(2, lists[key])) for key in sorted(lists)
        )
        payload += _field(2, b"".join(entries))
    return payload


_UINT64 = (1 << 64) - 1
# Entry ``id`` of a context up to its value: Features, key, Feature, Int64List, packed values.
_ID_HEADS = [
    bytes((0x0A, size + 10, 0x0A, 2, *b"id", 0x12, size + 4, 0x1A, size + 2, 0x0A, size))
    for size in range(11)
]


@lru_cache(1 << 16)
def _encode_labels(index: tuple[int, ...], score: bytes) -> bytes:
    """The entries of a context that name the labels."""
    features = pb.Features()
    features.feature["label_index"].int64_list.value.extend(index)
    features.feature["label_index"].int64_list.SetInParent()
    features.feature["label_score"].float_list.SetInParent()
    if score:
        features.feature["label_score"].float_list.value.append(score)
    return bytes(features.SerializeToString(deterministic=True))


def _field(number: int, content: bytes) -> bytes:
    """A length-delimited field."""
    return _field_head(number, len(content)) + content


@lru_cache(1 << 16)
def _field_head(number: int, size: int) -> bytes:
    return bytes((number << 3 | 2,)) + _varint(size)


def _floats(values: pb.FloatList) -> Floats:
    if values.value:
        data = values.value[0] if len(values.value) == 1 else b"".join(values.value)
        if len(data) % 4:
            raise DecodeError("a packed float list is not a multiple of 4 bytes")
        return np.frombuffer(data, "<f4").astype(np.float32)
    if values.ByteSize():
        unpacked = pb.UnpackedFloatList.FromString(values.SerializeToString())
        return np.array(unpacked.value, np.float32)
    return _no_floats()


def _ints(features: Mapping[str, pb.Feature], key: str) -> Ints:
    if key not in features:
        return _no_ints()
    feature = features[key]
    if feature.WhichOneof("kind") not in ("int64_list", None):
        raise _wrong_kind(key, "integers")
    return np.array(feature.int64_list.value[:], np.int64)


def _wrong_kind(key: str, expected: str) -> BundleError:
    return BundleError(
        "record-feature-kind",
        f"Feature {key} does not hold {expected}.",
        hint="See docs/format.md for the features of a record.",
    )


def _decode_dense(data: bytes) -> Steps:
    """A FeatureList of floats.

    Steps of equal length have equal bytes before their floats, so the whole list is one table of
    which NumPy takes the last column; anything else goes through protobuf, step by step.
    """
    step_bytes = _first_field_bytes(data)
    head = _head_of(step_bytes)
    if head and data.startswith(head) and len(data) % step_bytes == 0:
        if len(data) == step_bytes:
            return np.frombuffer(data, "<f4", offset=len(head)).astype(np.float32).reshape(1, -1)
        table = np.frombuffer(data, _step_type(len(head), step_bytes))
        heads = (table[name] for name in table.dtype.names or () if name != "values")
        if all((column == column[0]).all() for column in heads):
            return table["values"].astype(np.float32).reshape(len(table), -1)
    features = pb.FeatureList.FromString(data).feature
    if any(f.WhichOneof("kind") not in ("float_list", None) for f in features):
        raise _wrong_kind(DENSE_KEY, "floats")
    return [_floats(f.float_list) for f in features]


@lru_cache
def _head_of(step_bytes: int) -> bytes:
    """What stands before the floats of a step that takes so many bytes; empty if none fit."""
    for size in range(step_bytes - 6, max(0, step_bytes - 40), -1):
        if size % 4 == 0 and len(head := _step_head(size)) + size == step_bytes:
            return head
    return b""


@lru_cache
def _step_type(head_bytes: int, step_bytes: int) -> np.dtype[np.void]:
    """A step as a NumPy record: its head in as few integers as it takes, then ``values``."""
    names, formats, offsets = ["values"], [f"({(step_bytes - head_bytes) // 4},)<f4"], [head_bytes]
    at = 0
    for size in (8, 4, 2, 1):
        while head_bytes - at >= size:
            names.append(f"head{at}")
            formats.append(f"u{size}")
            offsets.append(at)
            at += size
    layout = {"names": names, "formats": formats, "offsets": offsets, "itemsize": step_bytes}
    step: np.dtype[np.void] = np.dtype(layout)  # type: ignore[call-overload]  # stubs know no offsets
    return step


def _first_field_bytes(data: bytes) -> int:
    """Bytes that the first field of a message takes (tag, length, content); 0 if it is not
    field 1 of a length-delimited kind, or does not fit."""
    if not data or data[0] != 0x0A:
        return 0
    length = shift = 0
    for at, byte in enumerate(data[1:11], 2):
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return at + length if at + length <= len(data) else 0
    return 0


def _decode_frames(data: bytes) -> list[bytes]:
    features = pb.FeatureList.FromString(data).feature
    if any(f.WhichOneof("kind") not in ("bytes_list", None) for f in features):
        raise _wrong_kind(_COMPRESSED, "bytes")
    return [value for f in features for value in f.bytes_list.value]


def _decode_sparse(lists: Mapping[str, bytes]) -> SparseValues | None:
    features = {
        key: feature
        for key in _SPARSE.values()
        if key in lists
        for feature in pb.FeatureList.FromString(lists[key]).feature
    }
    if not features and not any(key in lists for key in _SPARSE.values()):
        return None
    value = features.get(_SPARSE["value"], pb.Feature())
    if value.WhichOneof("kind") not in ("float_list", None):
        raise _wrong_kind(_SPARSE["value"], "floats")
    return SparseValues(
        col=_ints(features, _SPARSE["col"]),
        row=_ints(features, _SPARSE["row"]),
        channel=_ints(features, _SPARSE["channel"]),
        value=_floats(value.float_list),
    )


def _encode_dense(steps: Steps) -> bytes:
    if not len(steps):
        return b""
    arrays = steps
    if not isinstance(steps, np.ndarray):
        arrays = [np.asarray(step, "<f4").reshape(-1) for step in steps]
        if len({len(array) for array in arrays}) > 1:
            return b"".join(_step_head(array.nbytes) + array.tobytes() for array in arrays)
    values = np.ascontiguousarray(arrays, "<f4").reshape(len(steps), -1)
    if len(values) == 1:
        return _step_head(values.nbytes) + values.tobytes()
    head = np.frombuffer(_step_head(4 * values.shape[1]), np.uint8)
    table = np.empty((len(values), len(head) + 4 * values.shape[1]), np.uint8)
    table[:, : len(head)] = head
    table[:, len(head) :] = values.view(np.uint8)
    return table.tobytes()


@lru_cache
def _step_head(size: int) -> bytes:
    """The bytes before ``size`` bytes of packed floats: Feature, FloatList, value."""
    value = b"\x0a" + _varint(size) if size else b""
    float_list = b"\x12" + _varint(len(value) + size) + value
    return b"\x0a" + _varint(len(float_list) + size) + float_list


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _encode_frames(frames: Sequence[bytes]) -> bytes:
    return b"".join(_field(1, _field(1, _field(1, frame))) for frame in frames)


def _encode_sparse(sparse: SparseValues, lists: MutableMapping[str, bytes]) -> None:
    value = pb.FeatureList()
    value.feature.add().float_list.value.append(np.asarray(sparse.value, "<f4").tobytes())
    lists[_SPARSE["value"]] = value.SerializeToString()
    for name in ("col", "row", "channel"):
        indices = getattr(sparse, name)
        if len(indices):
            message = pb.FeatureList()
            message.feature.add().int64_list.value.extend(np.asarray(indices, int).tolist())
            lists[_SPARSE[name]] = message.SerializeToString()
