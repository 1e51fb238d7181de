"""Who may read a submission: its owner, and whoever has a link to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPBearer
from sqlalchemy.orm import Session

from autodl.errors import UsageError
from service import auth
from service.context import Context, ContextDep
from service.models import Submission
from service.submissions import repository, sharing

_described = HTTPBearer(
    auto_error=False,
    scheme_name="Reader",
    description="A token of the owner's account, or of a link to the submission.",
)
Described = Annotated[object, Depends(_described)]


def cookie_name(submission_id: str) -> str:
    """Where a browser keeps the token of a link that was opened."""
    return f"autodl_share_{submission_id}"


@dataclass(frozen=True)
class Reader:
    """Somebody who may read, as long as the link is good if they have no account."""

    account_id: str | None = None
    share_token: str = ""

    def get_submission(self, session: Session, submission_id: str) -> Submission:
        """The submission; ``UsageError``: ``submission-not-found`` or ``submission-deleted``, and
        ``share-link-invalid`` when the link is for another one, has expired or was revoked.
        """
        if self.account_id is not None:
            return repository.get_submission(session, self.account_id, submission_id)
        link = sharing.find_link(session, self.share_token)
        if link is None or link.submission_id != submission_id:
            raise UsageError(
                "share-link-invalid",
                "The link does not open this, has expired or was revoked.",
                hint="Ask whoever gave it to you for a new one.",
            )
        submission = session.get_one(Submission, link.submission_id)
        return repository.get_submission(session, submission.account_id, submission_id)


def find_reader(request: Request, submission_id: str, _: Described = None) -> Reader:
    """A dependency: who reads. Of an account and a link, the account counts if it is the owner's.

    Raises ``UsageError`` like ``auth.authenticate`` where there is no link.
    """
    token = _find_link_token(request, submission_id)
    return Reader(auth.authenticate(request)) if token is None else Reader(share_token=token)


@contextmanager
def reading(
    request: Request, submission_id: str, context: Context
) -> Iterator[tuple[Session, Submission]]:
    """A session, and the submission if the sender may read it; errors of the two above."""
    token = _find_link_token(request, submission_id)
    if token is not None:
        with context.database.read() as session:
            yield session, Reader(share_token=token).get_submission(session, submission_id)
        return
    with auth.authenticated(request) as (session, account_id):
        yield session, Reader(account_id).get_submission(session, submission_id)


def _find_link_token(request: Request, submission_id: str) -> str | None:
    """The token of the link that the sender reads by; ``None`` of an account."""
    scheme, _, credential = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and credential.strip().startswith(sharing.PREFIX):
        return credential.strip()
    token = request.cookies.get(cookie_name(submission_id))
    if token is None or scheme or _is_owner(request, submission_id):
        return None
    return token


def _is_owner(request: Request, submission_id: str) -> bool:
    try:
        with auth.authenticated(request) as (session, account_id):
            Reader(account_id).get_submission(session, submission_id)
    except UsageError:
        return False
    return True


def get_submission(
    request: Request, submission_id: str, context: ContextDep, _: Described = None
) -> Submission:
    """A dependency: the submission that may be read; errors of ``reading``.

    It finds the reader itself: a dependency of its own would cost each request another thread.
    """
    with reading(request, submission_id, context) as (session, submission):
        session.refresh(submission, ["report"])  # that it is whole
        return submission


ReaderDep = Annotated[Reader, Depends(find_reader)]
Found = Annotated[Submission, Depends(get_submission)]
