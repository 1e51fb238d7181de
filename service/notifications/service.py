"""What an account does with its webhooks."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from autodl.errors import UsageError
from service.models import Notification, Webhook, utc_now
from service.notifications.outbox import list_webhooks

MAX_WEBHOOKS = 10  # of an account
LISTED_DELIVERIES = 50


def create_webhook(session: Session, account_id: str, url: str) -> Webhook:
    """Tell an address that was found to be allowed; ``UsageError`` (``webhooks-too-many``)."""
    if len(list_webhooks(session, account_id)) >= MAX_WEBHOOKS:
        raise UsageError("webhooks-too-many", f"An account has at most {MAX_WEBHOOKS} webhooks.")
    webhook = Webhook(account_id=account_id, url=url)
    session.add(webhook)
    session.flush()
    return webhook


def get_webhook(session: Session, account_id: str, webhook_id: str) -> Webhook:
    """The account's webhook; ``UsageError`` (``webhook-not-found``), also for another account's."""
    webhook = session.get(Webhook, webhook_id)
    if webhook is None or webhook.account_id != account_id or webhook.deleted_at is not None:
        raise UsageError("webhook-not-found", f"There is no webhook {webhook_id}.")
    return webhook


def delete_webhook(session: Session, account_id: str, webhook_id: str) -> None:
    """Tell it no more; what has not been delivered yet is not sent either."""
    get_webhook(session, account_id, webhook_id).deleted_at = utc_now()


def list_deliveries(session: Session, webhook: Webhook) -> Sequence[Notification]:
    """The newest events that were or will be sent to it, newest first."""
    query = select(Notification).where(Notification.webhook_id == webhook.id)
    return session.scalars(query.order_by(Notification.id.desc()).limit(LISTED_DELIVERIES)).all()
