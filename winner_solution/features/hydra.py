"""Competing convolutional kernels on series (Hydra: Dempster et al. 2023, arXiv 2203.13652).

In each group of random kernels, the one that answers most, and the one that answers least, is
counted at every step: a dictionary of patterns. In NumPy, because the library's needs PyTorch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .. import config
from ..data import Subset
from ..split import Rows
from .mel import resampled

Floats = NDArray[np.float32]

_LENGTH = 9  # of a kernel


class Hydra:
    """Series of vectors brought to ``steps`` points.

    Channels are scaled as they are in the first rows it sees.
    """

    def __init__(self, steps: int) -> None:
        self.name = f"hydra-{steps}"
        self._steps = steps
        self._mean, self._scale = np.zeros(0, np.float32), np.ones(0, np.float32)
        self._groups: list[_Groups] = []

    def __call__(self, subset: Subset, rows: Rows) -> Floats:
        """float32 (n, F), roots of counts and of sums, and the logarithm of the length."""
        x, lengths = resampled(subset, rows, self._steps)
        x = x.transpose(0, 2, 1)
        if not self._groups:
            self._make_groups(x)
        x = np.asarray((x - self._mean) / self._scale, np.float32)
        answers = self._steps * config.HYDRA_GROUPS * config.HYDRA_KERNELS // 2
        block = max(1, config.HYDRA_BLOCK // answers)
        parts = []
        for start in range(0, len(x), block):
            some = x[start : start + block]
            views = (some, np.diff(some, axis=2))
            parts.append(np.concatenate([g.compete(views[g.changes]) for g in self._groups], 1))
        return np.concatenate([np.concatenate(parts), lengths], axis=1).astype(np.float32)

    def _make_groups(self, x: Floats) -> None:
        """Half of the groups look at the series, half at its changes; dilations are powers of 2."""
        rng = np.random.default_rng(config.SEED)
        self._mean = x.mean(axis=(0, 2), keepdims=True)
        self._scale = x.std(axis=(0, 2), keepdims=True) + np.float32(1e-9)
        largest = max(1, (self._steps - 1) // (_LENGTH - 1))
        for power in range(int(np.log2(largest)) + 1):
            for changes in (False, True):
                self._groups.append(_Groups.draw(x.shape[1], 2**power, changes, rng))


@dataclass(frozen=True)
class _Groups:
    """Groups of kernels at one dilation, each on the sum of a few channels."""

    dilation: int
    changes: bool  # it looks at the changes of the series
    kernels: Floats  # (groups, kernels, length)
    mixes: Floats | None  # (groups, channels) of 0 and 1; None for one channel

    @classmethod
    def draw(cls, channels: int, dilation: int, changes: bool, rng: np.random.Generator) -> _Groups:
        """At random; each kernel has mean 0 and absolute sum 1."""
        groups = config.HYDRA_GROUPS // 2
        kernels = rng.normal(size=(groups, config.HYDRA_KERNELS, _LENGTH))
        kernels -= kernels.mean(axis=2, keepdims=True)
        kernels /= np.abs(kernels).sum(axis=2, keepdims=True)
        mixes = None
        if channels > 1:
            mixes = np.zeros((groups, channels), np.float32)
            some = min(channels, int(np.clip(channels // 2, 2, 8)))
            for mix in mixes:
                mix[rng.choice(channels, some, replace=False)] = 1
        return cls(dilation, changes, kernels.astype(np.float32), mixes)

    def compete(self, x: Floats) -> Floats:
        """float32 (n, 2 x groups x kernels) of (n, channels, T): sums where first, counts of last.

        As in the paper the answers of the kernel that answers most are summed, and how often a
        kernel answers least is counted.
        """
        mixed = x if self.mixes is None else np.matmul(self.mixes, x)  # (n, 1 or groups, T)
        reach = self.dilation * (_LENGTH // 2)
        padded = np.pad(mixed, ((0, 0), (0, 0), (reach, reach)))
        steps = range(0, _LENGTH * self.dilation, self.dilation)
        shifts = np.stack([padded[:, :, i : i + x.shape[2]] for i in steps], axis=2)
        answers = np.matmul(self.kernels, shifts)  # (n, groups, kernels, T)
        first = answers == answers.max(axis=2, keepdims=True)
        last = answers == answers.min(axis=2, keepdims=True)
        sums = np.where(first, answers, 0).sum(axis=3).clip(0)
        found = np.concatenate([sums, last.sum(axis=3)], axis=2)
        return np.asarray(np.sqrt(found.reshape(len(x), -1)), np.float32)
