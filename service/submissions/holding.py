"""A submission that is held: its data were checked, and its owner looks at the report first.

It never stays so: its owner lets it run or cancels it, or it expires at a time that is said.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from autodl.errors import UsageError
from service.accounts import fairness
from service.models import Submission, SubmissionState, utc_now
from service.submissions import repository
from service.submissions.states import transition

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from service.db import Database

S = SubmissionState


def queue_or_hold(session: Session, submission: Submission, actor: str) -> None:
    """The data have passed the check."""
    cause = "The data passed the check."
    if submission.review_seconds is None:
        reason = "Waiting for a free slot."
        transition(session, submission, S.QUEUED, actor=actor, cause=cause, reason=reason)
        return
    until = utc_now() + timedelta(seconds=submission.review_seconds)
    submission.held_until = until
    reason = f"Waiting for you to start the run, until {until:%Y-%m-%d %H:%M} UTC."
    transition(session, submission, S.HELD, actor=actor, cause=cause, reason=reason)


def start_submission(session: Session, account_id: str, submission_id: str) -> Submission:
    """Let it run; again changes nothing.

    Raises ``UsageError``: ``submission-not-found``, ``submission-deleted``, ``submission-ended``,
    or ``submission-not-checked`` before the end of its check.
    """
    submission = repository.get_submission(session, account_id, submission_id)
    session.refresh(submission, with_for_update=True)
    if submission.ended_at is not None or submission.cancel_wanted:
        raise UsageError(
            "submission-ended",
            "The submission has ended: it can be run again as a new one.",
            hint="Its data need not be sent again: POST /v1/submissions/ID/rerun.",
        )
    if submission.state is S.HELD:
        fairness.join(session, account_id)
        submission.held_until, submission.released_at = None, utc_now()
        cause = "You have seen the report and started the run."
        reason = "Waiting for a free slot."
        transition(session, submission, S.QUEUED, actor="account", cause=cause, reason=reason)
    elif submission.state is S.VALIDATING and submission.review_seconds is not None:
        raise UsageError(
            "submission-not-checked",
            "The data are still being checked.",
            hint="Wait until the submission's state is `held`, or that it was refused.",
        )
    return submission


def expire(database: Database, submission_id: str) -> None:
    """Its owner has not come back in time; nothing is charged."""
    with database.write() as session:
        submission = repository.lock_submission(session, submission_id)
        if submission.state is S.HELD:  # else it was let run a moment ago
            cause = "Nobody started the run in time. To run the same data, submit them again."
            transition(session, submission, S.EXPIRED, actor="reconciler", cause=cause)
