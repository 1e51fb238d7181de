"""Signing up and in, and what an account changes of itself.

Nobody learns from an answer, or from its time, whether an e-mail address has an account: what there
is to say is said in a mail to that address. Passwords are hashed outside of transactions, for
writers come one after the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from email_validator import EmailNotValidError, validate_email
from sqlalchemy import select

from autodl.errors import UsageError
from service.accounts import repository, tokens
from service.accounts.passwords import check_strength, hash_password, verify_password
from service.models import Account, Invitation, Purpose, Role, utc_now
from service.notifications.outbox import enqueue_mail

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from service.db import Database
    from service.settings import Settings

MAX_NAME_CHARACTERS = 60


def check_identifier(text: str, *, require_email: bool = False) -> tuple[str, str | None]:
    """The name of an account and its e-mail address, if that is what it is.

    Raises ``UsageError`` (``name-invalid``).
    """
    text = " ".join(text.split())
    if "@" in text:
        try:
            email = validate_email(text, check_deliverability=False).normalized.lower()
        except EmailNotValidError as error:
            raise UsageError("name-invalid", f"The e-mail address is not valid: {error}") from error
        return email, email
    if require_email:
        raise UsageError("name-invalid", "Signing up needs an e-mail address.")
    if not 1 <= len(text) <= MAX_NAME_CHARACTERS or not text.isprintable():
        raise UsageError(
            "name-invalid", f"A name has 1 to {MAX_NAME_CHARACTERS} printable characters."
        )
    return text, None


def normalize_identifier(text: str) -> str:
    """What somebody types to sign in, as it is kept."""
    text = " ".join(text.split())
    return text.lower() if "@" in text else text


def sign_up(
    database: Database,
    settings: Settings,
    identifier: str,
    password: str,
    invitation: str = "",
    locale: str = "en",
) -> str | None:
    """Make an account; its id, or ``None`` where a mail in that language says how it goes on.

    The first one becomes the administrator. Raises ``UsageError``: ``registration-closed``,
    ``invitation-invalid``, ``name-invalid``, ``name-taken`` or ``password-weak``.
    """
    if settings.registration == "closed":
        raise UsageError(
            "registration-closed",
            "One cannot sign up here.",
            hint="Ask the operator for an account.",
        )
    name, email = check_identifier(identifier, require_email=settings.require_email)
    check_strength(password, name)
    password_hash = hash_password(password)
    with database.write() as session:
        invited = _find_invitation(session, settings, invitation, email)
        existing = repository.find_by_identifier(session, name)
        if existing is not None:
            _meet_existing(session, existing)
            return None
        is_first = not repository.has_administrator(session)
        role = Role.ADMIN if is_first else (invited.role if invited else Role.MEMBER)
        account = Account(
            name=name, email=email, password_hash=password_hash, role=role, locale=locale
        )
        session.add(account)
        session.flush()
        if invited is not None:
            invited.used_by, invited.used_at = account.id, utc_now()
        if email is None:
            return account.id
        enqueue_mail(session, account.id, "account.verify", email)
        return None


def _find_invitation(
    session: Session, settings: Settings, secret: str, email: str | None
) -> Invitation | None:
    invited = repository.find_invitation(session, secret) if secret else None
    fits = invited is not None and invited.email in (None, email)
    if not fits and (secret or settings.registration == "invite"):
        raise UsageError(
            "invitation-invalid",
            "This needs an invitation, and this one was used, has expired or is for another.",
            hint="Open the link of your invitation, or ask for a new one.",
        )
    return invited


def _meet_existing(session: Session, account: Account) -> None:
    """Tell the owner of the address, and nobody else. Raises ``UsageError`` (``name-taken``)."""
    if account.email is None:
        raise UsageError("name-taken", "The name is taken.", hint="Choose another one.")
    event = "account.exists" if account.verified_at else "account.verify"
    enqueue_mail(session, account.id, event, account.email)


def sign_in(database: Database, identifier: str, password: str) -> str:
    """The id of the account that the name and the password open.

    Raises ``UsageError``: ``sign-in-failed``, or ``account-disabled``.
    """
    with database.read() as session:
        account = repository.find_by_identifier(session, normalize_identifier(identifier))
    matches, renewed = verify_password(password, account.password_hash if account else None)
    if account is None or not matches or (account.email and not account.verified_at):
        raise _failed()
    if account.disabled_at is not None:
        raise UsageError(
            "account-disabled", "The account was disabled.", hint="Ask the operator why."
        )
    if renewed is not None:
        with database.write() as session:
            session.get_one(Account, account.id).password_hash = renewed
    return account.id


def _failed() -> UsageError:
    return UsageError(
        "sign-in-failed",
        "The name or the password is wrong, or the address has not been confirmed yet.",
        hint="Confirm it with the link in the mail, or ask for a new password.",
    )


def verify_email(database: Database, secret: str, password: str) -> str:
    """The account's address is its holder's: whoever has the mail and the password.

    The password must be given because somebody else may have signed up with the address.
    Raises ``UsageError``: ``link-invalid`` or ``sign-in-failed``.
    """
    with database.read() as session:
        row = tokens.get_one_time(session, secret, Purpose.VERIFY)
        known = session.get_one(Account, row.account_id).password_hash
    if not verify_password(password, known)[0]:
        raise _failed()
    with database.write() as session:
        row = tokens.use_one_time(session, secret, Purpose.VERIFY)
        account = session.get_one(Account, row.account_id)
        taken = select(Account.id).where(Account.email == row.email, Account.id != account.id)
        if session.scalar(taken) is not None:
            raise UsageError("link-invalid", "The address belongs to another account by now.")
        if account.name == account.email:
            account.name = row.email or account.name
        account.email, account.verified_at = row.email, utc_now()
        return account.id


def request_reset(database: Database, identifier: str) -> None:
    """Send the account's address a link to set a new password; silent where there is none."""
    with database.write() as session:
        account = repository.find_by_identifier(session, normalize_identifier(identifier))
        if account is not None and account.email and account.disabled_at is None:
            enqueue_mail(session, account.id, "account.reset", account.email)


