"""The typed client of the service: what ``autodl`` uses, and yours to use alone.

from pathlib import Path
from client import Client

with Client("http://127.0.0.1:8000", token) as service:
    submission = service.submit(Path("bundle.zip"), budget_seconds=60)
    submission.show()  # draws the live curve in a notebook
    for event in service.events(submission.id):
        print(event.kind, event.data)
    service.download(submission.id, "predictions.csv", Path("predictions.csv"))

``AsyncClient`` has the same methods as coroutines.
"""

from client.aio import AsyncClient
from client.client import DEFAULT_URL, Client
from client.errors import (
    AuthenticationError,
    QuotaError,
    RefusedError,
    ServiceError,
    TransientError,
)
from client.records import (
    Allowance,
    Event,
    Failure,
    Page,
    Place,
    Point,
    Queue,
    Quota,
    Result,
    Share,
    Submission,
    Webhook,
)

__all__ = [
    "DEFAULT_URL",
    "Allowance",
    "AsyncClient",
    "AuthenticationError",
    "Client",
    "Event",
    "Failure",
    "Page",
    "Place",
    "Point",
    "Queue",
    "Quota",
    "QuotaError",
    "RefusedError",
    "Result",
    "ServiceError",
    "Share",
    "Submission",
    "TransientError",
    "Webhook",
]
