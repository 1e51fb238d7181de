"""The API of administrators: accounts, invitations, the audit log. Everything here is recorded."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from service.accounts import admin, audit, quotas, repository
from service.accounts.limits import Limits
from service.accounts.schemas import (
    AdminAccountChange,
    AdminAccountPage,
    AdminAccountView,
    AuditPage,
    AuditView,
    InvitationRequest,
    InvitationView,
    describe_for_admin,
    describe_quota,
)
from service.auth import Caller, authenticate_admin
from service.context import ContextDep
from service.errors import PROBLEMS

router = APIRouter(prefix="/v1/admin", tags=["admin"], responses=PROBLEMS)
Admin = Annotated[Caller, Depends(authenticate_admin)]
Limit = Annotated[int, Query(ge=1, le=100)]


@router.get("/accounts")
def list_accounts(
    context: ContextDep,
    _: Admin,
    limit: Limit = 50,
    cursor: Annotated[str, Query(max_length=36)] = "",
) -> AdminAccountPage:
    """Every account, oldest first; `next_cursor` leads on."""
    with context.database.read() as session:
        found = repository.list_accounts(session, limit=limit + 1, after=cursor)
    following = found[limit - 1].id if len(found) > limit else None
    items = [describe_for_admin(account) for account in found[:limit]]
    return AdminAccountPage(items=items, next_cursor=following)


@router.get("/accounts/{account_id}")
def read_account(context: ContextDep, _: Admin, account_id: str) -> AdminAccountView:
    """One account, and what it has used."""
    with context.database.read() as session:
        account = repository.get_account(session, account_id)
        limits = quotas.get_limits(session, account_id, Limits.of(context.settings))
        quota = describe_quota(limits, quotas.read_usage(session, account_id))
    return describe_for_admin(account, quota)


@router.patch("/accounts/{account_id}")
def change_account(
    context: ContextDep, caller: Admin, account_id: str, change: AdminAccountChange
) -> AdminAccountView:
    """Change an account's role, limits or weight; disable or enable it."""
    with context.database.write() as session:
        account = admin.change_account(
            session, caller.account_id, account_id, **change.model_dump(exclude_unset=True)
        )
    return describe_for_admin(account)


@router.post("/invitations", status_code=201)
def create_invitation(
    context: ContextDep, caller: Admin, wanted: InvitationRequest
) -> InvitationView:
    """Invite somebody; the link is shown this once."""
    with context.database.write() as session:
        invitation, secret = admin.create_invitation(
            session,
            caller.account_id,
            email=wanted.email,
            role=wanted.role,
            days=wanted.expires_in_days,
        )
    return InvitationView(
        id=invitation.id,
        email=invitation.email,
        role=invitation.role,
        expires_at=invitation.expires_at,
        url=f"{context.settings.effective_public_url}/sign-up?invitation={secret}",
    )


@router.get("/audit")
def read_audit(
    context: ContextDep,
    _: Admin,
    limit: Limit = 50,
    cursor: Annotated[int | None, Query(ge=1, le=2**53)] = None,
) -> AuditPage:
    """What administrators did, newest first."""
    with context.database.read() as session:
        found = audit.list_audit(session, limit=limit + 1, before=cursor)
    following = str(found[limit - 1].id) if len(found) > limit else None
    return AuditPage(
        items=[AuditView.model_validate(entry) for entry in found[:limit]], next_cursor=following
    )
