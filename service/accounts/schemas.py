"""What the API says of accounts, and what it takes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, field_validator

from service.accounts.limits import Limits
from service.accounts.quotas import Usage, next_day
from service.accounts.tokens import Scope, read_scopes
from service.models import Account, Role, Token, utc_now


class View(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(from_attributes=True)


class Change(BaseModel):
    """A part of a request: what it does not know it refuses."""

    model_config = ConfigDict(extra="forbid")


class AccountView(View):
    """Who is calling, or who is asked about."""

    id: str
    name: str
    email: str | None
    verified_at: datetime | None = Field(description="when the address was confirmed")
    role: Role
    locale: str
    wants_mail: bool = Field(description="whether a mail tells that a submission has ended")
    created_at: datetime


class AccountChange(Change):
    """What an account may change of itself; what is left out stays."""

    locale: Literal["en", "fr", "zh-Hans"] | None = None
    wants_mail: StrictBool | None = None


class TokenView(View):
    """A token, without what opens anything."""

    id: str
    name: str
    prefix: str = Field(description="its first characters")
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="to the minute")


class NewTokenView(TokenView):
    """A token that was just made."""

    token: str = Field(description="shown this once, and kept nowhere")


class TokenList(View):
    """The tokens that open something, newest first."""

    items: list[TokenView]


class TokenRequest(Change):
    """The token that is wanted."""

    name: str = Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")
    scopes: list[Scope] = Field(default=[Scope.READ, Scope.SUBMIT], min_length=1, max_length=3)
    expires_in_days: int | None = Field(
        default=90, ge=1, le=3660, description="null: never, until it is revoked"
    )

    @property
    def expires_at(self) -> datetime | None:
        """The moment, counted from now."""
        days = self.expires_in_days
        return None if days is None else utc_now() + timedelta(days=days)


class QuotaItem(View):
    """One quota."""

    used: float
    limit: float | None = Field(description="null: no limit")
    left: float | None = Field(description="null: no limit")


class QuotaView(View):
    """What an account may use, and what it has used."""

    submissions_per_day: QuotaItem = Field(description="what was refunded does not count")
    compute_minutes_per_day: QuotaItem = Field(description="what runs now counts in full")
    stored_bytes: QuotaItem
    parallel_runs: QuotaItem
    resets_at: datetime = Field(description="when a day's numbers begin anew")


class AdminAccountView(AccountView):
    """An account as administrators see it."""

    disabled_at: datetime | None
    limits: dict[str, Any] = Field(description="its own; what is absent is the operator's")
    weight: float = Field(description="of its share of the slots")
    quota: QuotaView | None = None


class AdminAccountPage(View):
    """Accounts, oldest first."""

    items: list[AdminAccountView]
    next_cursor: str | None


class AdminAccountChange(Change):
    """What administrators change of an account; what is left out stays."""

    role: Role | None = None
    disabled: StrictBool | None = None
    weight: float | None = Field(default=None, gt=0, le=1000)
    limits: dict[str, float | None] | None = Field(
        default=None, description="all of its own limits anew: null is no limit, absent the default"
    )

    @field_validator("limits")
    @classmethod
    def _check_limits(cls, value: dict[str, float | None] | None) -> dict[str, Any] | None:
        """The same, as ``Limits`` understands it."""
        if value is None:
            return None
        return Limits.model_validate(value).model_dump(include=set(value))


class InvitationRequest(Change):
    """Whom to invite."""

    email: str | None = Field(default=None, max_length=254, description="for this address only")
    role: Role = Role.MEMBER
    expires_in_days: int = Field(default=14, ge=1, le=365)


class InvitationView(View):
    """An invitation that was just made."""

    id: str
    email: str | None
    role: Role
    expires_at: datetime
    url: str = Field(description="shown this once, and kept nowhere")


class AuditView(View):
    """What an administrator did."""

    id: int
    at: datetime
    actor: str = Field(description="an account's id, or `cli`")
    action: str
    target: str | None
    detail: dict[str, Any]


class AuditPage(View):
    """The audit log, newest first."""

    items: list[AuditView]
    next_cursor: str | None


def describe_token(token: Token) -> TokenView:
    """The row as the API shows it."""
    return TokenView(
        id=token.id,
        name=token.name,
        prefix=token.prefix,
        scopes=sorted(read_scopes(token)),
        created_at=token.created_at,
        expires_at=token.expires_at,
        last_used_at=token.last_used_at,
    )


def describe_quota(limits: Limits, used: Usage) -> QuotaView:
    """Limits and use side by side."""

    def item(limit: float | None, used: float) -> QuotaItem:
        left = None if limit is None else max(0, limit - used)
        return QuotaItem(used=used, limit=limit, left=left)

    return QuotaView(
        submissions_per_day=item(limits.submissions_per_day, used.submissions),
        compute_minutes_per_day=item(limits.compute_minutes_per_day, used.compute_seconds / 60),
        stored_bytes=item(limits.stored_bytes, used.stored_bytes),
        parallel_runs=item(limits.parallel_runs, used.parallel_runs),
        resets_at=next_day(),
    )


def describe_for_admin(account: Account, quota: QuotaView | None = None) -> AdminAccountView:
    """The row as administrators see it."""
    view = AdminAccountView.model_validate(account)
    return view.model_copy(update={"quota": quota})
