"""The API of links to a submission; only its owner makes and revokes them."""

from __future__ import annotations

from fastapi import APIRouter

from service.context import ContextDep
from service.errors import PROBLEMS
from service.submissions import repository, sharing
from service.submissions.endpoints import AccountId
from service.submissions.schemas import NewShareView, ShareList, ShareRequest, ShareView

router = APIRouter(
    prefix="/v1/submissions/{submission_id}/shares",
    tags=["sharing"],
    responses=PROBLEMS,
    max_body_size=64 * 1024,
)


@router.post("", status_code=201)
def create_share(
    submission_id: str,
    context: ContextDep,
    account_id: AccountId,
    asked: ShareRequest | None = None,
) -> NewShareView:
    """A link that lets whoever holds it read this submission; its token is shown only now."""
    seconds = (asked or ShareRequest()).expires_in_seconds
    with context.database.write() as session:
        repository.get_submission(session, account_id, submission_id)
        link, token = sharing.create_link(session, submission_id, seconds)
    known = ShareView.model_validate(link).model_dump()
    return NewShareView(**known, token=token, url=f"/shared/{token}")


@router.get("")
def list_shares(submission_id: str, context: ContextDep, account_id: AccountId) -> ShareList:
    """The links that are good now, without their tokens."""
    with context.database.read() as session:
        repository.get_submission(session, account_id, submission_id)
        links = sharing.list_links(session, submission_id)
    return ShareList(items=[ShareView.model_validate(link) for link in links])


@router.delete("/{share_id}", status_code=204)
def revoke_share(
    submission_id: str, share_id: str, context: ContextDep, account_id: AccountId
) -> None:
    """The link opens nothing from now on."""
    with context.database.write() as session:
        repository.get_submission(session, account_id, submission_id)
        sharing.revoke_link(session, submission_id, share_id)
