"""How an account goes: at once and for good, with everything that is its holder's.

What stays is a row without a name, for the audit log and the tombstones of submissions name its id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, update

from autodl.errors import UsageError
from service.accounts import audit, repository
from service.accounts.tokens import LOCAL_ACCOUNT
from service.models import (
    BrowserSession,
    IdempotencyKey,
    Invitation,
    LedgerEntry,
    Notification,
    OneTimeToken,
    Role,
    Token,
    Webhook,
    utc_now,
)
from service.submissions import keeping

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

#: in this order, for some name others
OWNED = (
    BrowserSession,
    Token,
    OneTimeToken,
    Notification,
    Webhook,
    LedgerEntry,
    IdempotencyKey,
)


def remove_account(session: Session, account_id: str) -> None:
    """Submissions and uploads as ``delete_everything`` does it, then whatever tells who it was.

    Raises ``UsageError`` (``administrator-needed``) for the installation's own account, and for the
    last administrator: whoever signed up next would become one.
    """
    account = repository.get_account(session, account_id)
    if account.name == LOCAL_ACCOUNT:
        raise UsageError(
            "administrator-needed",
            "This is the installation's own account, by which its operator manages the others.",
            hint="Its data can be deleted; to be rid of it, remove the data directory.",
        )
    keeping.delete_everything(session, account_id)
    for table in OWNED:
        session.execute(delete(table).where(table.account_id == account_id))
    was_admin = account.role is Role.ADMIN
    invited = update(Invitation).where(Invitation.used_by == account_id)
    session.execute(invited.values(email=None))
    account.name = f"removed {account_id}"
    account.email = account.verified_at = account.password_hash = account.oidc_subject = None
    account.role, account.limits, account.wants_mail = Role.MEMBER, {}, False
    account.disabled_at = utc_now()
    session.flush()
    if was_admin and not repository.has_administrator(session):
        raise UsageError(
            "administrator-needed",
            "Nobody could manage the accounts any more.",
            hint="Make another account an administrator first.",
        )
    audit.record(session, account_id, "account.removed", account_id)
