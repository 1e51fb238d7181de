"""Who is how far in the queue: asked twice a second by everybody who watches a submission.

The order of a long queue costs tens of milliseconds (``benchmarks/rounds.py``), so a process makes
it once for all who ask within a second. That of a short one is always made anew.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from service.models import LIVE, RunKind, Submission, SubmissionState
from service.submissions import repository

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

WAITING = {SubmissionState.VALIDATING: RunKind.CHECK, SubmissionState.QUEUED: RunKind.SOLVE}
LONG = 100  # from so many on, places are told roughly and no forecast is made
KEPT_SECONDS = 1.0


class Positions:
    """Of every submission that waits, from 1; ids are unique, so those of two databases may mix."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[RunKind, tuple[float, dict[str, int]]] = {}

    def find(self, session: Session, submission: Submission) -> int | None:
        """Its place among those that wait for the same kind of run; ``None`` if it does not."""
        if submission.state not in WAITING:
            return None
        run = repository.find_current_run(session, submission)
        if run is not None and run.state in LIVE:
            return None
        session.connection()  # nobody waits for one while holding the lock
        with self._lock:
            return self._read(session, WAITING[submission.state], submission.id)

    def _read(self, session: Session, kind: RunKind, submission_id: str) -> int | None:
        made_at, positions = self._kept.pop(kind, (0.0, {}))
        if submission_id not in positions or time.monotonic() - made_at > KEPT_SECONDS:
            ordered = repository.list_waiting(session, kind)
            made_at = time.monotonic()
            positions = {waiting.id: number for number, waiting in enumerate(ordered, 1)}
        if len(positions) >= LONG:
            self._kept[kind] = made_at, positions
        return positions.get(submission_id)


POSITIONS = Positions()
