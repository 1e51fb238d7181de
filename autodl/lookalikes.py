"""Pictures that look the same though their bytes differ: scaled, encoded anew, a little brighter.

A difference hash (Krawetz 2013) finds candidates, eight by eight grey cells confirm them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from autodl.images import Pixels

Hashes = NDArray[np.uint64]
Records = NDArray[np.intp]

CELLS = 8  # a side
MAX_BITS = 4  # of 56 in which the hashes of two pictures that look alike may differ
MAX_GREY = 3.0  # levels, of 255, by which their cells may differ on average
MIN_RANGE = 16  # grey levels between a picture's cells, below which it is too flat to compare
ROTATIONS = (0, 14, 28, 42)  # so that any MAX_BITS wrong bits leave some order nearly right
NEIGHBOURS = 16  # compared in each order ...
PAIRS = 1 << 14  # ... of so many pictures at a time


def describe_look(thumbnail: Pixels) -> tuple[int, Pixels]:
    """(hash of 56 bits, cells uint8 (64,)) of a grey 16 x 16 picture; hash 0 if it is flat."""
    means = thumbnail.reshape(CELLS, 2, CELLS, 2).mean((1, 3))
    cells = np.round(means).astype(np.uint8).reshape(-1)
    if np.ptp(means) < MIN_RANGE:
        return 0, cells
    brighter = means[:, 1:] > means[:, :-1]
    return int.from_bytes(np.packbits(brighter).tobytes(), "big"), cells


def find_lookalikes(hashes: Hashes, cells: Pixels) -> tuple[Records, Records]:
    """(first, again): each picture that looks like an earlier one, and the earliest such.

    ``hashes`` (n,) and ``cells`` (n, 64) as ``describe_look`` gives them. Time is O(n log n): a
    picture is compared with those near it in four sorted orders, so a pair may be missed.
    """
    known = np.flatnonzero(hashes)
    earliest = np.arange(len(hashes))  # that each looks like: itself, until one is found
    for rotation in ROTATIONS:
        turned = hashes[known] << np.uint64(64 - 56 + rotation)
        turned |= (hashes[known] >> np.uint64(56 - rotation)) << np.uint64(8)
        order = known[np.argsort(turned, kind="stable")]
        for distance in range(1, min(NEIGHBOURS, len(order) - 1) + 1):
            pair = np.stack([order[:-distance], order[distance:]])
            close = np.bitwise_count(hashes[pair[0]] ^ hashes[pair[1]]) <= MAX_BITS
            pair = np.sort(pair[:, close], axis=0)
            for start in range(0, pair.shape[1], PAIRS):
                first, again = pair[:, start : start + PAIRS]
                alike = _alike(cells[first], cells[again])
                np.minimum.at(earliest, again[alike], first[alike])
    again = np.flatnonzero(earliest < np.arange(len(earliest)))
    return earliest[again], again


def _alike(one: Pixels, other: Pixels) -> NDArray[np.bool_]:
    """Whether the cells (n, 64) of two pictures agree, their brightness aside."""
    change = one.astype(np.float32) - other
    change -= change.mean(1, keepdims=True)
    return np.asarray(np.abs(change).mean(1) <= MAX_GREY)
