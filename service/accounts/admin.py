"""What administrators do to accounts; each deed is written to the audit log with it."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm.attributes import flag_modified

from autodl.errors import UsageError
from service.accounts import audit, repository, tokens
from service.accounts.limits import Limits
from service.accounts.passwords import check_strength, hash_password
from service.accounts.service import check_identifier
from service.models import Account, Invitation, Role, utc_now

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from service.db import Database

CLI = "cli"


def create_account(
    database: Database, actor: str, identifier: str, password: str, role: Role
) -> Account:
    """Make an account that can sign in at once; its address counts as confirmed.

    Raises ``UsageError``: ``name-invalid``, ``name-taken`` or ``password-weak``.
    """
    name, email = check_identifier(identifier)
    check_strength(password, name)
    password_hash = hash_password(password)
    with database.write() as session:
        if repository.find_by_identifier(session, name) is not None:
            raise UsageError("name-taken", f"There is an account {name} already.")
        account = Account(name=name, email=email, password_hash=password_hash, role=role)
        account.verified_at = utc_now() if email else None
        session.add(account)
        session.flush()
        audit.record(session, actor, "account.created", account.id, role=role.value)
        return account


def change_account(
    session: Session,
    actor: str,
    account_id: str,
    *,
    role: Role | None = None,
    disabled: bool | None = None,
    weight: float | None = None,
    limits: dict[str, Any] | None = None,
) -> Account:
    """Change what is given. A disabled account's browsers are signed out.

    Raises ``UsageError``: ``account-not-found``, or ``administrator-needed`` when nobody could
    manage the accounts any more.
    """
    account = repository.get_account(session, account_id)
    before = _describe(account)
    if role is not None:
        account.role = role
    if disabled is not None:
        account.disabled_at = utc_now() if disabled else None
        tokens.end_sessions(session, account_id)
    if weight is not None:
        account.weight = weight
    if limits is not None:
        Limits.model_validate(limits)  # a ValidationError is a fault of the caller's
        account.limits = limits
        flag_modified(account, "limits")
    session.flush()
    if repository.count_administrators(session) == 0:
        raise UsageError(
            "administrator-needed",
            "Nobody could manage the accounts any more.",
            hint="Make another account an administrator first.",
        )
    after = _describe(account)
    changed = {key: [before[key], after[key]] for key in after if before[key] != after[key]}
    audit.record(session, actor, "account.changed", account_id, **changed)
    return account


def _describe(account: Account) -> dict[str, Any]:
    return {
        "role": account.role.value,
        "disabled": account.disabled_at is not None,
        "weight": account.weight,
        "limits": account.limits,
    }


def create_invitation(
    session: Session, actor: str, *, email: str | None, role: Role, days: int
) -> tuple[Invitation, str]:
    """Let one more person sign up; the invitation's text is known to nobody but the caller.

    Raises ``UsageError`` (``name-invalid``).
    """
    address = check_identifier(email, require_email=True)[1] if email else None
    secret = secrets.token_urlsafe(24)
    invitation = Invitation(
        hash=tokens.hash_secret(secret),
        email=address,
        role=role,
        created_by=None if actor == CLI else actor,
        expires_at=utc_now() + timedelta(days=days),
    )
    session.add(invitation)
    session.flush()
    audit.record(session, actor, "invitation.created", invitation.id, role=role.value)
    return invitation, secret
