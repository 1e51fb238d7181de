"""What the API says of webhooks, and what it takes."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from service.models import DeliveryState
from service.notifications.webhooks import MAX_URL_CHARACTERS


class WebhookRequest(BaseModel):
    """The address that is to be told."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(min_length=8, max_length=MAX_URL_CHARACTERS)


class WebhookView(BaseModel):
    """An address that is told when a submission has ended."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    url: str
    created_at: datetime


class NewWebhookView(WebhookView):
    """A webhook that was just made."""

    secret: str = Field(description="what its requests are signed with (Standard Webhooks)")


class WebhookList(BaseModel):
    """Your webhooks, oldest first."""

    items: list[WebhookView]


class DeliveryView(BaseModel):
    """One event to one webhook."""

    model_config = ConfigDict(from_attributes=True)

    id: str = Field(description="the request's `webhook-id`")
    event: str
    state: DeliveryState
    attempts: int
    last_answer: str | None
    created_at: datetime
    next_attempt_at: datetime
    delivered_at: datetime | None


class DeliveryList(BaseModel):
    """The newest events of a webhook, newest first."""

    items: list[DeliveryView]
