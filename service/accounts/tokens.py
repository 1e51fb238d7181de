"""What opens an account: bearer tokens, browser sessions, one-time links.

A bearer token is ``adl_``, 30 random characters and a six-character CRC-32 of what precedes it, so
that secret scanners know one and a typing error needs no look-up. Of every secret the database
keeps the SHA-256 only; one round is enough for 178 random bits.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
import zlib
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, or_, select, update

from autodl.errors import UsageError
from service.models import Account, BrowserSession, OneTimeToken, Purpose, Role, Token, utc_now
from service.settings import read_or_make

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy.orm import Session

    from service.db import Database

ALPHABET = string.digits + string.ascii_letters
TOKEN = re.compile(r"adl_[0-9A-Za-z]{36}")
LOCAL_ACCOUNT = "local"
MAX_TOKENS = 100  # live ones of an account
ONE_TIME_SECONDS = {Purpose.VERIFY: 2 * 86400, Purpose.RESET: 3600}


class Scope(StrEnum):
    """What a token may be used for."""

    READ = "read"
    SUBMIT = "submit"  #: everything that changes submissions and uploads
    ADMIN = "admin"  #: the account itself; of an administrator's, all others too


ALL_SCOPES = frozenset(Scope)


def hash_secret(secret: str) -> str:
    """What the database keeps of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


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


def read_scopes(token: Token) -> frozenset[Scope]:
    """What the token may be used for; words that are no scope of ours are nothing."""
    return frozenset(Scope(word) for word in token.scopes.split() if word in set(Scope))


def add_token(
    session: Session,
    account_id: str,
    secret: str,
    *,
    name: str = "",
    scopes: Collection[Scope] = ALL_SCOPES,
    expires_at: datetime | None = None,
) -> Token:
    """Let the secret open the account."""
    token = Token(
        account_id=account_id,
        name=name,
        prefix=secret[:8],
        hash=hash_secret(secret),
        scopes=" ".join(sorted(scopes)),
        expires_at=expires_at,
    )
    session.add(token)
    session.flush()
    return token


def create_token(
    session: Session,
    account_id: str,
    *,
    name: str,
    scopes: Collection[Scope],
    expires_at: datetime | None,
) -> tuple[Token, str]:
    """A further token; its text is known to nobody from here on but the caller.

    Raises ``UsageError`` (``tokens-too-many``).
    """
    if len(list_tokens(session, account_id)) >= MAX_TOKENS:
        raise UsageError(
            "tokens-too-many",
            f"An account has at most {MAX_TOKENS} tokens.",
            hint="Revoke those that are no longer used.",
        )
    secret = make_token()
    return add_token(
        session, account_id, secret, name=name, scopes=scopes, expires_at=expires_at
    ), secret


def list_tokens(session: Session, account_id: str) -> list[Token]:
    """The account's tokens that open something, newest first."""
    query = select(Token).where(Token.account_id == account_id, *_live_tokens())
    return list(session.scalars(query.order_by(Token.id.desc())))


def revoke_token(session: Session, account_id: str, token_id: str) -> None:
    """The token, and every session it opened, opens nothing any more.

    Raises ``UsageError`` (``token-unknown``), also for another account's.
    """
    token = session.get(Token, token_id)
    if token is None or token.account_id != account_id or token.revoked_at is not None:
        raise UsageError("token-unknown", f"There is no token {token_id}.")
    token.revoked_at = utc_now()


def revoke_all(session: Session, account_id: str) -> None:
    """Whatever has opened the account until now does so no longer."""
    live = update(Token).where(Token.account_id == account_id, Token.revoked_at.is_(None))
    session.execute(live.values(revoked_at=utc_now()))
    end_sessions(session, account_id)


def find_token(session: Session, secret: str) -> Token | None:
    """The live row of a token, if it is one of ours."""
    if not is_token(secret):
        return None
    row = session.scalar(_FIND_TOKEN, {"hash": hash_secret(secret), "now": utc_now()})
    # The search was by the hash; this comparison takes the same time wherever they differ.
    if row is None or not hmac.compare_digest(row.hash, hash_secret(secret)):
        return None
    return row


