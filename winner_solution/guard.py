"""Hard limits of time and memory around learners' code, which may hang or swell in a library."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from . import config
from .budget import OutOfTimeError
from .machine import free_memory

T = TypeVar("T")


class StuckError(Exception):
    """A piece of work was given up: it did not come back in time, or took the memory."""


def guard(work: Callable[[], T], seconds: float) -> T:
    """What ``work`` returns or raises; raises StuckError when it is not back in ``seconds``.

    The work is done in a thread of its own. One that is given up is asked to stop, which native
    code heeds only when it returns: ``work`` must therefore change nothing but what it returns.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True, name="learner")
    end = time.monotonic() + max(seconds, 0.0)
    thread.start()
    while thread.is_alive() and (left := end - time.monotonic()) > 0:
        thread.join(min(left, config.GUARD_LOOK_SECONDS))
        if thread.is_alive() and free_memory() < config.MEMORY_FLOOR_BYTES:
            _stop(thread)
            raise StuckError("the memory is used up")
    if results:
        return results[0]
    if errors:
        raise errors[0]
    _stop(thread)
    raise StuckError(f"not back after {seconds:.1f} s")


def _stop(thread: threading.Thread) -> None:
    """Raise OutOfTimeError in ``thread`` as soon as it runs Python code."""
    identity = ctypes.c_ulong(thread.ident or 0)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(identity, ctypes.py_object(OutOfTimeError))
