"""Examples that are there more than once: bytes for bytes, or pictures that look the same.

Within the training part they count double, between training and test they make scores too good.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from autodl.lookalikes import find_lookalikes
from autodl.report import Finding
from autodl.survey import Survey

Records = NDArray[np.intp]
#: of each subset, what its records are called; empty where they have no names
Items = Mapping[str, Sequence[str]]

_LEAK = "Scores will be too good. Keep what belongs together in one subset (--group)."


def duplicate_findings(
    surveys: Mapping[str, Survey], files: Mapping[str, str], items: Items
) -> Iterator[Finding]:
    """Findings about repeated examples; ``files`` says where the subsets lie."""
    for name, seen in surveys.items():
        yield from _within(name, seen, files[name], items[name])
    train = surveys.get("train")
    if train is None:
        return
    for name in ("test", "unlabelled"):
        if name in surveys:
            yield from _across(train, name, surveys[name], files[name], items)
    yield from _alike(train, surveys.get("test"), files, items)


def _call(record: int, items: Sequence[str]) -> str:
    """A record by its number, and by its name where it has one."""
    return f"{record} (item {items[record]})" if items else str(record)


def _within(name: str, seen: Survey, file: str, items: Sequence[str]) -> Iterator[Finding]:
    """Examples of one subset that repeat an earlier one exactly."""
    first, again = _repeats(seen)
    if not len(again):
        return
    conflict = seen.label_digest[first] != seen.label_digest[again]
    if name == "train" and conflict.any():
        at = int(np.argmax(conflict))
        yield Finding(
            "duplicates-with-other-labels",
            "warning",
            f"{int(conflict.sum()):,} training examples repeat another with other labels,"
            f" such as records {_call(first[at], items)} and {_call(again[at], items)}.",
            "One of the two labels is wrong, or the example belongs to both classes.",
            file,
            int(again[at]),
        )
    yield Finding(
        "duplicate-examples",
        "note",
        f"{len(again):,} {name} examples repeat another, such as records"
        f" {_call(first[0], items)} and {_call(again[0], items)}.",
        f"Repeated examples count twice in {'training' if name == 'train' else 'the results'}.",
        file,
        int(again[0]),
    )


def _across(train: Survey, name: str, seen: Survey, file: str, items: Items) -> Iterator[Finding]:
    """Examples of another subset that are also in train."""
    inside, outside = _shared(train.digest, seen.digest)
    if not len(outside):
        return
    here, there = _call(outside[0], items[name]), _call(inside[0], items["train"])
    where = f"such as {name} record {here} and train record {there}"
    if name == "test":
        yield Finding(
            "test-in-train",
            "warning",
            f"{len(outside):,} test examples are also in train, {where}.",
            _LEAK,
            file,
            int(outside[0]),
        )
    else:
        yield Finding(
            "unlabelled-in-train",
            "note",
            f"{len(outside):,} unlabelled examples are also in train, {where}.",
            "Their labels are known already.",
            file,
            int(outside[0]),
        )


def _alike(
    train: Survey, test: Survey | None, files: Mapping[str, str], items: Items
) -> Iterator[Finding]:
    """Pictures that look like a training picture without being the same bytes."""
    both = [train] if test is None or test.cells.shape[1] != train.cells.shape[1] else [train, test]
    digest = np.concatenate([seen.digest for seen in both])
    first, again = find_lookalikes(
        np.concatenate([seen.look for seen in both]), np.concatenate([seen.cells for seen in both])
    )
    other = digest[first] != digest[again]
    first, again = first[other], again[other]
    for inside in (True, False):
        chosen = (first < len(train)) & ((again < len(train)) == inside)
        if not chosen.any():
            continue
        one, two = int(first[chosen][0]), int(again[chosen][0])
        count = int(chosen.sum())
        known = _call(one, items["train"])
        if inside:
            yield Finding(
                "similar-examples",
                "note",
                f"{count:,} training pictures look like another, such as records {known}"
                f" and {_call(two, items['train'])}.",
                "Copies that were scaled or encoded anew count twice in training.",
                files["train"],
                two,
            )
        else:
            two -= len(train)
            yield Finding(
                "test-like-train",
                "note",
                f"{count:,} test pictures look like one in train, such as test record"
                f" {_call(two, items['test'])} and train record {known}.",
                _LEAK,
                files["test"],
                two,
            )


def _repeats(seen: Survey) -> tuple[Records, Records]:
    """(first, again): the records that repeat an earlier one, and which."""
    records = np.flatnonzero(seen.readable)
    _, first, inverse = np.unique(seen.digest[records], return_index=True, return_inverse=True)
    again = np.flatnonzero(first[inverse] != np.arange(len(records)))
    return records[first[inverse][again]], records[again]


def _shared(train: NDArray[np.uint64], test: NDArray[np.uint64]) -> tuple[Records, Records]:
    """(record in train, record in test) of every test record whose non-zero digest is in train."""
    order = np.argsort(train, kind="stable")
    at = np.searchsorted(train, test, sorter=order)
    inside = order[np.minimum(at, len(order) - 1)] if len(order) else np.zeros(len(test), np.intp)
    same = (train[inside] == test) & (test != 0) if len(order) else np.zeros(len(test), bool)
    return inside[same], np.flatnonzero(same)
