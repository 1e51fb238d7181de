"""What gave no answer is left alone for a while.

An executor is asked many things in a round of the reconciler. Were each of them to wait for a
cluster that hangs, everything else would wait as well: cancellations, deadlines, other submissions.
"""

from __future__ import annotations

import time

from autodl.errors import PlatformError

PAUSE_SECONDS = 15.0


class Pauses:
    """By what was asked for: until when it is not asked for again, and why."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[float, PlatformError]] = {}

    def check(self, what: str) -> None:
        """Raise the error of before, as long as the pause lasts."""
        until, error = self._kept.get(what, (0.0, None))
        if error is not None and time.monotonic() < until:
            raise PlatformError(error.code, error.message, hint=error.hint)

    def begin(self, what: str, error: PlatformError) -> None:
        """There was no answer."""
        self._kept[what] = (time.monotonic() + PAUSE_SECONDS, error)
