"""Who is calling: a bearer token (RFC 6750), or the cookie of a signed-in browser.

A browser's change must come from a page of ours: ``Sec-Fetch-Site`` or ``Origin`` says so, and the
forms of an account carry a token of their session as well.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request
from fastapi.responses import Response
from fastapi.security import HTTPBearer
from sqlalchemy import update

from autodl.errors import UsageError
from service.accounts.tokens import ALL_SCOPES, Scope, find_session, find_token, read_scopes
from service.models import Account, Role, Token, utc_now

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from service.context import Context
    from service.db import Database

COOKIE = "autodl_session"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
LOGIN_LINK_SECONDS = 3600
USED_EVERY_SECONDS = 60  # how exact `last_used_at` is

_described = HTTPBearer(
    auto_error=False, description="A token of your account, or that of the data directory's file."
)


class Signer:
    """Signs and reads what browsers keep for us, for one purpose and a time."""

    def __init__(self, secret: str) -> None:
        self._key = hashlib.sha256(b"autodl session\0" + secret.encode()).digest()

    def mac(self, purpose: str, body: str) -> str:
        """A keyed digest of ``body``, in hexadecimal."""
        return hmac.new(self._key, f"{purpose}.{body}".encode(), hashlib.sha256).hexdigest()

    def sign(self, purpose: str, body: str, seconds: float) -> str:
        """A value that proves, for so many seconds, that we gave ``body`` to its holder."""
        signed = f"{int(time.time() + seconds)}.{body}"
        return f"{signed}.{self.mac(purpose, signed)}"

    def read(self, purpose: str, value: str) -> str | None:
        """What was signed, or ``None`` when it is not ours or its time is over."""
        signed, _, mac = value.rpartition(".")
        expiry, _, body = signed.partition(".")
        if not hmac.compare_digest(mac.encode(), self.mac(purpose, signed).encode()):
            return None
        return body if int(expiry) > time.time() else None


@dataclass(frozen=True)
class Caller:
    """Who calls, and what it may do."""

    account_id: str
    role: Role
    scopes: frozenset[Scope]
    session_hash: str | None = None  #: of a signed-in browser

    @property
    def is_admin(self) -> bool:
        """Whether the other accounts are its business too."""
        return self.role is Role.ADMIN and Scope.ADMIN in self.scopes

    def require(self, scope: Scope) -> None:
        """Raises ``UsageError`` (``scope-missing``)."""
        if scope not in self.scopes:
            raise UsageError(
                "scope-missing",
                f"The token may not be used for this: it lacks the scope `{scope}`.",
                hint="Make a token with that scope on the page of your account.",
            )


def identify(request: Request, _: Annotated[object, Depends(_described)] = None) -> Caller:
    """A dependency: who calls, whatever for.

    Raises ``UsageError``: ``authentication-required``, ``token-invalid``, ``account-disabled``, or
    ``cross-site-request`` when a cookie comes with a change that another site's page asked for.
    """
    with identified(request) as (_session, caller):
        return caller


def authenticate(request: Request, _: Annotated[object, Depends(_described)] = None) -> str:
    """A dependency: the id of the account that calls; a change needs the scope ``submit``.

    Raises ``UsageError`` like ``identify``, and ``scope-missing``.
    """
    with authenticated(request) as (_session, account_id):
        return account_id


@contextmanager
def identified(request: Request) -> Iterator[tuple[Session, Caller]]:
    """A session for reading, and who calls; raises like ``identify``."""
    database: Database = request.app.state.context.database
    token = None
    try:
        with database.read() as session:
            caller, token = _find_caller(request, session)
            yield session, caller
    finally:
        if token is not None:
            _note_use(database, token)


@contextmanager
def authenticated(request: Request) -> Iterator[tuple[Session, str]]:
    """A session for reading, and the account that calls; raises like ``authenticate``."""
    with identified(request) as (session, caller):
        caller.require(Scope.READ if request.method in SAFE_METHODS else Scope.SUBMIT)
        yield session, caller.account_id


def authenticate_owner(request: Request, caller: Annotated[Caller, Depends(identify)]) -> Caller:
    """A dependency, for the account's own affairs: to change them needs the scope ``admin``."""
    caller.require(Scope.READ if request.method in SAFE_METHODS else Scope.ADMIN)
    return caller


