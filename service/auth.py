"""Who is calling: a bearer token (RFC 6750), or the cookie that a page gets for one.

A token is ``adl_``, 30 random characters and a six-character CRC-32 of what precedes it, so that
secret scanners know one and a typing error needs no look-up. The database keeps its SHA-256 only;
one round is enough for 178 random bits.
A session is ``expiry.token id.MAC``, made with the installation's secret: it ends with its token.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPBearer
from sqlalchemy import select, update

from autodl.errors import UsageError
from service.models import Account, Token, utc_now
from service.settings import read_or_make
from service.submissions.repository import hash_token

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from service.db import Database

ALPHABET = string.digits + string.ascii_letters
TOKEN = re.compile(r"adl_[0-9A-Za-z]{36}")
COOKIE = "autodl_session"
SESSION_SECONDS = 14 * 86400
LOGIN_LINK_SECONDS = 3600
LOCAL_ACCOUNT = "local"
USED_EVERY_SECONDS = 60  # how exact `last_used_at` is

_described = HTTPBearer(auto_error=False, description="A token, as in the data directory's file.")


def _checksum(text: str) -> str:
    number = zlib.crc32(text.encode())
    digits = []
    for _ in range(6):
        number, digit = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))


def make_token() -> str:
    """A new token: 178 bits of randomness and a checksum."""
    body = "adl_" + "".join(secrets.choice(ALPHABET) for _ in range(30))
    return body + _checksum(body)


def is_token(text: str) -> bool:
    """Whether the text has a token's form and checksum; not whether it opens anything."""
    return TOKEN.fullmatch(text) is not None and _checksum(text[:-6]) == text[-6:]


def ensure_local_token(database: Database, path: Path) -> str:
    """The token of this installation's one account, read from or written to ``path`` (mode 0600).

    The file is the truth: whoever removes it gets a new token at the next start, and the old one is
    revoked. Raises ``UsageError`` (``token-file-invalid``) when the file holds something else.
    """
    token = read_or_make(path, make_token)
    if not is_token(token):
        raise UsageError(
            "token-file-invalid",
            "The token file does not hold a token.",
            hint="Remove it: a new one is made at the next start.",
            file=str(path),
        )
    with database.write() as session:
        account = session.scalar(select(Account).where(Account.name == LOCAL_ACCOUNT))
        if account is None:
            account = Account(name=LOCAL_ACCOUNT)
            session.add(account)
            session.flush()
        known = session.scalar(select(Token).where(Token.hash == hash_token(token)))
        if known is None:
            others = update(Token).where(Token.account_id == account.id, Token.revoked_at.is_(None))
            session.execute(others.values(revoked_at=utc_now()))
            session.add(Token(account_id=account.id, prefix=token[:8], hash=hash_token(token)))
    return token


def find_token(session: Session, token: str) -> Token | None:
    """The live row of a token, if it is one of ours."""
    if not is_token(token):
        return None
    row = session.scalar(select(Token).where(Token.hash == hash_token(token)))
    if row is None or row.revoked_at is not None:
        return None
    # The search was by the hash; this comparison takes the same time wherever they differ.
    return row if hmac.compare_digest(row.hash, hash_token(token)) else None


class Sessions:
    """Signs and reads what stands for a token: a page's session, and a login link."""

    def __init__(self, secret: str) -> None:
        self._key = hashlib.sha256(b"autodl session\0" + secret.encode()).digest()

    def _mac(self, purpose: str, body: str) -> str:
        return hmac.new(self._key, f"{purpose}.{body}".encode(), hashlib.sha256).hexdigest()

    def sign(self, purpose: str, token_id: str, seconds: float) -> str:
        """A value that proves, for so many seconds, that its holder had the token."""
        body = f"{int(time.time() + seconds)}.{token_id}"
        return f"{body}.{self._mac(purpose, body)}"

    def read(self, purpose: str, value: str) -> str | None:
        """The token's id, or ``None`` when the value is not ours or its time is over."""
        body, _, mac = value.rpartition(".")
        expiry, _, token_id = body.partition(".")
        if not hmac.compare_digest(mac.encode(), self._mac(purpose, body).encode()):
            return None
        return token_id if int(expiry) > time.time() else None


def authenticate(request: Request, _: Annotated[object, Depends(_described)] = None) -> str:
    """A dependency: the id of the account that calls.

    Raises ``UsageError``: ``authentication-required``, ``token-invalid``, or ``cross-site-request``
    when a cookie comes with a change that another site's page asked for.
    """
    database: Database = request.app.state.context.database
    header = request.headers.get("authorization", "")
    scheme, _, credential = header.partition(" ")
    if header and scheme.lower() != "bearer":
        raise UsageError("token-invalid", "The service takes bearer tokens only.")
    with database.read() as session:
        if header:
            token = find_token(session, credential.strip())
            if token is None:
                raise UsageError("token-invalid", "The token is not valid or was revoked.")
        else:
            token = _find_session(request, session)
        account_id, token_id, used = token.account_id, token.id, token.last_used_at
    if used is None or (utc_now() - used).total_seconds() > USED_EVERY_SECONDS:
        with database.write() as session:
            session.execute(
                update(Token).where(Token.id == token_id).values(last_used_at=utc_now())
            )
    return account_id


def _find_session(request: Request, session: Session) -> Token:
    sessions: Sessions = request.app.state.context.sessions
    token_id = sessions.read("session", request.cookies.get(COOKIE, ""))
    token = None if token_id is None else session.get(Token, token_id)
    if token is None or token.revoked_at is not None:
        raise UsageError(
            "authentication-required",
            "This needs a token.",
            hint="Send `Authorization: Bearer TOKEN`, or log in on the page.",
        )
    check_same_origin(request)
    return token


def check_same_origin(request: Request) -> None:
    """Refuse a change that another origin's page asked a browser for (OWASP's Fetch Metadata)."""
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    same = site in ("same-origin", "none") if site else origin == _origin(request)
    if not same:
        raise UsageError(
            "cross-site-request",
            "The request did not come from a page of this service.",
            hint="Use the service's own page, or a bearer token.",
        )


def _origin(request: Request) -> str:
    return f"{request.url.scheme}://{request.headers.get('host', '')}"
