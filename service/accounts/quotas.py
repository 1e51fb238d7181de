"""What accounts have used, and what they may still use.

The ledger has two entries a submission. At its acceptance it *holds* the most that the submission
can cost: one submission and its budget. At its end it *settles*: what was not used comes back as a
negative entry of the same day. A day's sum is what was used of it, days are UTC's. Stored bytes are
no flow: they are counted where they lie, in the uploads, and once where two uploads share them.

Nothing is charged for what the user got nothing for: refused data, a fault of the platform, a
solution that failed before it had any, a submission that never began to learn.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from service.accounts import fairness
from service.accounts.limits import LimitError, Limits
from service.models import (
    LIVE,
    Account,
    EntryKind,
    LedgerEntry,
    Run,
    RunKind,
    Submission,
    SubmissionState,
    Upload,
    utc_now,
)

if TYPE_CHECKING:
    from fastapi import Response
    from sqlalchemy.orm import Session

    from service.context import Context

S = SubmissionState


@dataclass(frozen=True)
class Usage:
    """What counts now."""

    submissions: int  #: of today
    compute_seconds: float  #: of today; what runs now counts in full
    stored_bytes: int
    parallel_runs: int


def get_limits(session: Session, account_id: str, operators: Limits) -> Limits:
    """The account's limits: its own where it has some, else the operator's."""
    return operators.overridden(session.get_one(Account, account_id).limits)


def read_usage(session: Session, account_id: str, today: date | None = None) -> Usage:
    """What the account has used of today, and keeps at this moment."""
    of_today = select(
        func.coalesce(func.sum(LedgerEntry.submissions), 0),
        func.coalesce(func.sum(LedgerEntry.compute_milliseconds), 0),
    ).where(LedgerEntry.account_id == account_id, LedgerEntry.day == (today or utc_now().date()))
    submissions, milliseconds = session.execute(of_today).one()
    objects = select(Upload.key, Upload.size_bytes).where(Upload.account_id == account_id)
    stored = select(func.coalesce(func.sum(objects.distinct().subquery().c.size_bytes), 0))
    return Usage(
        submissions=int(submissions),
        compute_seconds=int(milliseconds) / 1000,
        stored_bytes=int(session.scalar(stored) or 0),
        parallel_runs=count_runs(session).get(account_id, 0),
    )


def count_runs(session: Session) -> dict[str, int]:
    """The runs at work, by account."""
    query = (
        select(Submission.account_id, func.count())
        .join(Run, Run.submission_id == Submission.id)  # by its key: the live runs are few
        .where(Run.state.in_(LIVE), Run.id == Submission.current_run_id)
        .group_by(Submission.account_id)
    )
    return {account_id: count for account_id, count in session.execute(query)}


def read_caps(
    session: Session, account_ids: Collection[str], operators: Limits
) -> dict[str, int | None]:
    """How many runs of each account may be at work at once; ``None`` is no limit."""
    query = select(Account.id, Account.limits).where(Account.id.in_(account_ids))
    own = {account_id: limits for account_id, limits in session.execute(query)}
    return {i: operators.overridden(limits).parallel_runs for i, limits in own.items()}


def check(
    session: Session,
    account_id: str,
    operators: Limits,
    *,
    new_bytes: int = 0,
    budget_seconds: float | None = None,
) -> None:
    """Whether the account may store so many bytes more, and submit with that budget.

    To be asked before an upload, and again in the transaction that accepts: writers come one after
    the other, so two requests at once cannot both take what is left for one. Raises ``LimitError``
    (``quota-exceeded``).
    """
    limits, used = get_limits(session, account_id, operators), read_usage(session, account_id)
    if limits.stored_bytes is not None and used.stored_bytes + new_bytes > limits.stored_bytes:
        raise _refuse(
            "stored_bytes",
            f"It would take {used.stored_bytes + new_bytes} bytes of your"
            f" {limits.stored_bytes} bytes of storage.",
            hint="Delete submissions and uploads that you no longer need.",
        )
    if limits.submissions_per_day is not None and used.submissions >= limits.submissions_per_day:
        raise _refuse(
            "submissions_per_day",
            f"You have used {used.submissions} of {limits.submissions_per_day} submissions today.",
            headers=describe_rate(limits, used),
        )
    wanted_minutes = (used.compute_seconds + (budget_seconds or 0.0)) / 60
    minutes = limits.compute_minutes_per_day
    if minutes is not None and (wanted_minutes > minutes or used.compute_seconds >= minutes * 60):
        raise _refuse(
            "compute_minutes_per_day",
            f"You have used {used.compute_seconds / 60:.1f} of {minutes:g} compute minutes today,"
            f" and this one may take {(budget_seconds or 0.0) / 60:.1f}.",
            headers=describe_rate(limits, used),
        )


def tell_rate(answer: Response, context: Context, account_id: str) -> Response:
    """The answer, with what ``describe_rate`` says of the account now."""
    with context.database.read() as session:
        limits = get_limits(session, account_id, Limits.of(context.settings))
        answer.headers.update(describe_rate(limits, read_usage(session, account_id)))
    return answer


def describe_rate(limits: Limits, used: Usage) -> dict[str, str]:
    """The day's submissions as RateLimit fields (draft-ietf-httpapi-ratelimit-headers-10)."""
    quota = limits.submissions_per_day
    if quota is None:
        return {}
    seconds = math.ceil((next_day() - utc_now()).total_seconds())
    left = max(0, quota - used.submissions)
    return {
        "RateLimit-Policy": f'"submissions";q={quota};w=86400',
        "RateLimit": f'"submissions";r={left};t={seconds}',
    }


