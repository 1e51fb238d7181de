"""Features of series of vectors: their course at fixed length, and MiniRocket.

MiniRocket: Dempster, Schmidt, Webb 2021 (arXiv 2012.08791): the share of positive values of
convolutions with 84 fixed kernels, at many dilations and thresholds. Written in NumPy, because the
libraries' versions are compiled for seconds on first use (LOG.md), a part of the budget here.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from .. import config
from ..data import Subset
from ..split import Rows
from .mel import resample, resampled

Floats = NDArray[np.float32]

_KERNELS = np.array(list(combinations(range(9), 3)))  # where the weight is 2; elsewhere it is -1


@dataclass(frozen=True)
class Course:
    """The series at ``steps`` points, its changes, level, spread and length."""

    steps: int

    @property
    def name(self) -> str:
        """Identity in the cache."""
        return f"course-{self.steps}"

    def __call__(self, subset: Subset, rows: Rows) -> Floats:
        """float32 (n, F)."""
        return np.stack([self._describe(series) for series in subset.series(rows)])

    def _describe(self, series: Floats) -> Floats:
        steps = max(4, min(self.steps, config.SERIES_MAX_VALUES // series.shape[1]))
        course = resample(series, steps)
        change = np.diff(series, axis=0) if len(series) > 1 else np.zeros_like(series)
        parts = [series.mean(0), series.std(0), series.min(0), series.max(0)]
        parts += [np.abs(change).mean(0), change.std(0), [np.log(len(series))]]
        return np.concatenate([course.ravel(), *parts]).astype(np.float32)


class MiniRocket:
    """MiniRocket on series brought to one length; ``of_mel`` takes the mel bands of sound.

    Thresholds are quantiles of the responses of the first rows it sees, as in the paper.
    """

    def __init__(self, steps: int, features: int, of_mel: bool = False) -> None:
        self.name = f"minirocket-{'mel-' if of_mel else ''}{steps}-{features}"
        self._steps = steps
        self._per_kernel = max(1, features // len(_KERNELS))
        self._of_mel = of_mel
        self._plan: list[_Dilation] = []

    def __call__(self, subset: Subset, rows: Rows) -> Floats:
        """float32 (n, about ``features``), shares in 0..1, and the logarithm of the length."""
        x, lengths = resampled(subset, rows, self._steps, self._of_mel)
        x = x.transpose(2, 0, 1)
        if not self._plan:
            self._plan = self._make_plan(x[:, :256])
        parts = [part for dilation in self._plan for part in dilation.features(x)]
        return np.concatenate([*parts, lengths], axis=1).astype(np.float32)

    def _make_plan(self, x: Floats) -> list[_Dilation]:
        """Dilations spaced evenly in log; thresholds from the responses to ``x`` (d, n, T)."""
        rng = np.random.default_rng(config.SEED)
        largest = max(1, (self._steps - 1) // 8)
        count = int(min(self._per_kernel, 1 + 2 * np.log2(largest)))
        dilations = np.unique(np.geomspace(1, largest, count).astype(int))
        per_dilation = max(1, self._per_kernel // len(dilations))
        scale = x.std(axis=(1, 2), keepdims=True) + 1e-9
        mean = x.mean(axis=(1, 2), keepdims=True)
        return [_Dilation(int(d), per_dilation, mean, scale, x, rng) for d in dilations]


class _Dilation:
    """The 84 kernels at one dilation, each on one of a few random sums of channels."""

    def __init__(
        self,
        dilation: int,
        thresholds: int,
        mean: Floats,
        scale: Floats,
        x: Floats,
        rng: np.random.Generator,
    ) -> None:
        self._dilation = dilation
        self._mean, self._scale = mean, scale
        channels = len(x)
        self._mixes = []
        for _ in range(min(channels, config.ROCKET_MIXES)):
            size = int(2 ** rng.uniform(0, np.log2(min(channels, 9) + 1)))
            self._mixes.append(rng.choice(channels, max(1, min(size, channels)), replace=False))
        quantiles = (np.arange(1, thresholds + 1) * 0.618) % 1
        self._thresholds = [
            np.quantile(response[:: max(1, len(response) // 64)], quantiles)
            for response in self._responses(x)
        ]

    def features(self, x: Floats) -> list[Floats]:
        """Shares of values above each threshold, (n, thresholds) for each kernel."""
        return [
            np.stack([(response > t).mean(axis=1) for t in thresholds], axis=1)
            for response, thresholds in zip(self._responses(x), self._thresholds, strict=True)
        ]

    def _responses(self, x: Floats) -> list[Floats]:
        """Convolutions, float32 (n, T) for each kernel, zero padded."""
        z = np.asarray((x - self._mean) / self._scale, np.float32)
        responses: list[Floats] = [np.zeros(0, np.float32)] * len(_KERNELS)
        for number, mix in enumerate(self._mixes):
            signal = z[mix].sum(axis=0)
            reach = 4 * self._dilation
            padded = np.pad(signal, ((0, 0), (reach, reach)))
            length = signal.shape[1]
            shifts = [padded[:, i * self._dilation :][:, :length] for i in range(9)]
            total = np.sum(shifts, axis=0)
            for k in range(number, len(_KERNELS), len(self._mixes)):
                a, b, c = _KERNELS[k]
                responses[k] = 3 * (shifts[a] + shifts[b] + shifts[c]) - total
        return responses
