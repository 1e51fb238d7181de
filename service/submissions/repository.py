"""All SQL of submissions and their runs. The caller owns the transaction.

``get_current_run`` is the fence: whoever writes for a run goes through it, in the transaction
of the write, so that a run that is no longer the submission's current one changes nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Select, bindparam, func, or_, select, update
from sqlalchemy.orm import Session, defer

from autodl.errors import PlatformError, UsageError
from service.accounts import fairness
from service.accounts.tokens import hash_secret
from service.models import (
    LIVE,
    CurvePoint,
    Run,
    RunKind,
    RunState,
    Submission,
    SubmissionState,
    Tombstone,
    Transition,
)

ID = re.compile(r"[0-9a-f-]{36}")
WAITING = {RunKind.CHECK: SubmissionState.VALIDATING, RunKind.SOLVE: SubmissionState.QUEUED}


@dataclass
class Waiting:
    """What is to be known of each one of a queue that may be long."""

    id: str
    account_id: str
    budget_seconds: float
    status_reason: str


def get_submission(session: Session, account_id: str, submission_id: str) -> Submission:
    """The account's submission; somebody else's is as unknown as one that never was.

    Raises ``UsageError``: ``submission-not-found`` or ``submission-deleted``.
    """
    known = ID.fullmatch(submission_id) is not None
    submission = session.get(Submission, submission_id) if known else None
    tombstone = session.get(Tombstone, submission_id) if known and submission is None else None
    found = submission or tombstone
    if found is None or found.account_id != account_id:
        raise UsageError("submission-not-found", f"There is no submission {submission_id}.")
    if submission is None or submission.deleted_at is not None:
        raise UsageError("submission-deleted", f"The submission {submission_id} was deleted.")
    return submission


def lock_submission(session: Session, submission_id: str) -> Submission:
    """The row for a change, kept from other writers until the transaction ends."""
    return session.get_one(Submission, submission_id, with_for_update=True)


def list_submissions(
    session: Session,
    account_id: str,
    *,
    limit: int,
    before: str | None = None,
    states: Collection[SubmissionState] = (),
    name: str = "",
) -> Sequence[Submission]:
    """An account's submissions, newest first; ``before`` is the last seen id.

    Which they are is told by the index ``ix_submission_account_id_id`` alone: ids are UUIDv7 and
    sort by time.
    """
    page = select(Submission.id).where(
        Submission.account_id == account_id, Submission.deleted_at.is_(None)
    )
    if before is not None:
        page = page.where(Submission.id < before)
    if states:
        page = page.where(Submission.state.in_(states))
    if name:
        page = page.where(Submission.name.icontains(name, autoescape=True))
    ids = session.scalars(page.order_by(Submission.id.desc()).limit(limit)).all()
    query = select(Submission).where(Submission.id.in_(ids))
    return session.scalars(query.order_by(Submission.id.desc())).all()


def list_deleted(session: Session, limit: int) -> Sequence[Submission]:
    """What is out of sight, at rest, and still there."""
    query = select(Submission).where(
        Submission.deleted_at.is_not(None), Submission.ended_at.is_not(None)
    )
    return session.scalars(query.order_by(Submission.deleted_at).limit(limit)).all()


def list_outlived(session: Session, now: datetime, limit: int) -> Sequence[Submission]:
    """What has ended and was to be kept until before now."""
    query = select(Submission).where(
        Submission.retained_until < now,
        Submission.ended_at.is_not(None),
        Submission.deleted_at.is_(None),
    )
    return session.scalars(query.order_by(Submission.retained_until).limit(limit)).all()


def list_points(session: Session, run_id: str, *, after: int = -1) -> Sequence[CurvePoint]:
    """A run's points with an index above ``after``, in order."""
    query = select(CurvePoint).where(CurvePoint.run_id == run_id, CurvePoint.index > after)
    return session.scalars(query.order_by(CurvePoint.index)).all()


def list_runs(session: Session, submission_id: str) -> Sequence[Run]:
    """A submission's runs, oldest first."""
    query = select(Run).where(Run.submission_id == submission_id)
    return session.scalars(query.order_by(Run.number)).all()


def list_transitions(
    session: Session, submission_id: str, *, after: int = 0
) -> Sequence[Transition]:
    """A submission's history with an id above ``after``, in order."""
    query = select(Transition).where(
        Transition.submission_id == submission_id, Transition.id > after
    )
    return session.scalars(query.order_by(Transition.id)).all()


def list_live_runs(session: Session, states: Collection[RunState] = LIVE) -> Sequence[Run]:
    """Every run whose outcome is not recorded yet, without its spec, oldest first."""
    query = select(Run).where(Run.state.in_(states)).options(defer(Run.spec))
    return session.scalars(query.order_by(Run.id)).all()


def move_deadlines(session: Session, jump: timedelta) -> None:
    """Nobody has had less time because the clock was set, or because the machine slept."""
    for run in list_live_runs(session):
        run.deadline = run.deadline and run.deadline + jump


def note_observed(session: Session, run_ids: Collection[str], at: datetime) -> None:
    """The live ones among the runs were seen, and nothing has changed."""
    seen = update(Run).where(Run.id.in_(run_ids), Run.state.in_(LIVE)).values(observed_at=at)
    session.execute(seen, execution_options={"synchronize_session": False})


