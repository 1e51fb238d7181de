"""The tables of what is sent to us: bundles, and the keys that make sending again harmless."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from service.models.base import Base, Json, enum_type, new_id, utc_now


class UploadState(StrEnum):
    """The life of an upload; an end of it is the end of its row."""

    OPEN = "open"  #: parts are being sent
    COMPLETE = "complete"  #: one object, its SHA-256 verified


class Upload(Base):
    """A bundle's bytes in the store. Several submissions of one account may use the same."""

    __tablename__ = "upload"
    __table_args__ = (
        Index("ix_upload_account_id_sha256", "account_id", "sha256"),
        Index("ix_upload_state_expires_at", "state", "expires_at"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    account_id: Mapped[str] = mapped_column(ForeignKey("account.id"))
    name: Mapped[str]
    state: Mapped[UploadState] = mapped_column(enum_type(UploadState))
    key: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str | None] = mapped_column(String(64))  #: declared; of a complete one, verified
    part_bytes: Mapped[int] = mapped_column(BigInteger)
    multipart_id: Mapped[str | None] = mapped_column(String(1024))  #: the store's own name for it
    traceparent: Mapped[str | None] = mapped_column(String(55))  #: of the request that sent it
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    completed_at: Mapped[datetime | None]
    #: From then on it is collected, unless a submission uses it.
    expires_at: Mapped[datetime]


class IdempotencyKey(Base):
    """The answer to a request that made something, kept in the transaction that made it."""

    __tablename__ = "idempotency_key"

    account_id: Mapped[str] = mapped_column(ForeignKey("account.id"), primary_key=True)
    route: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))  #: SHA-256 of what was asked for
    answer: Mapped[Json]  #: status, headers, body
    resource_id: Mapped[str] = mapped_column(String(36), index=True)  #: what was made
    created_at: Mapped[datetime] = mapped_column(default=utc_now, index=True)
