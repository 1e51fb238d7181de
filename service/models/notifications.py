"""The tables of what is told to whom: webhooks, and the outbox that is written with the deed."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from service.models.base import Base, Json, enum_type, new_id, utc_now


class DeliveryState(StrEnum):
    """The life of a notification."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"  #: given up after its last attempt


class Webhook(Base):
    """An address of a user's that is told of events; its secret is made, never stored."""

    __tablename__ = "webhook"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    account_id: Mapped[str] = mapped_column(ForeignKey("account.id"), index=True)
    url: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    deleted_at: Mapped[datetime | None]


class Notification(Base):
    """One message to one place; its id is the webhook's message id."""

    __tablename__ = "notification"
    __table_args__ = (Index("ix_notification_state_next_attempt_at", "state", "next_attempt_at"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    account_id: Mapped[str] = mapped_column(ForeignKey("account.id"), index=True)
    #: None: an e-mail to the account.
    webhook_id: Mapped[str | None] = mapped_column(ForeignKey("webhook.id"), index=True)
    event: Mapped[str] = mapped_column(String(64))  #: ``submission.succeeded`` and the like
    payload: Mapped[Json]
    state: Mapped[DeliveryState] = mapped_column(
        enum_type(DeliveryState), default=DeliveryState.PENDING
    )
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime] = mapped_column(default=utc_now)
    last_answer: Mapped[str | None] = mapped_column(Text)  #: of the last attempt, in words
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    delivered_at: Mapped[datetime | None]
