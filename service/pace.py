"""When the next round is due: after a pause, or earlier where the executor hears of a change.

Rounds look at everything by themselves; hearing of a change only spares the wait for the next one.
So it costs nothing when what is told is lost, late, or said twice.
"""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Protocol, runtime_checkable

from service.executors.base import Executor

STEP_SECONDS = 0.25  # between two rounds at least, however much happens


@runtime_checkable
class Watching(Protocol):
    """An executor that can tell when something may have changed."""

    def watch(self, wake: threading.Event, over: threading.Event) -> None:
        """Set ``wake`` at each change, until ``over``; raises nothing."""


class Pace:
    """The pauses between the rounds of one leader."""

    def __init__(self, pause_seconds: float, executor: Executor) -> None:
        self._pause_seconds = pause_seconds
        self._executor = executor
        self._wake = threading.Event()
        self._over = threading.Event()

    def __enter__(self) -> Pace:
        if isinstance(self._executor, Watching):
            watch, events = self._executor.watch, (self._wake, self._over)
            threading.Thread(target=watch, args=events, name="watch", daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._over.set()

    def wait(self, stop: threading.Event) -> bool:
        """Return when the next round is due, or at ``stop``: whether it was that."""
        left = self._pause_seconds
        while left > 0 and not stop.wait(min(left, STEP_SECONDS)):
            left -= STEP_SECONDS
            if self._wake.is_set():
                break
        self._wake.clear()
        return stop.is_set()
