"""The tables of what outlives a request: links that open a submission, and what was deleted."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from service.models.base import Base, new_id, utc_now


class ShareLink(Base):
    """A link that lets its holder read one submission; only its token's SHA-256 is kept."""

    __tablename__ = "share_link"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    submission_id: Mapped[str] = mapped_column(ForeignKey("submission.id"), index=True)
    hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    expires_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]


class Tombstone(Base):
    """A submission of which nothing else is left. No foreign key: an account may go too."""

    __tablename__ = "tombstone"

    submission_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    account_id: Mapped[str] = mapped_column(String(36))
    deleted_at: Mapped[datetime]
