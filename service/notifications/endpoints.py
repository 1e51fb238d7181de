"""The API of webhooks."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends

from service.auth import Caller, authenticate_owner
from service.context import ContextDep
from service.errors import PROBLEMS
from service.notifications import outbox, service, webhooks
from service.notifications.schemas import (
    DeliveryList,
    DeliveryView,
    NewWebhookView,
    WebhookList,
    WebhookRequest,
    WebhookView,
)

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"], responses=PROBLEMS)
Owner = Annotated[Caller, Depends(authenticate_owner)]


@router.get("")
def list_webhooks(context: ContextDep, owner: Owner) -> WebhookList:
    """Your webhooks."""
    with context.database.read() as session:
        found = outbox.list_webhooks(session, owner.account_id)
    return WebhookList(items=[WebhookView.model_validate(w) for w in found])


@router.post("", status_code=201)
def create_webhook(context: ContextDep, owner: Owner, wanted: WebhookRequest) -> NewWebhookView:
    """Have an address told when a submission of yours has ended; the secret is shown this once."""
    asyncio.run(webhooks.resolve(wanted.url, context.settings.webhook_networks))
    with context.database.write() as session:
        webhook = service.create_webhook(session, owner.account_id, wanted.url)
    secret = webhooks.webhook_secret(context.signer, webhook.id)
    view = WebhookView.model_validate(webhook)
    return NewWebhookView(**view.model_dump(), secret=secret)


@router.delete("/{webhook_id}", status_code=204)
def delete_webhook(context: ContextDep, owner: Owner, webhook_id: str) -> None:
    """Tell it no more."""
    with context.database.write() as session:
        service.delete_webhook(session, owner.account_id, webhook_id)


@router.post("/{webhook_id}/test", status_code=202)
def test_webhook(context: ContextDep, owner: Owner, webhook_id: str) -> DeliveryView:
    """Send it an event `webhook.test`; what came of it is in the list of its deliveries."""
    with context.database.write() as session:
        webhook = service.get_webhook(session, owner.account_id, webhook_id)
        sent = outbox.enqueue_webhook(session, webhook, "webhook.test", {"webhook_id": webhook.id})
        session.flush()
        return DeliveryView.model_validate(sent)


@router.get("/{webhook_id}/deliveries")
def list_deliveries(context: ContextDep, owner: Owner, webhook_id: str) -> DeliveryList:
    """The newest events that were or will be sent to it, and what it answered."""
    with context.database.read() as session:
        webhook = service.get_webhook(session, owner.account_id, webhook_id)
        found = service.list_deliveries(session, webhook)
    return DeliveryList(items=[DeliveryView.model_validate(row) for row in found])
