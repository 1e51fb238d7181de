"""What a user asks for: found to be possible, and with the defaults filled in."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from autodl.errors import UsageError
from service.accounts.limits import UNLIMITED, Limits
from service.executors.base import Source
from service.models import utc_now

if TYPE_CHECKING:
    from service.settings import Settings

MAX_NAME_CHARACTERS = 200


@dataclass(frozen=True)
class Request:
    """What a user asks for, found to be possible."""

    name: str
    budget_seconds: float
    solution: str
    limits: Limits = UNLIMITED  #: the operator's
    retained_until: datetime | None = None
    source: Source = field(default_factory=Source)
    review_seconds: float | None = None  #: None: it runs as soon as it can
    notify: bool | None = None  #: by mail; None: as the account has it


def check_request(
    settings: Settings,
    *,
    name: str | None = None,
    budget_seconds: float | None = None,
    solution: str | None = None,
    source: Source | None = None,
    review: bool = False,
    notify: bool | None = None,
) -> Request:
    """The request with defaults filled in; to be called before its bytes are stored.

    Raises ``UsageError``: ``submission-name-invalid``, ``budget-out-of-range`` or
    ``solution-unknown``.
    """
    name = " ".join((name or "").split()) or "dataset"
    if len(name) > MAX_NAME_CHARACTERS or not name.isprintable():
        raise UsageError(
            "submission-name-invalid",
            f"A name has at most {MAX_NAME_CHARACTERS} printable characters.",
        )
    budget = settings.default_budget_seconds if budget_seconds is None else budget_seconds
    if not 1 <= budget <= settings.max_budget_seconds:
        raise UsageError(
            "budget-out-of-range",
            f"The budget must be from 1 to {settings.max_budget_seconds:g} seconds.",
        )
    solution = solution or "winner"
    settings.get_solution(solution)
    until = utc_now() + timedelta(seconds=settings.retention_seconds)
    return Request(
        name,
        budget,
        solution,
        Limits.of(settings),
        until,
        source or Source(),
        settings.review_seconds if review else None,
        notify,
    )
