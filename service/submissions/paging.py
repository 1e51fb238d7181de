"""A list page by page: an opaque cursor says where the next page begins."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from autodl.errors import UsageError
from service.models import Submission
from service.submissions import repository


def list_page(
    session: Session, account_id: str, *, limit: int, cursor: str | None
) -> tuple[Sequence[Submission], str | None]:
    """Up to ``limit`` submissions, newest first, and the cursor of those that follow, if any do.

    Raises ``UsageError`` (``cursor-invalid``).
    """
    before = None if cursor is None else _read_cursor(cursor)
    found = repository.list_submissions(session, account_id, limit=limit + 1, before=before)
    return found[:limit], _write_cursor(found[limit - 1]) if len(found) > limit else None


def _write_cursor(last: Submission) -> str:
    text = f"{last.created_at.isoformat()} {last.id}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[datetime, str]:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        time, _, submission_id = text.partition(" ")
        created_at = datetime.fromisoformat(time)
        if created_at.tzinfo is None:
            raise ValueError("not one of ours")
    except (ValueError, binascii.Error) as error:
        raise UsageError(
            "cursor-invalid", "The cursor is not one that this list has given."
        ) from error
    return created_at, submission_id
