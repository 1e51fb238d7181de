"""What bounds an account, and the refusal when a bound is reached."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from autodl.errors import UsageError

if TYPE_CHECKING:
    from service.settings import Settings


class LimitError(UsageError):
    """Too much, or too often; the same request succeeds later, or with less.

    ``retry_after_seconds`` is ``None`` where waiting alone does not help. ``extra`` are members of
    the problem, ``headers`` fields of the answer.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        hint: str = "",
        retry_after_seconds: float | None = None,
        extra: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(code, message, hint=hint)
        self.extra = extra or {}
        self.headers = dict(headers or {})
        if retry_after_seconds is not None:
            self.headers["Retry-After"] = str(max(1, math.ceil(retry_after_seconds)))


class Limits(BaseModel):
    """How much an account may use; ``None`` is no limit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    submissions_per_day: int | None = Field(default=None, ge=0)
    compute_minutes_per_day: float | None = Field(default=None, ge=0)
    stored_bytes: int | None = Field(default=None, ge=0)
    parallel_runs: int | None = Field(default=None, ge=1)

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """The operator's, for every account that has none of its own."""
        return cls(
            submissions_per_day=settings.quota_submissions_per_day,
            compute_minutes_per_day=settings.quota_compute_minutes_per_day,
            stored_bytes=settings.quota_stored_bytes,
            parallel_runs=settings.quota_parallel_runs,
        )

    def overridden(self, own: dict[str, Any]) -> Limits:
        """With an account's own: what is absent there stays as it is here."""
        return Limits.model_validate(self.model_dump() | own)


UNLIMITED = Limits()
