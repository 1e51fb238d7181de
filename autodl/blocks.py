"""Many records of a table decoded, or encoded, at once.

Records of one table have the same bytes but for their number, labels and values. So one record
is walked through to learn where these lie, and NumPy takes them from all records of the same
length; whatever is not exactly alike is left to the ordinary way, one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autodl.examples import DENSE_KEY, Example, Ints, encode_example
from autodl.records import frame_rows, seal_rows

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Span = tuple[int, int]

_BYTES, _FLOATS, _INTS = 1, 2, 3  # which member of a Feature holds what (formats 1.4)


@dataclass(frozen=True)
class Template:
    """Where the parts of a one-step DENSE record lie; ``fixed`` marks the bytes that all share."""

    first: Bytes
    fixed: NDArray[np.bool_]
    number: Span
    index: Span
    score: Span
    values: Span

    def decode(self, rows: Bytes, output_dim: int) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        """``rows`` uint8 (n, length) to values (n, columns), labels (n, output_dim), and which
        rows are of this form with labels in range; the others are not filled."""
        alike = (rows[:, self.fixed] == self.first[self.fixed]).all(1)
        number = slice(*self.number)
        alike &= ((rows[:, number] ^ self.first[number]) < 0x80).all(1)  # as many bytes each
        index = rows[:, slice(*self.index)]
        alike &= (index < min(output_dim, 0x80)).all(1)
        labels = np.zeros((len(rows), output_dim), np.float32)
        good = np.flatnonzero(alike)
        scores = _floats(rows, self.score)
        for at in range(index.shape[1]):  # in order, so that the last of equal labels wins
            labels[good, index[good, at]] = scores[good, at]
        return _floats(rows, self.values), labels, alike


_KINDS = {"id": _INTS, "label_index": _INTS, "label_score": _FLOATS, DENSE_KEY: _FLOATS}


def learn(payload: bytes) -> Template | None:
    """The template of records like ``payload``; None if it is not a plain one-step example."""
    try:
        features = dict(_features(payload))
    except ValueError:
        return None
    if any(features[key][0] != kind for key, kind in _KINDS.items() if key in features):
        return None
    spans = [features.get(key, (0, (0, 0)))[1] for key in _KINDS]
    number, index, score, values = spans
    if number[1] - number[0] > 10 or (number[0] < number[1] and payload[number[1] - 1] >= 0x80):
        return None  # not one whole number
    if values[0] == values[1] or score[1] - score[0] != 4 * (index[1] - index[0]):
        return None
    fixed = np.ones(len(payload), bool)
    for span in spans:
        fixed[slice(*span)] = False
    return Template(np.frombuffer(payload, np.uint8), fixed, *spans)


def decode_block(
    payloads: list[bytes | None], columns: int, output_dim: int
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Values (n, columns), labels (n, output_dim) and which of ``payloads`` could be decoded here.

    Those that could not may well be good: they are to be decoded, or refused, one by one.
    """
    values = np.zeros((len(payloads), columns), np.float32)
    labels = np.zeros((len(payloads), output_dim), np.float32)
    done = np.zeros(len(payloads), bool)
    lengths = np.array([-1 if payload is None else len(payload) for payload in payloads])
    for length in np.unique(lengths[lengths >= 0]).tolist():
        which = np.flatnonzero(lengths == length)
        chosen = [payloads[at] or b"" for at in which.tolist()]
        template = learn(chosen[0])
        if template is None or template.values[1] - template.values[0] != 4 * columns:
            continue
        rows = np.frombuffer(b"".join(chosen), np.uint8).reshape(len(chosen), length)
        values[which], labels[which], done[which] = template.decode(rows, output_dim)
    return values, labels, done


