"""The log of what administrators did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.models import AuditEntry


def record(session: Session, actor: str, action: str, target: str | None, **detail: Any) -> None:
    """Append what an administrator does, in the transaction of the deed.

    ``actor`` is an account's id, or ``cli`` for whoever may read the data directory.
    """
    session.add(AuditEntry(actor=actor, action=action, target=target, detail=detail))


def list_audit(session: Session, *, limit: int, before: int | None = None) -> Sequence[AuditEntry]:
    """The log, newest first, below the id ``before``."""
    query = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit)
    return session.scalars(query if before is None else query.where(AuditEntry.id < before)).all()
