"""The API of one's own account: its tokens, its quota, its place in the queue."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from autodl.errors import UsageError
from service.accounts import quotas, removal, repository, tokens
from service.accounts.limits import Limits
from service.accounts.schemas import (
    AccountChange,
    AccountView,
    NewTokenView,
    QuotaView,
    TokenList,
    TokenRequest,
    describe_quota,
    describe_token,
)
from service.auth import Caller, authenticate, authenticate_owner
from service.context import ContextDep
from service.errors import PROBLEMS

router = APIRouter(prefix="/v1", tags=["account"], responses=PROBLEMS)
AccountId = Annotated[str, Depends(authenticate)]
Owner = Annotated[Caller, Depends(authenticate_owner)]


@router.get("/account")
def read_account(context: ContextDep, account_id: AccountId) -> AccountView:
    """Your account."""
    with context.database.read() as session:
        return AccountView.model_validate(repository.get_account(session, account_id))


@router.patch("/account")
def change_account(context: ContextDep, owner: Owner, change: AccountChange) -> AccountView:
    """Change your language, or whether mails tell you that a submission has ended."""
    with context.database.write() as session:
        account = repository.get_account(session, owner.account_id)
        for name, value in change.model_dump(exclude_none=True).items():
            setattr(account, name, value)
        return AccountView.model_validate(account)


@router.delete("/account", status_code=204)
def remove_account(context: ContextDep, owner: Owner) -> None:
    """Remove your account for good, with all its submissions and uploads."""
    with context.database.write() as session:
        removal.remove_account(session, owner.account_id)


@router.get("/account/tokens")
def list_tokens(context: ContextDep, owner: Owner) -> TokenList:
    """The tokens that open your account."""
    with context.database.read() as session:
        found = tokens.list_tokens(session, owner.account_id)
    return TokenList(items=[describe_token(token) for token in found])


@router.post("/account/tokens", status_code=201)
def create_token(context: ContextDep, owner: Owner, wanted: TokenRequest) -> NewTokenView:
    """Make a token, with no scope that yours does not have; its text is shown this once."""
    if beyond := set(wanted.scopes) - owner.scopes:
        raise UsageError("scope-missing", f"Your token lacks the scope `{min(beyond)}` itself.")
    with context.database.write() as session:
        token, secret = tokens.create_token(
            session,
            owner.account_id,
            name=wanted.name,
            scopes=set(wanted.scopes),
            expires_at=wanted.expires_at,
        )
    return NewTokenView(**describe_token(token).model_dump(), token=secret)


@router.delete("/account/tokens/{token_id}", status_code=204)
def revoke_token(context: ContextDep, owner: Owner, token_id: str) -> None:
    """Revoke a token, and sign out the browsers that it signed in."""
    with context.database.write() as session:
        tokens.revoke_token(session, owner.account_id, token_id)


@router.get("/quota")
def read_quota(context: ContextDep, account_id: AccountId, response: Response) -> QuotaView:
    """What you may still use, before you upload anything."""
    with context.database.read() as session:
        limits = quotas.get_limits(session, account_id, Limits.of(context.settings))
        used = quotas.read_usage(session, account_id)
    response.headers.update(quotas.describe_rate(limits, used))
    return describe_quota(limits, used)