def authenticate_admin(caller: Annotated[Caller, Depends(identify)]) -> Caller:
    """A dependency: an administrator. Raises ``UsageError`` (``administrators-only``)."""
    if not caller.is_admin:
        raise UsageError(
            "administrators-only",
            "This is for administrators.",
            hint="It needs an administrator's account and, with a token, the scope `admin`.",
        )
    return caller


def _find_caller(request: Request, session: Session) -> tuple[Caller, Token | None]:
    header = request.headers.get("authorization", "")
    if not header:
        return _find_browser(request, session)
    scheme, _, credential = header.partition(" ")
    if scheme.lower() != "bearer":
        raise UsageError("token-invalid", "The service takes bearer tokens only.")
    token = find_token(session, credential.strip())
    if token is None:
        raise UsageError("token-invalid", "The token is not valid, has expired or was revoked.")
    return _describe(token.account, token), token


def _describe(account: Account, token: Token | None, session_hash: str | None = None) -> Caller:
    if account.disabled_at is not None:
        raise UsageError(
            "account-disabled", "The account was disabled.", hint="Ask the operator why."
        )
    scopes = ALL_SCOPES if token is None else read_scopes(token)
    return Caller(account.id, account.role, scopes, session_hash)


def _find_browser(request: Request, session: Session) -> tuple[Caller, Token | None]:
    cookie = read_cookie(request)
    found = find_session(session, cookie) if cookie else None
    if found is None:
        raise UsageError(
            "authentication-required",
            "This needs a token.",
            hint="Send `Authorization: Bearer TOKEN`, or sign in on the page.",
        )
    check_same_origin(request)
    row, token = found
    account = session.get_one(Account, row.account_id)
    return _describe(account, token, row.hash), token


def _note_use(database: Database, token: Token) -> None:
    used = token.last_used_at
    if used is None or (utc_now() - used).total_seconds() > USED_EVERY_SECONDS:
        with database.write() as session:
            session.execute(
                update(Token).where(Token.id == token.id).values(last_used_at=utc_now())
            )


def is_secure(request: Request) -> bool:
    """Whether browsers reach us by HTTPS, perhaps through a proxy that speaks it for us."""
    context: Context = request.app.state.context
    return (
        request.url.scheme == "https"
        or context.settings.effective_public_url.partition(":")[0] == "https"
    )


def cookie_name(request: Request, name: str = COOKIE) -> str:
    """By HTTPS the prefix ``__Host-`` ties the cookie to this host (RFC 6265bis, 4.1.3)."""
    return f"__Host-{name}" if is_secure(request) else name


def read_cookie(request: Request, name: str = COOKIE) -> str | None:
    """A cookie's value, if the browser has one."""
    return request.cookies.get(cookie_name(request, name)) or None


def set_cookie(
    request: Request, response: Response, value: str, seconds: float, name: str = COOKIE
) -> None:
    """Give the browser a cookie that no script reads and no other site's form sends."""
    response.set_cookie(
        cookie_name(request, name),
        value,
        max_age=int(seconds),
        httponly=True,
        samesite="lax",
        secure=is_secure(request),
    )


def drop_cookie(request: Request, response: Response, name: str = COOKIE) -> None:
    """Take it back."""
    response.delete_cookie(
        cookie_name(request, name), httponly=True, samesite="lax", secure=is_secure(request)
    )


def form_token(request: Request) -> str:
    """What a form of this session carries; empty where there is no session."""
    signer: Signer = request.app.state.context.signer
    cookie = read_cookie(request)
    return signer.mac("form", cookie) if cookie else ""


def check_form(request: Request, given: str) -> None:
    """Refuse a form that was not made for this session: ``UsageError`` (``cross-site-request``)."""
    check_same_origin(request)
    if not hmac.compare_digest(form_token(request).encode(), given.encode()):
        raise _cross_site()


def check_same_origin(request: Request) -> None:
    """Refuse a change that another origin's page asked a browser for (OWASP's Fetch Metadata)."""
    if request.method in SAFE_METHODS:
        return
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if not (site in ("same-origin", "none") if site else origin in _origins(request)):
        raise _cross_site()


def _cross_site() -> UsageError:
    return UsageError(
        "cross-site-request",
        "The request did not come from a page of this service.",
        hint="Use the service's own page, or a bearer token.",
    )


def _origins(request: Request) -> tuple[str, str]:
    context: Context = request.app.state.context
    own = f"{request.url.scheme}://{request.headers.get('host', '')}"
    return own, context.settings.effective_public_url
