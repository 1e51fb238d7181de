"""All SQL of uploads. The caller owns the transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from autodl.errors import UsageError
from service.models import Submission, Upload, UploadState


def get_upload(session: Session, account_id: str, upload_id: str) -> Upload:
    """The account's upload; ``UsageError`` (``upload-not-found``) for anyone else's too."""
    query = select(Upload).where(Upload.id == upload_id, Upload.account_id == account_id)
    upload = session.scalar(query) if upload_id.isascii() and upload_id.isprintable() else None
    if upload is None:
        raise UsageError(
            "upload-not-found",
            f"There is no upload {upload_id}.",
            hint="It may have been left alone for too long: begin a new one.",
        )
    return upload


def find_upload(session: Session, upload_id: str) -> Upload | None:
    """The upload, whoever's it is."""
    return session.get(Upload, upload_id)


def find_content(
    session: Session,
    account_id: str,
    sha256: str,
    size_bytes: int,
    state: UploadState = UploadState.COMPLETE,
) -> Upload | None:
    """What the account has sent before, or has begun to send, with just this content."""
    query = select(Upload).where(
        Upload.account_id == account_id,
        Upload.sha256 == sha256,
        Upload.size_bytes == size_bytes,
        Upload.state == state,
    )
    return session.scalar(query.order_by(Upload.id).limit(1))


def count_open(session: Session, account_id: str) -> int:
    """How many uploads the account has begun and not completed."""
    query = select(func.count()).select_from(Upload)
    query = query.where(Upload.account_id == account_id, Upload.state == UploadState.OPEN)
    return session.scalar(query) or 0


def is_used(session: Session, upload_id: str) -> bool:
    """Whether a submission has its data from there."""
    return bool(session.scalar(select(exists().where(Submission.upload_id == upload_id))))


def list_expired(session: Session, now: datetime, limit: int) -> Sequence[Upload]:
    """What nobody has completed in time, and what no submission uses any more."""
    used = exists().where(Submission.upload_id == Upload.id)
    query = select(Upload).where(Upload.expires_at < now, ~used)
    return session.scalars(query.order_by(Upload.expires_at).limit(limit)).all()


def list_known_keys(session: Session, keys: Sequence[str]) -> set[str]:
    """Which of these keys an upload has its bytes under."""
    return set(session.scalars(select(Upload.key).where(Upload.key.in_(keys))))


def is_key_used(session: Session, key: str) -> bool:
    """Whether an upload has its bytes under this key: two of the same content share one."""
    return bool(session.scalar(select(exists().where(Upload.key == key))))
