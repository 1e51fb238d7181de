"""Quick features: a short vector of each example, for looking at a dataset, not for winning.

Pictures and frames are small grey pictures, texts counted words, sounds a coarse spectrum over
time, other series some points of each channel, tables their columns.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from autodl.dataset import Dataset
from autodl.decode import decode_tensor
from autodl.examples import SparseValues
from autodl.images import THUMBNAIL_SIDE, probe_image
from autodl.metadata import Format

Floats = NDArray[np.float32]

HASHED = 256  # cells that words and sparse columns share
BANDS, PARTS = 24, 4  # of a spectrum, and of its time
FRAME, HOP, MAX_STEPS = 512, 256, 160_000
POINTS = 16  # of each channel of a series
MAX_COLUMNS = 2048


def quick_features(dataset: Dataset, records: NDArray[np.intp], jobs: int | None = None) -> Floats:
    """float32 (len(records), k), NaN where a value is missing or infinite. Raises BundleError."""
    with ThreadPoolExecutor(jobs or os.cpu_count()) as pool:
        rows = list(pool.map(lambda index: _features(dataset, index), records.tolist()))
    features = np.stack(rows)[:, :MAX_COLUMNS]
    return np.where(np.isfinite(features), features, np.float32(np.nan))


def _features(dataset: Dataset, index: int) -> Floats:
    spec = dataset.metadata_
    example = dataset.record(index)
    matrix = spec.matrix_spec[0]
    if matrix.format is Format.COMPRESSED:
        middle = example.compressed[len(example.compressed) // 2]
        return probe_image(middle, matrix.channels).thumbnail.reshape(-1).astype(np.float32)
    if matrix.format is Format.SPARSE and matrix.col_count > matrix.channels:
        sparse = example.sparse or SparseValues()
        return _counted(sparse.col, sparse.value)
    tensor = decode_tensor(example, spec)
    if spec.domain == "text":
        return np.log1p(_counted(np.nan_to_num(tensor).reshape(-1).astype(np.int64)))
    if spec.domain == "tabular":
        return tensor.reshape(-1)
    if tensor.shape[1] > 1 and tensor.shape[2] > 1:
        return _thumbnail(tensor)
    values = int(np.prod(tensor.shape[1:]))
    steps = np.nan_to_num(tensor.reshape(len(tensor), values), posinf=0, neginf=0)
    points = _points(steps)
    return points if steps.shape[1] > 1 else np.concatenate([points, _spectrum(steps[:, 0])])


def _counted(columns: NDArray[np.int64], values: Floats | None = None) -> Floats:
    """Values (ones, if none are given) summed in the cell of their column."""
    return np.bincount(columns % HASHED, values, HASHED).astype(np.float32)


def _thumbnail(tensor: Floats) -> Floats:
    """The middle frame in grey, of one pixel a cell."""
    grey = tensor[len(tensor) // 2].mean(-1) if len(tensor) else np.zeros(tensor.shape[1:3])
    rows, columns = (np.linspace(0, n - 1, THUMBNAIL_SIDE).astype(int) for n in grey.shape)
    return np.asarray(grey[np.ix_(rows, columns)].reshape(-1), np.float32)


def _spectrum(wave: Floats) -> Floats:
    """Log power in bands of equal ratio, averaged over each part of the time."""
    wave = np.pad(wave, (0, max(0, FRAME - len(wave))))
    frames = np.lib.stride_tricks.sliding_window_view(wave[:MAX_STEPS], FRAME)[::HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(FRAME).astype(np.float32))) ** 2
    edges = np.unique(np.geomspace(2, power.shape[1], BANDS + 1).astype(int))
    bands = np.log(np.add.reduceat(power, edges[:-1], axis=1) + 1e-9)
    parts = [part.mean(0) for part in np.array_split(bands, PARTS) if len(part)]
    parts += [parts[-1]] * (PARTS - len(parts))
    return np.concatenate([*parts, bands.std(0)]).astype(np.float32)


def _points(steps: Floats) -> Floats:
    """Each channel at equally spaced times, with its mean and spread."""
    if not len(steps):
        steps = np.zeros((1, steps.shape[1]), np.float32)
    at = np.linspace(0, len(steps) - 1, POINTS).round().astype(int)
    facts = [steps[at], steps.mean(0, keepdims=True), steps.std(0, keepdims=True)]
    return np.append(np.concatenate(facts).T.reshape(-1), len(steps)).astype(np.float32)
