"""One example as it is stored: a ``tensorflow.SequenceExample`` (handbook, formats 1.4).

The protobuf classes are our own: packed floats stay bytes until NumPy takes them, so a series of
a million steps is one copy.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from autodl._proto import sequence_example_pb2 as pb
from autodl.errors import BundleError

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Steps = Floats | Sequence[Floats]

_DENSE, _COMPRESSED = "0_dense_input", "0_compressed"
_SPARSE = "0_sparse_{}"


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
            dense=_decode_dense(lists[_DENSE]) if _DENSE in lists else None,
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
    scores = context.get("label_score")
    if scores is None:
        return (int(ids[0]) if ids.size else None), _ints(context, "label_index"), _no_floats()
    if scores.WhichOneof("kind") not in ("float_list", None):
        raise _wrong_kind("label_score", "floats")
    return (
        int(ids[0]) if ids.size else None,
        _ints(context, "label_index"),
        _floats(scores.float_list),
    )


def encode_example(example: Example) -> bytes:
    """Serialise ``example``; equal examples give equal bytes (map keys are sorted)."""
    message = pb.SequenceExample()
    context = message.context.feature
    if example.id is not None:
        context["id"].int64_list.value.append(example.id)
    context["label_index"].int64_list.value.extend(np.asarray(example.label_index, int).tolist())
    scores = context["label_score"].float_list
    scores.SetInParent()
    if len(example.label_score):
        scores.value.append(np.asarray(example.label_score, "<f4").tobytes())
    context["label_index"].int64_list.SetInParent()
    lists = message.feature_lists.feature_list
    if example.dense is not None:
        lists[_DENSE] = _encode_dense(example.dense)
    if example.compressed:
        lists[_COMPRESSED] = _encode_frames(example.compressed)
    if example.sparse is not None:
        _encode_sparse(example.sparse, lists)
    return bytes(message.SerializeToString(deterministic=True))


def _floats(values: pb.FloatList) -> Floats:
    if values.value:
        data = values.value[0] if len(values.value) == 1 else b"".join(values.value)
        if len(data) % 4:
            raise DecodeError("a packed float list is not a multiple of 4 bytes")
        return np.frombuffer(data, "<f4").astype(np.float32, copy=False)
    if values.ByteSize():
        unpacked = pb.UnpackedFloatList.FromString(values.SerializeToString())
        return np.array(unpacked.value, np.float32)
    return _no_floats()


def _ints(features: Mapping[str, pb.Feature], key: str) -> Ints:
    feature = features.get(key)
    if feature is None:
        return _no_ints()
    if feature.WhichOneof("kind") not in ("int64_list", None):
        raise _wrong_kind(key, "integers")
    return np.array(feature.int64_list.value, np.int64)


def _wrong_kind(key: str, expected: str) -> BundleError:
    return BundleError(
        "record-feature-kind",
        f"Feature {key} does not hold {expected}.",
        hint="See docs/format.md for the features of a record.",
    )


def _decode_dense(data: bytes) -> Steps:
    """A FeatureList of floats. Steps of equal length have equal bytes around their floats, so
    the whole list is one table of bytes whose last columns are the floats."""
    step_bytes = _first_field_bytes(data)
    if step_bytes and len(data) % step_bytes == 0:
        table = np.frombuffer(data, np.uint8).reshape(-1, step_bytes)
        first = pb.FeatureList.FromString(data[:step_bytes]).feature[0]
        head = _step_head(sum(map(len, first.float_list.value)))
        whole = (step_bytes - len(head)) % 4 == 0
        if (
            whole
            and data.startswith(head)
            and np.all(table[:, : len(head)] == table[0, : len(head)])
        ):
            floats = np.ascontiguousarray(table[:, len(head) :]).view("<f4")
            return floats.astype(np.float32, copy=False)
    features = pb.FeatureList.FromString(data).feature
    if any(f.WhichOneof("kind") not in ("float_list", None) for f in features):
        raise _wrong_kind(_DENSE, "floats")
    return [_floats(f.float_list) for f in features]


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
    names = ("col_index", "row_index", "channel_index", "value")
    if not any(_SPARSE.format(name) in lists for name in names):
        return None
    features = {
        key: feature
        for key in map(_SPARSE.format, names)
        for feature in pb.FeatureList.FromString(lists.get(key, b"")).feature
    }
    value_key = _SPARSE.format("value")
    value = features.get(value_key)
    if value is not None and value.WhichOneof("kind") not in ("float_list", None):
        raise _wrong_kind(value_key, "floats")
    return SparseValues(
        col=_ints(features, _SPARSE.format("col_index")),
        row=_ints(features, _SPARSE.format("row_index")),
        channel=_ints(features, _SPARSE.format("channel_index")),
        value=_no_floats() if value is None else _floats(value.float_list),
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
    head = np.frombuffer(_step_head(4 * values.shape[1]), np.uint8)
    table = np.empty((len(values), len(head) + 4 * values.shape[1]), np.uint8)
    table[:, : len(head)] = head
    table[:, len(head) :] = values.view(np.uint8)
    return table.tobytes()


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
    message = pb.FeatureList()
    for frame in frames:
        message.feature.add().bytes_list.value.append(frame)
    return bytes(message.SerializeToString())


def _encode_sparse(sparse: SparseValues, lists: MutableMapping[str, bytes]) -> None:
    value = pb.FeatureList()
    value.feature.add().float_list.value.append(np.asarray(sparse.value, "<f4").tobytes())
    lists[_SPARSE.format("value")] = value.SerializeToString()
    for name in ("col", "row", "channel"):
        indices = getattr(sparse, name)
        if len(indices):
            message = pb.FeatureList()
            message.feature.add().int64_list.value.extend(np.asarray(indices, int).tolist())
            lists[_SPARSE.format(f"{name}_index")] = message.SerializeToString()
