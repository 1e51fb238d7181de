"""How long a submission is kept, and how it goes: first from sight, then from everywhere."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import delete, select, update

from autodl.errors import UsageError
from service import idempotency
from service.models import (
    CurvePoint,
    Publication,
    Run,
    ShareLink,
    Submission,
    Tombstone,
    Transition,
    Upload,
    utc_now,
)
from service.submissions import repository
from service.uploads import repository as uploads_repository
from service.uploads import service as uploads

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from service.settings import Settings


def first_retention(settings: Settings) -> datetime:
    """Until when a new submission is kept, if its owner says nothing else."""
    return utc_now() + timedelta(seconds=settings.retention_seconds)


def retain_until(settings: Settings, submission: Submission, until: datetime) -> None:
    """Set the day of its removal; ``UsageError`` (``retention-out-of-range``)."""
    now = utc_now()
    latest = now + timedelta(seconds=settings.max_retention_seconds)
    if not now < until <= latest:
        raise UsageError(
            "retention-out-of-range",
            f"A submission can be kept until {latest:%Y-%m-%d %H:%M} UTC at the latest.",
            hint="Give a time that is to come; to remove it now, delete it.",
        )
    submission.retained_until = until


def delete_submission(session: Session, submission: Submission) -> None:
    """Remove it from sight; what runs is canceled first, then the collector purges everything."""
    session.refresh(submission, with_for_update=True)
    submission.deleted_at = utc_now()
    if submission.ended_at is None:
        submission.cancel_wanted = True


def delete_everything(session: Session, account_id: str) -> None:
    """All submissions of an account, with what hangs on them, and all its uploads."""
    query = select(Submission).where(
        Submission.account_id == account_id, Submission.deleted_at.is_(None)
    )
    for submission in session.scalars(query).all():
        delete_submission(session, submission)
    expired = update(Upload).where(Upload.account_id == account_id).values(expires_at=utc_now())
    session.execute(expired)  # the collector removes those that no submission uses


def purge_rows(session: Session, submission: Submission) -> tuple[Upload | None, list[str]]:
    """Remove every row of a submission that has ended; a tombstone stays.

    Returns the upload that went with it, if no other submission uses it, and the keys of the store
    that nothing names any more.
    """
    run_ids = [run.id for run in repository.list_runs(session, submission.id)]
    session.execute(delete(CurvePoint).where(CurvePoint.run_id.in_(run_ids)))
    for table in (Transition, Run, ShareLink, Publication):
        session.execute(delete(table).where(table.submission_id == submission.id))
    idempotency.forget(session, submission.id)
    session.add(
        Tombstone(
            submission_id=submission.id,
            account_id=submission.account_id,
            deleted_at=submission.deleted_at or utc_now(),
        )
    )
    upload_id = submission.upload_id
    session.delete(submission)
    session.flush()
    upload = uploads_repository.find_upload(session, upload_id) if upload_id else None
    if upload is None or uploads_repository.is_used(session, upload.id):
        return None, []
    return upload, uploads.release(session, upload)