def encode_block(
    values: Floats, labels: NDArray[np.integer[Any]], label_sets: Sequence[Ints], first_id: int
) -> list[bytes | memoryview]:
    """Framed records of a table's rows, an example each, of one step, with ids from ``first_id``.

    ``values`` float32 (n, columns); ``labels`` (n,) says which of ``label_sets``, each int64 (k,),
    holds the positive labels of a row; their score is 1. The bytes, in pieces of one record or
    more, are ``encode_example``'s.
    """
    pieces: list[bytes | memoryview] = []
    start, stop = first_id, first_id + len(values)
    while start < stop:
        digits = max(1, -(-start.bit_length() // 7))  # bytes that a number takes on the wire
        end = min(stop, 1 << 7 * digits)
        rows = slice(start - first_id, end - first_id)
        pieces += _encode_run(values[rows], labels[rows], label_sets, start, digits)
        start = end
    return pieces


def _encode_run(
    values: Floats,
    labels: NDArray[np.integer[Any]],
    label_sets: Sequence[Ints],
    first_id: int,
    digits: int,
) -> list[bytes | memoryview]:
    """Records whose numbers all take ``digits`` bytes, as one piece if they are equally long."""
    used = np.flatnonzero(np.bincount(labels))
    which = np.searchsorted(used, labels)
    low, high = (1 << 7 * (digits - 1) if digits > 1 else 0), (1 << 7 * digits) - 1
    size = values[0].nbytes
    indices = [tuple(label_sets[code].tolist()) for code in used.tolist()]
    heads = [_head(size, index, high) for index in indices]
    lengths = np.array([len(head) for head in heads])
    ids = np.arange(first_id, first_id + len(values), dtype=np.int64)
    numbers = (ids[:, None] >> 7 * np.arange(digits) & 0x7F).astype(np.uint8)
    numbers[:, :-1] |= 0x80
    pieces = np.empty(len(values), object)
    for length in np.unique(lengths).tolist():
        alike = np.flatnonzero(lengths == length)
        chosen = lengths[which] == length
        rows = slice(None) if chosen.all() else np.flatnonzero(chosen)
        records, payloads = frame_rows(int(np.count_nonzero(chosen)), length + size)
        table = np.zeros((len(heads), length), np.uint8)
        table[alike] = [heads[at] for at in alike]
        payloads[:, :length] = table[which[rows]]
        # the number lies where another number makes a difference
        other = _head(size, indices[alike[0]], low)
        (place,) = np.nonzero(heads[alike[0]] != other)
        payloads[:, place[0] : place[-1] + 1] = numbers[rows]
        payloads[:, length:] = values[rows].view(np.uint8)
        seal_rows(records)
        if chosen.all():
            return [records.data.cast("B")]
        pieces[rows] = records.view(f"V{records.shape[1]}").ravel().tolist()
    return list(pieces)


@lru_cache(1 << 12)
def _head(size: int, index: tuple[int, ...], number: int) -> Bytes:
    """A payload up to its values, which take ``size`` bytes at the end."""
    score, values = np.ones(len(index), np.float32), np.zeros((1, size // 4), np.float32)
    example = Example(number, np.array(index, np.int64), score, values)
    return np.frombuffer(encode_example(example), np.uint8)[:-size]


def _floats(rows: Bytes, span: Span) -> Floats:
    return np.ascontiguousarray(rows[:, slice(*span)]).view("<f4").astype(np.float32, copy=False)


def _features(payload: bytes) -> Iterator[tuple[str, tuple[int, Span]]]:
    """(key, (kind, place of its packed values)) of each feature; ValueError if not so plain."""
    context, lists = _members(payload, (0, len(payload)), (1, 2))
    for entry in _repeated(payload, context):
        key, feature = _members(payload, entry, (1, 2))
        name, (kind, values) = payload[slice(*key)].decode(), _packed(payload, feature)
        if name not in _KINDS and kind != _BYTES:
            raise ValueError("a feature that only protobuf can vouch for")
        yield name, (kind, values)
    for entry in _repeated(payload, lists):
        key, steps = _members(payload, entry, (1, 2))
        (step,) = _repeated(payload, steps)
        yield payload[slice(*key)].decode(), _packed(payload, step)


def _packed(payload: bytes, feature: Span) -> tuple[int, Span]:
    ((kind, values),) = _fields(payload, feature)
    runs = list(_repeated(payload, values))
    if len(runs) > 1:
        raise ValueError("values in several runs")
    return kind, runs[0] if runs else (0, 0)


def _members(payload: bytes, span: Span, numbers: tuple[int, ...]) -> list[Span]:
    """The fields of a message that has exactly these, in this order."""
    fields = list(_fields(payload, span))
    if tuple(number for number, _ in fields) != numbers:
        raise ValueError("other fields than expected")
    return [place for _, place in fields]


def _repeated(payload: bytes, span: Span) -> Iterator[Span]:
    """The places of field 1, which is the only one."""
    for number, place in _fields(payload, span):
        if number != 1:
            raise ValueError("other fields than expected")
        yield place


def _fields(payload: bytes, span: Span) -> Iterator[tuple[int, Span]]:
    """(number, place) of each field of a message whose fields all have a length."""
    at, stop = span
    while at < stop:
        tag = payload[at]
        if tag & 0x87 != 2:
            raise ValueError("a field without length, or of a high number")
        at += 1
        length = shift = 0
        while True:
            if at >= stop:
                raise ValueError("cut")
            byte = payload[at]
            at += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        if at + length > stop:
            raise ValueError("cut")
        yield tag >> 3, (at, at + length)
        at += length
