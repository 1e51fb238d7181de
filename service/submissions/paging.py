"""A list page by page: an opaque cursor says where the next page begins."""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Collection, Sequence

from sqlalchemy.orm import Session

from autodl.errors import UsageError
from service.models import Submission, SubmissionState
from service.submissions import repository


def list_page(
    session: Session,
    account_id: str,
    *,
    limit: int,
    cursor: str | None,
    states: Collection[SubmissionState] = (),
    name: str = "",
) -> tuple[Sequence[Submission], str | None]:
    """Up to ``limit`` submissions, newest first, and the cursor of those that follow, if any do.

    Only those in one of the states, if there are any, and with the text in their name, whatever its
    case. Raises ``UsageError`` (``cursor-invalid``).
    """
    before = None if cursor is None else _read_cursor(cursor)
    found = repository.list_submissions(
        session, account_id, limit=limit + 1, before=before, states=states, name=name
    )
    return found[:limit], _write_cursor(found[limit - 1]) if len(found) > limit else None


def _write_cursor(last: Submission) -> str:
    return base64.urlsafe_b64encode(uuid.UUID(last.id).bytes).decode().rstrip("=")


def _read_cursor(cursor: str) -> str:
    try:
        value = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        return str(uuid.UUID(bytes=value))
    except (ValueError, binascii.Error) as error:
        raise UsageError(
            "cursor-invalid", "The cursor is not one that this list has given."
        ) from error
