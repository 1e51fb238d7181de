"""What operators see of everybody's submissions, what is stuck first, and what they do to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from service.accounts import audit
from service.models import (
    LIVE,
    Account,
    Run,
    RunState,
    Submission,
    SubmissionState,
    Upload,
    utc_now,
)
from service.submissions import service

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

UNSEEN_SECONDS = 60.0  # the reconciler notes every ten seconds that a run is there
CANCEL_SECONDS = 60.0  # for a canceled submission to end
RECENT = timedelta(days=7)
SHOWN = 20


@dataclass(frozen=True)
class Work:
    """A run that has not ended, whose it is, and what is wrong with it (a code, or nothing)."""

    submission: Submission
    run: Run
    owner: str
    trouble: str = ""


@dataclass(frozen=True)
class Failure:
    """A submission that failed, and whose it was."""

    submission: Submission
    owner: str


@dataclass(frozen=True)
class Stored:
    """What an account keeps."""

    bytes: int
    files: int


def list_work(session: Session) -> list[Work]:
    """Every run that has not ended, those in trouble first, then the oldest."""
    query = (
        select(Submission, Run, Account.name)
        .join(Run, Run.id == Submission.current_run_id)
        .join(Account, Account.id == Submission.account_id)
        .where(Run.state.in_(LIVE))
    )
    found = [
        Work(submission, run, owner, find_trouble(submission, run))
        for submission, run, owner in session.execute(query)
    ]
    return sorted(found, key=lambda work: (not work.trouble, work.run.id))


def find_trouble(submission: Submission, run: Run) -> str:
    """What is wrong with a live run: ``overdue``, ``unseen``, ``not-started``, ``not-ending``."""
    now = utc_now()
    if run.deadline is not None and run.deadline < now:
        return "overdue"
    seen = run.observed_at or run.created_at
    if now - seen > timedelta(seconds=UNSEEN_SECONDS):
        return "not-started" if run.state is RunState.CREATED else "unseen"
    since = submission.updated_at
    if submission.cancel_wanted and now - since > timedelta(seconds=CANCEL_SECONDS):
        return "not-ending"
    return ""


def list_failures(session: Session) -> list[Failure]:
    """What failed of late, the platform's own failures first, then the newest."""
    query = (
        select(Submission, Account.name)
        .join(Account, Account.id == Submission.account_id)
        .where(
            Submission.state.in_((SubmissionState.FAILED, SubmissionState.EXPIRED)),
            Submission.ended_at > utc_now() - RECENT,
            Submission.deleted_at.is_(None),
        )
        .order_by(Submission.ended_at.desc())
        .limit(SHOWN)
    )
    found = [Failure(submission, owner) for submission, owner in session.execute(query)]
    return sorted(found, key=lambda f: (f.submission.error or {}).get("family") != "platform")


def count_states(session: Session) -> dict[SubmissionState, int]:
    """How many submissions are in each state."""
    query = select(Submission.state, func.count()).where(Submission.deleted_at.is_(None))
    return {state: count for state, count in session.execute(query.group_by(Submission.state))}


def measure_stored(session: Session, account_ids: Sequence[str] = ()) -> dict[str, Stored]:
    """What was uploaded and is kept, by account; of all that have any, without ``account_ids``."""
    query = select(
        Upload.account_id, func.coalesce(func.sum(Upload.size_bytes), 0), func.count()
    ).group_by(Upload.account_id)
    if account_ids:
        query = query.where(Upload.account_id.in_(account_ids))
    return {account: Stored(int(size), count) for account, size, count in session.execute(query)}


def cancel(session: Session, actor: str, submission_id: str) -> Submission:
    """Cancel anybody's submission; the deed is recorded. Raises what ``cancel_submission`` does."""
    submission = session.get(Submission, submission_id)
    owner_id = submission.account_id if submission is not None else actor
    submission = service.cancel_submission(session, owner_id, submission_id)
    audit.record(session, actor, "submission.canceled", submission_id)
    return submission
