"""The outbox: what is to be told is written in the transaction of the deed, and delivered later.

So nothing is told that was rolled back, and nothing is forgotten that was committed. A row names a
submission and holds nothing of it, so that nothing outlives the submission's deletion.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from service.models import (
    Account,
    DeliveryState,
    Json,
    Notification,
    Submission,
    SubmissionState,
    Webhook,
    utc_now,
)

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

S = SubmissionState
KEPT_DAYS = 30  # the log of what was delivered
#: who cancels knows it
MAILED = frozenset({S.SUCCEEDED, S.REJECTED, S.FAILED, S.EXPIRED})


def enqueue_mail(session: Session, account_id: str, event: str, to: str, **values: str) -> None:
    """Send a mail to an address; ``event`` names its template."""
    payload: Json = {"to": to, **values}
    session.add(Notification(account_id=account_id, event=event, payload=payload))


def enqueue_webhook(session: Session, webhook: Webhook, event: str, data: Json) -> Notification:
    """Send an event to a webhook."""
    notification = Notification(
        account_id=webhook.account_id, webhook_id=webhook.id, event=event, payload=data
    )
    session.add(notification)
    return notification


def announce_end(session: Session, submission: Submission) -> None:
    """The submission has ended: tell whoever wants to know."""
    account = session.get_one(Account, submission.account_id)
    event = f"submission.{submission.state.value}"
    wanted = account.wants_mail if submission.notify is None else submission.notify
    if account.email and account.verified_at and wanted and submission.state in MAILED:
        enqueue_mail(session, account.id, event, account.email, submission_id=submission.id)
    for webhook in list_webhooks(session, account.id):
        enqueue_webhook(session, webhook, event, {"submission_id": submission.id})


def describe_end(submission: Submission) -> Json:
    """What a webhook is told of an ended submission; the rest it may fetch."""
    return {
        "id": submission.id,
        "name": submission.name,
        "state": submission.state.value,
        "status_reason": submission.status_reason,
        "href": f"/v1/submissions/{submission.id}",
    }


def purge(session: Session) -> None:
    """Forget what was delivered, or given up, long enough ago."""
    before = utc_now() - timedelta(days=KEPT_DAYS)
    over = Notification.state != DeliveryState.PENDING
    session.execute(delete(Notification).where(over, Notification.created_at < before))


def list_webhooks(session: Session, account_id: str) -> list[Webhook]:
    """The account's webhooks, oldest first."""
    query = select(Webhook).where(Webhook.account_id == account_id, Webhook.deleted_at.is_(None))
    return list(session.scalars(query.order_by(Webhook.id)))
