"""Any example as a vector or as a picture of a fixed size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from autodl.dataset import Metadata

Floats = NDArray[np.float32]

HASHES = 4096  # columns of texts and sparse tables
PIXELS = 32  # side of the picture that becomes a vector
LONGEST = 3072  # values of a vector
STRETCHES = 8  # of a series
SOUND_STEPS = 2000  # longer series of one value are sounds
WINDOW = 256  # samples of a spectrum


@dataclass(frozen=True)
class Layout:
    """What the metadata say of an example (AutoDL formats 1.8)."""

    steps: int
    rows: int
    columns: int
    counted: bool  # texts and sparse tables: codes, or pairs of column and value
    pairs: bool
    picture: bool

    @classmethod
    def of(cls, metadata: Metadata) -> Layout:
        """The layout that ``metadata`` describe."""
        steps, rows, columns, _ = metadata.get_tensor_shape()
        flat = (rows == 1 or columns == 1) and not metadata.is_compressed()
        text = steps != 1 and flat and bool(metadata.get_channel_to_index_map())
        sparse = metadata.is_sparse()
        return cls(steps, rows, columns, text or sparse, sparse, not flat and not sparse)

    def to_list(self) -> list[int]:
        """As whole numbers, for a file."""
        return [int(value) for value in vars(self).values()]

    @classmethod
    def from_list(cls, values: list[int]) -> Layout:
        """What ``to_list`` gave."""
        steps, rows, columns = values[:3]
        counted, pairs, picture = map(bool, values[3:])
        return cls(steps, rows, columns, counted, pairs, picture)

    def vector(self, example: Floats) -> Floats:
        """float32 (size,) of one example (T, H, W, C); finite, of one size for all."""
        example = np.nan_to_num(example, posinf=0, neginf=0)
        if self.counted:
            return self._counts(example)
        if self.picture:
            frame = resize(example[len(example) // 2] if len(example) else example.sum(0), PIXELS)
            return np.asarray(frame.mean(axis=2).ravel())
        if self.steps == 1:
            return np.asarray(example.ravel()[:LONGEST], np.float32)
        steps = example.reshape(len(example), -1)[:, : LONGEST // (2 * STRETCHES)]
        parts = np.array_split(steps if len(steps) else np.zeros((1, steps.shape[1])), STRETCHES)
        stretches = [part if len(part) else steps[-1:] for part in parts]
        moments = [[part.mean(axis=0), part.std(axis=0)] for part in stretches]
        return np.asarray(np.concatenate([x for pair in moments for x in pair]), np.float32)

    def image(self, example: Floats, side: int) -> Floats:
        """float32 (side, side, 3) of one example, whatever it is."""
        if self.picture:
            frame = example[len(example) // 2] if len(example) else example.sum(axis=0)
        elif not self.counted and len(example) >= SOUND_STEPS:
            frame = spectrogram(example.reshape(len(example), -1).mean(axis=1))[:, :, None]
        else:
            vector = self.vector(example)
            size = int(np.ceil(np.sqrt(len(vector))))
            frame = np.pad(vector, (0, size * size - len(vector))).reshape(size, size, 1)
        channels = (np.arange(3) % frame.shape[2]) if frame.shape[2] < 3 else np.arange(3)
        return resize(np.nan_to_num(frame, posinf=0, neginf=0), side)[:, :, channels]

    def _counts(self, example: Floats) -> Floats:
        """Codes, or columns with their values, hashed; logarithms, so that many is not all."""
        counts = np.zeros(HASHES, np.float32)
        if self.pairs:
            pairs = example.reshape(-1, 2)
            np.add.at(counts, pairs[:, 0].astype(np.int64) % HASHES, pairs[:, 1])
        else:
            codes = example.ravel().astype(np.int64)
            np.add.at(counts, codes[codes >= 0] % HASHES, 1)
        return np.asarray(np.sign(counts) * np.log1p(np.abs(counts)))


def resize(frame: Floats, side: int) -> Floats:
    """The picture (H, W, C) at ``side`` x ``side``, nearest pixels; its own size never matters."""
    height, width = frame.shape[:2]
    if not height or not width:
        return np.zeros((side, side, frame.shape[2]), np.float32)
    rows = ((np.arange(side) + 0.5) * height / side).astype(int)
    columns = ((np.arange(side) + 0.5) * width / side).astype(int)
    return np.asarray(frame[rows][:, columns], np.float32)


def spectrogram(wave: Floats) -> Floats:
    """Log power, float32 (frames, WINDOW / 2 + 1)."""
    frames = np.lib.stride_tricks.sliding_window_view(wave, WINDOW)[:: WINDOW // 2]
    power = np.abs(np.fft.rfft(frames * np.hanning(WINDOW), axis=1)) ** 2
    return np.asarray(np.log(power + 1e-6), np.float32)
