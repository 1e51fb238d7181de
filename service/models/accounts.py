"""The tables of who may do what: accounts, what opens them, and what administrators did."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from service.models.base import Base, Json, enum_type, new_id, utc_now

SECRET_HASH = String(64)  # a SHA-256 in hexadecimal


class Role(StrEnum):
    """What an account may do beyond its own affairs."""

    MEMBER = "member"
    ADMIN = "admin"  #: manages accounts, quotas and the queue


class Purpose(StrEnum):
    """What a one-time token is good for."""

    VERIFY = "verify"  #: shows that its holder reads the mail of an address
    RESET = "reset"  #: sets a new password
    LOGIN = "login"  #: the link that ``autodl serve`` prints


class Account(Base):
    """Who submits."""

    __tablename__ = "account"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(unique=True)  #: a pseudonym, or the e-mail address
    email: Mapped[str | None] = mapped_column(String(254), index=True, unique=True)
    verified_at: Mapped[datetime | None]  #: when ``email`` was found to be theirs
    password_hash: Mapped[str | None]  #: argon2id in PHC's form; None: no sign-in by password
    oidc_subject: Mapped[str | None] = mapped_column(String(300), index=True, unique=True)
    role: Mapped[Role] = mapped_column(enum_type(Role), default=Role.MEMBER)
    locale: Mapped[str] = mapped_column(String(16), default="en")
    wants_mail: Mapped[bool] = mapped_column(default=True)  #: when a submission has ended
    #: Instead of the operator's, see ``accounts/quotas.py``: absent is theirs, null is no limit.
    limits: Mapped[Json] = mapped_column(default=dict)
    #: Of fair queueing, see ``accounts/fairness.py``: weight, and virtual seconds.
    weight: Mapped[float] = mapped_column(default=1.0)
    fair_tag: Mapped[float] = mapped_column(default=0.0)
    fair_clock: Mapped[float] = mapped_column(default=0.0, index=True)
    disabled_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class Token(Base):
    """A bearer token of an account; only its SHA-256 is kept."""

    __tablename__ = "token"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    account_id: Mapped[str] = mapped_column(ForeignKey("account.id"), index=True)
    name: Mapped[str] = mapped_column(String(100), default="")
    prefix: Mapped[str] = mapped_column(String(16))
    hash: Mapped[str] = mapped_column(SECRET_HASH, unique=True)
    scopes: Mapped[str] = mapped_column(default="read submit")  #: words, as in RFC 6749
    expires_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    #: read with it, for each request asks for both
    account: Mapped[Account] = relationship(lazy="joined", innerjoin=True)


class BrowserSession(Base):
    """A signed-in browser; its cookie holds what is hashed here."""

    __tablename__ = "browser_session"

    hash: Mapped[str] = mapped_column(SECRET_HASH, primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("account.id"), index=True)
    #: The token that opened it, where one did: the session has its scopes and ends with it.
    token_id: Mapped[str | None] = mapped_column(ForeignKey("token.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    expires_at: Mapped[datetime]


class OneTimeToken(Base):
    """A link in a mail, or of the service's start; it opens one thing, once."""

    __tablename__ = "one_time_token"

    hash: Mapped[str] = mapped_column(SECRET_HASH, primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("account.id"), index=True)
    purpose: Mapped[Purpose] = mapped_column(enum_type(Purpose))
    email: Mapped[str | None] = mapped_column(String(254))  #: where it was sent
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class Invitation(Base):
    """Lets one person sign up where registration is not open."""

    __tablename__ = "invitation"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    hash: Mapped[str] = mapped_column(SECRET_HASH, unique=True)
    email: Mapped[str | None] = mapped_column(String(254))  #: for this address only
    role: Mapped[Role] = mapped_column(enum_type(Role), default=Role.MEMBER)
    created_by: Mapped[str | None] = mapped_column(ForeignKey("account.id"))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    expires_at: Mapped[datetime]
    used_by: Mapped[str | None] = mapped_column(ForeignKey("account.id"))
    used_at: Mapped[datetime | None]


class AuditEntry(Base):
    """What an administrator did; written with the deed, never changed."""

    __tablename__ = "audit_entry"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(default=utc_now)
    actor: Mapped[str] = mapped_column(String(64))  #: an account's id, or ``cli``
    action: Mapped[str] = mapped_column(String(64))
    target: Mapped[str | None] = mapped_column(Text)
    detail: Mapped[Json] = mapped_column(default=dict)