def reset_password(database: Database, secret: str, password: str) -> str:
    """Set a new password by a link from a mail, which also shows that the address is right.

    Every browser is signed out. Raises ``UsageError``: ``link-invalid`` or ``password-weak``.
    """
    with database.read() as session:
        row = tokens.get_one_time(session, secret, Purpose.RESET)
        check_strength(password, session.get_one(Account, row.account_id).name)
    password_hash = hash_password(password)
    with database.write() as session:
        row = tokens.use_one_time(session, secret, Purpose.RESET)
        account = session.get_one(Account, row.account_id)
        account.password_hash = password_hash
        if row.email == account.email:
            account.verified_at = account.verified_at or utc_now()
        tokens.end_sessions(session, account.id)
        return account.id


def change_password(
    database: Database, account_id: str, old: str, new: str, *, keep_session: str | None
) -> None:
    """Set a new password, knowing the old one; every other browser is signed out.

    Raises ``UsageError``: ``sign-in-failed`` or ``password-weak``.
    """
    with database.read() as session:
        account = repository.get_account(session, account_id)
    if not verify_password(old, account.password_hash)[0]:
        raise UsageError("sign-in-failed", "The present password is wrong.")
    check_strength(new, account.name)
    password_hash = hash_password(new)
    with database.write() as session:
        session.get_one(Account, account_id).password_hash = password_hash
        tokens.end_sessions(session, account_id, but=keep_session)


def change_email(database: Database, account_id: str, password: str, email: str) -> None:
    """Send the new address a link; it becomes the account's when that is opened.

    Raises ``UsageError``: ``sign-in-failed`` or ``name-invalid``.
    """
    _, address = check_identifier(email, require_email=True)
    with database.read() as session:
        account = repository.get_account(session, account_id)
    if not verify_password(password, account.password_hash)[0]:
        raise UsageError("sign-in-failed", "The password is wrong.")
    with database.write() as session:
        enqueue_mail(session, account_id, "account.verify", address or "")
