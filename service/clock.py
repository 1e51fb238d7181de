"""The time of day may be set while runs are at work; what is to happen at a time moves with it."""

from __future__ import annotations

import time
from datetime import timedelta

JUMP_SECONDS = 5.0  # less is no matter: no deadline of ours is so exact


class Clock:
    """Compares the time of day with a clock that nobody sets, which stands still in a sleep."""

    def __init__(self) -> None:
        self._offset_seconds = _read_offset()

    def read_jump(self) -> timedelta:
        """By how much the time of day was set since this was asked last; nothing if by little."""
        seconds = _read_offset() - self._offset_seconds
        if abs(seconds) < JUMP_SECONDS:
            return timedelta(0)
        self._offset_seconds += seconds
        return timedelta(seconds=seconds)


def _read_offset() -> float:
    return time.time() - time.monotonic()