def _live_tokens(now: Any = None) -> tuple:  # type: ignore[type-arg]
    in_time = or_(
        Token.expires_at.is_(None), Token.expires_at > (utc_now() if now is None else now)
    )
    return Token.revoked_at.is_(None), in_time


#: made once, for each request asks it
_FIND_TOKEN = select(Token).where(
    Token.hash == bindparam("hash"), *_live_tokens(bindparam("now", type_=Token.expires_at.type))
)


def create_session(
    session: Session, account_id: str, seconds: float, token_id: str | None = None
) -> str:
    """Sign a browser in; returns the cookie's value. Sessions that are over are forgotten."""
    session.execute(delete(BrowserSession).where(BrowserSession.expires_at < utc_now()))
    secret = secrets.token_urlsafe(32)
    session.add(
        BrowserSession(
            hash=hash_secret(secret),
            account_id=account_id,
            token_id=token_id,
            expires_at=utc_now() + timedelta(seconds=seconds),
        )
    )
    return secret


def find_session(session: Session, secret: str) -> tuple[BrowserSession, Token | None] | None:
    """The session that a cookie's value stands for, and the token that opened it."""
    row = session.get(BrowserSession, hash_secret(secret))
    if row is None or row.expires_at <= utc_now():
        return None
    if row.token_id is None:
        return row, None
    token = session.scalar(select(Token).where(Token.id == row.token_id, *_live_tokens()))
    return None if token is None else (row, token)


def end_sessions(session: Session, account_id: str, *, but: str | None = None) -> None:
    """Sign every browser of the account out, but for the session with that hash."""
    others = delete(BrowserSession).where(BrowserSession.account_id == account_id)
    session.execute(others if but is None else others.where(BrowserSession.hash != but))


def end_session(session: Session, secret: str) -> None:
    """Sign this browser out."""
    session.execute(delete(BrowserSession).where(BrowserSession.hash == hash_secret(secret)))


def create_one_time(session: Session, account_id: str, purpose: Purpose, email: str) -> str:
    """A token to be sent to an address; earlier ones of the purpose open nothing any more."""
    session.execute(
        delete(OneTimeToken).where(
            OneTimeToken.account_id == account_id, OneTimeToken.purpose == purpose
        )
    )
    secret = secrets.token_urlsafe(32)
    session.add(
        OneTimeToken(
            hash=hash_secret(secret),
            account_id=account_id,
            purpose=purpose,
            email=email,
            expires_at=utc_now() + timedelta(seconds=ONE_TIME_SECONDS[purpose]),
        )
    )
    return secret


def get_one_time(session: Session, secret: str, purpose: Purpose) -> OneTimeToken:
    """What a link opens.

    Raises ``UsageError`` (``link-invalid``) when it was used, has expired, or never was one.
    """
    row = session.get(OneTimeToken, hash_secret(secret))
    usable = row is not None and row.purpose is purpose and row.used_at is None
    if row is None or not usable or row.expires_at <= utc_now():
        raise UsageError(
            "link-invalid",
            "The link was used already, or its time is over.",
            hint="Ask for a new one.",
        )
    return row


def use_one_time(session: Session, secret: str, purpose: Purpose) -> OneTimeToken:
    """Take what a link opens, once; raises like ``get_one_time``."""
    row = get_one_time(session, secret, purpose)
    row.used_at = utc_now()
    return row


def ensure_local_token(database: Database, path: Path) -> str:
    """The token of this installation's own account, read from or written to ``path`` (mode 0600).

    The file is the truth: whoever removes it gets a new token at the next start, and the old one is
    revoked. Raises ``UsageError`` (``token-file-invalid``) when the file holds something else.
    """
    secret = read_or_make(path, make_token)
    if not is_token(secret):
        raise UsageError(
            "token-file-invalid",
            "The token file does not hold a token.",
            hint="Remove it: a new one is made at the next start.",
            file=str(path),
        )
    with database.write() as session:
        account = session.scalar(select(Account).where(Account.name == LOCAL_ACCOUNT))
        if account is None:
            account = Account(name=LOCAL_ACCOUNT, role=Role.ADMIN)
            session.add(account)
            session.flush()
        if session.scalar(select(Token).where(Token.hash == hash_secret(secret))) is None:
            revoke_all(session, account.id)
            add_token(session, account.id, secret, name="of this machine")
    return secret
