"""The states of a submission: which may follow which, and the one way from one to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.accounts import quotas
from service.models import Submission, SubmissionState, Transition, utc_now
from service.notifications import outbox

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

S = SubmissionState
TRANSITIONS: dict[S | None, frozenset[S]] = {
    None: frozenset({S.UPLOADING, S.VALIDATING}),
    S.UPLOADING: frozenset({S.VALIDATING, S.CANCELED, S.EXPIRED, S.FAILED}),
    S.VALIDATING: frozenset({S.QUEUED, S.HELD, S.REJECTED, S.FAILED, S.CANCELED, S.EXPIRED}),
    S.HELD: frozenset({S.QUEUED, S.FAILED, S.CANCELED, S.EXPIRED}),
    S.QUEUED: frozenset({S.RUNNING, S.FAILED, S.CANCELED, S.EXPIRED}),
    # back to the queue when the run was lost and a new one will be made
    S.RUNNING: frozenset({S.SCORING, S.QUEUED, S.FAILED, S.CANCELED}),
    S.SCORING: frozenset({S.SUCCEEDED, S.REJECTED, S.FAILED, S.QUEUED, S.CANCELED}),
}
ENDED = frozenset({S.SUCCEEDED, S.REJECTED, S.FAILED, S.CANCELED, S.EXPIRED})


def transition(
    session: Session,
    submission: Submission,
    to: SubmissionState,
    *,
    actor: str,
    cause: str,
    reason: str | None = None,
) -> None:
    """Change the state and append to the history; ``reason`` defaults to the cause.

    An illegal step is a fault in our code: ``ValueError``.
    """
    before: SubmissionState | None = submission.state
    if to not in TRANSITIONS.get(before, frozenset()):
        raise ValueError(f"{before} -> {to} is not a step of a submission's life")
    submission.state = to
    submission.status_reason = reason or cause
    submission.ended_at = utc_now() if to in ENDED else None
    session.flush()  # the submission's row comes before the history that refers to it
    session.add(
        Transition(
            submission_id=submission.id,
            run_id=submission.current_run_id,
            actor=actor,
            from_state=before,
            to_state=to,
            cause=cause,
        )
    )
    if to in ENDED:
        quotas.settle(session, submission)
        outbox.announce_end(session, submission)
