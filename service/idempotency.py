"""A request that makes something makes it once, however often it is sent.

The client names the request with ``Idempotency-Key`` (IETF httpapi draft, and Stripe's rules). The
answer is kept in the transaction that made the thing, so there is never one without the other;
the same key with the same request gets the same answer, with another request it is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Depends, Header
from fastapi.responses import Response
from sqlalchemy import delete
from sqlalchemy.orm import Session

from autodl.errors import UsageError
from service.db import Database
from service.models import IdempotencyKey, Json, utc_now

KEPT_HOURS = 48
PATTERN = r"^[\x21-\x7e]{1,255}$"


@dataclass(frozen=True)
class Answer:
    """What a client is told of what it made."""

    resource_id: str
    status: int
    body: Json
    headers: dict[str, str] = field(default_factory=dict)


async def read_key(
    idempotency_key: Annotated[
        str | None,
        Header(
            pattern=PATTERN, description="Name of the request: sent again, it makes nothing new."
        ),
    ] = None,
) -> str | None:
    """A dependency: the client's name for its request."""
    return idempotency_key


KeyHeader = Annotated[str | None, Depends(read_key)]


def fingerprint(asked: Json) -> str:
    """What tells one request from another."""
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


#: account, route, and the client's name for its request
Key = tuple[str, str, str | None]


def is_known(session: Session, key: Key) -> bool:
    """Whether the request was answered before, with whatever body."""
    return None not in key and session.get(IdempotencyKey, key) is not None


def answer_once(
    database: Database,
    key: Key,
    asked: Json,
    make: Callable[[Session], Answer],
) -> Response:
    """The answer of ``make``, which runs in the transaction that keeps it; or the one kept before.

    Raises ``UsageError`` (``idempotency-key-reused``), and what ``make`` raises, which is not kept.
    """
    account_id, route, name = key
    if name is None:
        with database.write() as session:
            return _respond(make(session))
    wanted = fingerprint(asked)
    with database.read() as session:  # so that a thousand at once need no lock
        known = session.get(IdempotencyKey, (account_id, route, name))
    if known is not None:
        return _replay(known, wanted)
    with database.write() as session:
        known = session.get(IdempotencyKey, (account_id, route, name))
        if known is not None:
            return _replay(known, wanted)
        answer = make(session)
        session.add(
            IdempotencyKey(
                account_id=account_id,
                route=route,
                key=name,
                fingerprint=wanted,
                answer=asdict(answer),
                resource_id=answer.resource_id,
            )
        )
    return _respond(answer)


def forget(session: Session, resource_id: str) -> None:
    """Remove the answers that describe something which is no more."""
    session.execute(delete(IdempotencyKey).where(IdempotencyKey.resource_id == resource_id))


def forget_old(session: Session, now: datetime | None = None) -> None:
    """Remove the answers that nobody will ask for again."""
    before = (now or utc_now()) - timedelta(hours=KEPT_HOURS)
    session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < before))


def _replay(known: IdempotencyKey, wanted: str) -> Response:
    if known.fingerprint != wanted:
        raise UsageError(
            "idempotency-key-reused",
            "This Idempotency-Key has named another request before.",
            hint="Give each new request a key of its own, such as a random UUID.",
        )
    return _respond(Answer(**known.answer), replayed=True)


def _respond(answer: Answer, *, replayed: bool = False) -> Response:
    headers = answer.headers | ({"Idempotency-Replayed": "true"} if replayed else {})
    body = json.dumps(answer.body, ensure_ascii=False)
    return Response(body, answer.status, headers, media_type="application/json")