def _refuse(
    quota: str, message: str, hint: str = "", headers: dict[str, str] | None = None
) -> LimitError:
    if hint:
        return LimitError("quota-exceeded", message, hint=hint, extra={"quota": quota})
    resets_at = next_day()
    return LimitError(
        "quota-exceeded",
        message,
        hint=f"The next day begins at {resets_at:%Y-%m-%d %H:%M} UTC.",
        retry_after_seconds=(resets_at - utc_now()).total_seconds(),
        extra={"quota": quota, "resets_at": resets_at.isoformat()},
        headers=headers,
    )


def next_day() -> datetime:
    """When today's numbers begin anew."""
    return datetime.combine(utc_now().date() + timedelta(days=1), time(), UTC)


def hold(session: Session, submission: Submission, operators: Limits) -> None:
    """Check the quota and hold what the submission may cost; in the transaction that accepts it.

    Raises ``LimitError`` (``quota-exceeded``).
    """
    check(session, submission.account_id, operators, budget_seconds=submission.budget_seconds)
    fairness.join(session, submission.account_id)
    session.add(
        LedgerEntry(
            account_id=submission.account_id,
            submission_id=submission.id,
            kind=EntryKind.HOLD,
            day=utc_now().date(),
            submissions=1,
            compute_milliseconds=_milliseconds(submission.budget_seconds),
            cause="accepted",
        )
    )


def settle(session: Session, submission: Submission) -> None:
    """Give back what was not used; in the transaction of the submission's last transition.

    A second call would break the ledger's unique constraint, and with it that transaction.
    """
    query = select(LedgerEntry).where(
        LedgerEntry.submission_id == submission.id, LedgerEntry.kind == EntryKind.HOLD
    )
    held = session.scalar(query)
    if held is None:
        return  # accepted before there was a ledger
    seconds = find_used_seconds(session, submission)
    cause = find_refund(submission, seconds)
    used = 0 if cause else min(_milliseconds(seconds), held.compute_milliseconds)
    session.add(
        LedgerEntry(
            account_id=held.account_id,
            submission_id=submission.id,
            kind=EntryKind.SETTLE,
            day=held.day,
            submissions=-1 if cause else 0,
            compute_milliseconds=used - held.compute_milliseconds,
            cause=cause or submission.state.value,
        )
    )


def find_settlement(session: Session, submission_id: str) -> LedgerEntry | None:
    """What was given back at the submission's end, and why; ``None`` before it."""
    query = select(LedgerEntry).where(
        LedgerEntry.submission_id == submission_id, LedgerEntry.kind == EntryKind.SETTLE
    )
    return session.scalar(query)


def list_entries(session: Session, account_id: str, limit: int) -> Sequence[LedgerEntry]:
    """What was used and given back, the latest first."""
    query = select(LedgerEntry).where(LedgerEntry.account_id == account_id)
    return session.scalars(query.order_by(LedgerEntry.id.desc()).limit(limit)).all()


def find_used_seconds(session: Session, submission: Submission) -> float:
    """How long the current run has worked at the solution; 0 for any that came before it."""
    run = session.get(Run, submission.current_run_id) if submission.current_run_id else None
    if run is None or run.kind is not RunKind.SOLVE or run.started_at is None:
        return 0.0
    return max(0.0, ((run.ended_at or utc_now()) - run.started_at).total_seconds())


def find_refund(submission: Submission, used_seconds: float) -> str | None:
    """Why nothing is charged for the submission, if so."""
    error = submission.error or {}
    if submission.state is S.REJECTED:
        return "the data were rejected"
    if submission.state is S.EXPIRED:
        return "it expired before it began"
    if submission.state is S.FAILED and error.get("family") == "solution":
        return "the solution failed"
    if submission.state is S.FAILED or error.get("family") == "platform":
        return "the platform failed"
    if submission.state is S.CANCELED and used_seconds == 0:
        return "canceled before it began"
    return None


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