def read_ends(session: Session, run_ids: Collection[str]) -> dict[str, datetime | None]:
    """When the runs ended, of those that are known."""
    query = select(Run.id, Run.ended_at).where(Run.id.in_(run_ids))
    return {run_id: ended_at for run_id, ended_at in session.execute(query)}


def count_live_runs(session: Session, kind: RunKind) -> int:
    """How many runs of this kind are at work or about to be."""
    query = select(func.count()).select_from(Run).where(Run.state.in_(LIVE), Run.kind == kind)
    return session.scalar(query) or 0


def list_canceling(session: Session) -> Sequence[Submission]:
    """The submissions whose end was asked for and has not come yet."""
    query = select(Submission).where(
        Submission.cancel_wanted.is_(True), Submission.ended_at.is_(None)
    )
    return session.scalars(query).all()


def list_unreviewed(session: Session, now: datetime) -> Sequence[str]:
    """The ids of the submissions that were held for their owners until before now."""
    query = select(Submission.id).where(
        Submission.held_until < now, Submission.state == SubmissionState.HELD
    )
    return session.scalars(query).all()


def find_check_run(session: Session, submission_id: str) -> Run | None:
    """The run that checked the data, if one has ended well."""
    query = (
        select(Run)
        .where(Run.submission_id == submission_id, Run.kind == RunKind.CHECK)
        .where(Run.state == RunState.ENDED)
        .order_by(Run.number.desc())
    )
    return session.scalars(query.limit(1)).first()


def find_current_run(session: Session, submission: Submission) -> Run | None:
    """The only run that may write, if there has been one."""
    return session.get(Run, submission.current_run_id) if submission.current_run_id else None


def lock_run(session: Session, run_id: str) -> tuple[Submission, Run]:
    """A run and its submission, kept from other writers until the transaction ends."""
    query = select(Submission, Run).join(Run, Run.submission_id == Submission.id)
    row = session.execute(query.where(Run.id == run_id).with_for_update()).one()
    return row[0], row[1]


def list_waiting(session: Session, kind: RunKind) -> list[Waiting]:
    """The submissions that wait for a run of this kind, in the order in which they will get it."""
    rows = session.execute(_waiting(kind))
    waiting = [Waiting(i, owner, budget, why) for i, owner, budget, why in rows]
    if len(waiting) < 2:
        return waiting
    shares = fairness.read_shares(session, {w.account_id for w in waiting})
    return fairness.order(waiting, shares, kind)


def list_waiting_ids(session: Session, kind: RunKind) -> set[str]:
    """Which submissions wait for a run of this kind, for less than their order costs."""
    return set(session.scalars(_waiting(kind).with_only_columns(Submission.id)))


def list_expired(session: Session, before: datetime) -> list[str]:
    """The ids of those that wait for a run, and have waited since before then."""
    since = func.coalesce(Submission.released_at, Submission.created_at)
    return [
        row.id for kind in RunKind for row in session.execute(_waiting(kind).where(since < before))
    ]


def _waiting(kind: RunKind) -> Select[str, str, float, str]:
    return (
        select(
            Submission.id,
            Submission.account_id,
            Submission.budget_seconds,
            Submission.status_reason,
        )
        .outerjoin(Run, Run.id == Submission.current_run_id)
        .where(Submission.state == WAITING[kind], or_(Run.id.is_(None), Run.state.not_in(LIVE)))
    )


def note_reasons(session: Session, kind: RunKind, reasons: Mapping[str, str]) -> None:
    """What each of those that wait for a run of this kind waits for, in words."""
    change = (
        update(Submission)
        .where(
            Submission.id == bindparam("submission_id"),
            Submission.state == WAITING[kind],
            Submission.cancel_wanted.is_(False),
        )
        .values(status_reason=bindparam("reason"))
    )
    rows = [{"submission_id": i, "reason": reason} for i, reason in reasons.items()]
    session.connection().execute(change, rows)


def count_runs(session: Session, submission_id: str, kind: RunKind | None = None) -> int:
    """How many runs the submission has had, of one kind or of both."""
    query = select(func.count()).select_from(Run).where(Run.submission_id == submission_id)
    return session.scalar(query if kind is None else query.where(Run.kind == kind)) or 0


def make_token(secret: str, run_id: str) -> str:
    """The run's write token; made anew whenever it is needed, never stored in the database."""
    return hmac.new(secret.encode(), run_id.encode(), hashlib.sha256).hexdigest()


def get_current_run(session: Session, run_id: str, token: str) -> tuple[Submission, Run]:
    """The run and its submission, locked for a write by that run.

    Raises ``PlatformError`` (``run-superseded``) unless the token is the run's own, its outcome is
    not recorded yet, and it is still the submission's current run.
    """
    query = (
        select(Submission, Run)
        .join(Run, Submission.current_run_id == Run.id)
        .where(Run.id == run_id, Run.fence == hash_secret(token), Run.state.in_(LIVE))
        .with_for_update()
    )
    if (row := session.execute(query).first()) is None:
        raise PlatformError(
            "run-superseded", f"Run {run_id} may no longer write: it has ended or was replaced."
        )
    return row[0], row[1]
