"""Features of sound without pretrained weights: log-mel bands, their statistics and their course.

The sample rate is unknown, so bands are mel-spaced relative to the highest frequency, as if it
were 8 kHz.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct, rfft

from .. import config
from ..data import Subset
from ..split import Rows

Floats = NDArray[np.float32]


class MelStatistics:
    """Level, spread, range and change of mel bands and cepstral coefficients over the clip."""

    name = "mel-statistics"

    def __call__(self, subset: Subset, rows: Rows) -> Floats:
        """float32 (n, 380)."""
        return np.stack([_statistics(mel_bands(series)) for series in subset.series(rows)])


class MelCourse:
    """The mel picture itself, brought to 24 steps: for short words, where order matters."""

    name = "mel-course"
    steps = 24

    def __call__(self, subset: Subset, rows: Rows) -> Floats:
        """float32 (n, 24 * 30)."""
        pictures = [resample(mel_bands(series), self.steps) for series in subset.series(rows)]
        cepstra = dct(np.stack(pictures), axis=2, norm="ortho")[:, :, :30]
        return np.asarray(cepstra.reshape(len(rows), -1), np.float32)


class MelPicture:
    """Mel bands at fixed steps, of mean 0 and deviation 1 in each clip: for networks."""

    name = "mel-picture"

    def __call__(self, subset: Subset, rows: Rows) -> Floats:
        """float32 (n, MEL_PICTURE_STEPS * MEL_BANDS), by time."""
        x, _ = resampled(subset, rows, config.MEL_PICTURE_STEPS, of_mel=True)
        x = x.reshape(len(rows), -1)
        x -= x.mean(axis=1, keepdims=True)
        return np.asarray(x / np.maximum(x.std(axis=1, keepdims=True), 1e-3), np.float32)


def mel_bands(series: Floats) -> Floats:
    """Log energies, float32 (frames, bands), of (T, channels); hop half a window, at least one."""
    wave = series.mean(axis=1)
    if len(wave) > config.MEL_MAX_SAMPLES:
        length = config.MEL_MAX_SAMPLES // config.MEL_STRETCHES
        starts = np.linspace(0, len(wave) - length, config.MEL_STRETCHES).astype(int)
        wave = np.concatenate([wave[start : start + length] for start in starts])
    wave = wave - wave.mean()
    wave = wave / max(float(np.abs(wave).max()), 1e-9)
    window = config.MEL_WINDOW
    hop = window // 2 if len(wave) > 16 * window else window // 4
    if len(wave) < window:
        wave = np.pad(wave, (0, window - len(wave)))
    frames = np.lib.stride_tricks.sliding_window_view(wave, window)[::hop]
    power = np.abs(rfft(frames * _HANN, axis=1)) ** 2
    return np.asarray(np.log(power.astype(np.float32) @ _FILTERS + np.float32(1e-5)))


def resampled(
    subset: Subset, rows: Rows, steps: int, of_mel: bool = False
) -> tuple[Floats, Floats]:
    """The series of these rows, or their mel bands, (n, steps, d), and their log lengths (n, 1)."""
    series = subset.series(rows)
    lengths = np.log([[len(s)] for s in series])
    if of_mel:
        series = [mel_bands(s) for s in series]
    return np.stack([resample(s, steps) for s in series]), lengths


def resample(series: Floats, steps: int) -> Floats:
    """(steps, d) of (T, d): means of equal stretches, or linear interpolation of short series."""
    if len(series) >= 2 * steps:
        edges = np.linspace(0, len(series), steps + 1).astype(int)
        sums = np.add.reduceat(series, edges[:-1], axis=0)
        return np.asarray(sums / np.diff(edges)[:, None], np.float32)
    at = np.linspace(0, len(series) - 1, steps)
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, len(series) - 1)
    part = (at - low)[:, None].astype(np.float32)
    return np.asarray(series[low] * (1 - part) + series[high] * part, np.float32)


def _statistics(bands: Floats) -> Floats:
    cepstra = dct(bands, axis=1, norm="ortho")[:, : config.MEL_COEFFICIENTS]
    change = np.diff(cepstra, axis=0) if len(cepstra) > 1 else np.zeros_like(cepstra)
    parts = [
        *(bands.mean(0), bands.std(0), np.percentile(bands, 90, axis=0)),
        *(cepstra.mean(0), cepstra.std(0), change.std(0), np.abs(change).mean(0)),
        *np.percentile(cepstra, (10, 50, 90), axis=0),
        *(part.mean(axis=0) for part in np.array_split(cepstra, 4) if len(part)),
    ]
    flat = np.concatenate(parts)
    size = 3 * config.MEL_BANDS + 11 * config.MEL_COEFFICIENTS
    flat = np.append(np.pad(flat, (0, size - len(flat))), np.log(len(bands)))
    return flat.astype(np.float32)


def _filters() -> Floats:
    """Triangles (window / 2 + 1, bands) at equal steps of the mel scale, 0 to 8 kHz."""
    top, half = 2595 * np.log10(1 + 8000 / 700), config.MEL_WINDOW // 2
    steps = np.linspace(0, top, config.MEL_BANDS + 2)
    centres = 700 * (10 ** (steps / 2595) - 1) / 8000 * half
    bins = np.arange(half + 1)[:, None]
    widths = np.maximum(np.diff(centres), 1.0)
    rise = (bins - centres[:-2]) / widths[:-1]
    fall = (centres[2:] - bins) / widths[1:]
    return np.maximum(0, np.minimum(rise, fall)).astype(np.float32)


_HANN = np.hanning(config.MEL_WINDOW).astype(np.float32)
_FILTERS = _filters()
