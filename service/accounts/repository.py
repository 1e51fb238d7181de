"""All SQL of accounts and invitations. The caller owns the transaction."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from autodl.errors import UsageError
from service.accounts.tokens import LOCAL_ACCOUNT, hash_secret
from service.models import Account, Invitation, Role, utc_now


def get_account(session: Session, account_id: str) -> Account:
    """The account; ``UsageError`` (``account-not-found``)."""
    account = session.get(Account, account_id)
    if account is None:
        raise UsageError("account-not-found", f"There is no account {account_id}.")
    return account


def find_by_identifier(session: Session, identifier: str) -> Account | None:
    """The account that signs in with this e-mail address or pseudonym."""
    column = Account.email if "@" in identifier else Account.name
    return session.scalar(select(Account).where(column == identifier))


def find_by_subject(session: Session, subject: str) -> Account | None:
    """The account of somebody whom the identity provider knows by this."""
    return session.scalar(select(Account).where(Account.oidc_subject == subject))


def has_administrator(session: Session) -> bool:
    """Whether anybody manages this installation, but for whoever reads its token file."""
    query = select(Account.id).where(
        Account.role == Role.ADMIN, Account.name != LOCAL_ACCOUNT, Account.disabled_at.is_(None)
    )
    return session.scalar(query.limit(1)) is not None


def count_administrators(session: Session) -> int:
    """How many accounts may manage the others."""
    query = select(func.count()).select_from(Account)
    return (
        session.scalar(query.where(Account.role == Role.ADMIN, Account.disabled_at.is_(None))) or 0
    )


def list_accounts(session: Session, *, limit: int, after: str = "") -> Sequence[Account]:
    """Accounts by id, which is by age, above ``after``."""
    query = select(Account).where(Account.id > after).order_by(Account.id)
    return session.scalars(query.limit(limit)).all()


def find_invitation(session: Session, secret: str) -> Invitation | None:
    """An invitation that can still be used."""
    row = session.scalar(select(Invitation).where(Invitation.hash == hash_secret(secret)))
    usable = row is not None and row.used_at is None and row.expires_at > utc_now()
    return row if usable else None
