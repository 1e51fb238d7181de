"""The clock of a run, what a second of it is worth, and what a step will cost."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from . import config


class OutOfTimeError(Exception):
    """A step has reached its deadline before it was of use."""


@dataclass
class Clock:
    """Seconds of a run's budget, counted from the first call of ``train``."""

    budget_seconds: float
    now: Callable[[], float] = time.monotonic
    start: float = field(init=False)

    def __post_init__(self) -> None:
        self.start = self.now()

    def synchronise(self, remaining_seconds: float) -> None:
        """Believe the platform's word for what remains."""
        self.start = self.now() - (self.budget_seconds - remaining_seconds)

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self.now() - self.start

    @property
    def remaining(self) -> float:
        """Seconds that may be used: a reserve at the end is kept back."""
        reserve = max(config.RESERVE_SECONDS, config.RESERVE_SHARE * self.budget_seconds)
        return self.budget_seconds - min(reserve, self.budget_seconds / 4) - self.elapsed

    def worth(self, after_seconds: float) -> float:
        """The ALC that one point of NAUC is worth if it comes ``after_seconds`` from now."""
        start = config.ALC_START_SECONDS
        at = min(max(self.elapsed + after_seconds, 0.0), self.budget_seconds)
        return 1 - math.log1p(at / start) / math.log1p(self.budget_seconds / start)

    def deadline(self, seconds: float | None = None) -> Deadline:
        """The end of a step: in ``seconds``, and never after the end of the run."""
        left = self.remaining if seconds is None else min(seconds, self.remaining)
        return Deadline(self.now() + left, self.now)


@dataclass(frozen=True)
class Deadline:
    """A time at which a step has to give back what it has."""

    at: float
    now: Callable[[], float] = time.monotonic

    @property
    def remaining(self) -> float:
        """Seconds left; negative when it has passed."""
        return self.at - self.now()

    def check(self) -> None:
        """Raises OutOfTimeError when it has passed."""
        if self.remaining <= 0:
            raise OutOfTimeError


@dataclass
class CostModel:
    """Predicted seconds, corrected by how the earlier predictions of a learner turned out."""

    speed: float = 1.0  # seconds here per second on the reference machine
    _ratio: dict[str, float] = field(default_factory=dict)

    def seconds(self, learner: str, reference_seconds: float) -> float:
        """What a step of ``learner`` will take here."""
        return reference_seconds * self._ratio.get(learner, self.speed)

    def learn(self, learner: str, reference_seconds: float, measured_seconds: float) -> None:
        """Remember how long a step took; a half of the correction is taken at once."""
        measured = measured_seconds / max(reference_seconds, 1e-3)
        known = self._ratio.get(learner)
        self._ratio[learner] = measured if known is None else math.sqrt(known * measured)
