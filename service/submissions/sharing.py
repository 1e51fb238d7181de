"""Links that let whoever holds them read one submission, until they expire or are revoked.

A link's token is ``adlshare_`` and 256 random bits; the database keeps its SHA-256 only.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from autodl.errors import UsageError
from service.accounts.tokens import hash_secret
from service.models import ShareLink, utc_now

PREFIX = "adlshare_"
TOKEN = re.compile(PREFIX + r"[A-Za-z0-9_-]{43}")
DEFAULT_SECONDS = 7 * 86400.0
MAX_SECONDS = 366 * 86400.0
MAX_LINKS = 100  # of one submission
USED_EVERY = timedelta(minutes=1)  # how exact `last_used_at` is


def create_link(session: Session, submission_id: str, seconds: float) -> tuple[ShareLink, str]:
    """A new link and its token, which nobody can find out again.

    Raises ``UsageError`` (``share-links-too-many``).
    """
    if len(list_links(session, submission_id)) >= MAX_LINKS:
        raise UsageError(
            "share-links-too-many",
            f"The submission has {MAX_LINKS} links.",
            hint="Revoke those that are no longer needed.",
        )
    token = PREFIX + secrets.token_urlsafe(32)
    link = ShareLink(
        submission_id=submission_id,
        hash=hash_secret(token),
        expires_at=utc_now() + timedelta(seconds=seconds),
    )
    session.add(link)
    session.flush()
    return link, token


def list_links(session: Session, submission_id: str) -> Sequence[ShareLink]:
    """The links that are good now, oldest first."""
    query = select(ShareLink).where(
        ShareLink.submission_id == submission_id, ShareLink.expires_at > utc_now()
    )
    return session.scalars(query.order_by(ShareLink.id)).all()


def revoke_link(session: Session, submission_id: str, link_id: str) -> None:
    """The link opens nothing any more; ``UsageError`` (``share-link-not-found``)."""
    for link in list_links(session, submission_id):
        if link.id == link_id:
            session.delete(link)
            return
    raise UsageError("share-link-not-found", "The submission has no such link.")


def find_link(session: Session, token: str) -> ShareLink | None:
    """The link of that token, if it is good now."""
    if not TOKEN.fullmatch(token):
        return None
    query = select(ShareLink).where(ShareLink.hash == hash_secret(token))
    link = session.scalar(query.where(ShareLink.expires_at > utc_now()))
    return link


def note_used(session: Session, link: ShareLink) -> None:
    """Remember that somebody has used it."""
    if link.last_used_at is None or utc_now() - link.last_used_at > USED_EVERY:
        session.merge(link).last_used_at = utc_now()
