"""The page of administrators: what needs them first, then the queue, the users, the storage.

Every deed goes through the same functions as the API's, which write it to the audit log.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import ValidationError
from sqlalchemy.orm import Session

from autodl.errors import UsageError
from service.accounts import admin, audit, quotas, repository
from service.accounts.limits import Limits
from service.accounts.schemas import describe_quota
from service.auth import Caller, authenticate_admin, check_form
from service.context import Context, ContextDep
from service.errors import describe
from service.leader import is_led
from service.models import Account, Role, RunKind, Submission
from service.submissions import operations, queue
from service.web.accounts import read_form
from service.web.language import N_
from service.web.rendering import render

LISTED = 25
AUDITED = 20
QUEUED = 50
#: what may be wrong with a run, and what that means
TROUBLES = {
    "overdue": N_("It is past all its limits: its executor does not end it."),
    "unseen": N_("Nobody has seen it for a minute: does the reconciler run?"),
    "not-started": N_("Its executor has not taken it."),
    "not-ending": N_("It was canceled and has not ended yet."),
}
#: the limits of an account, as the form has them
LIMITS = {
    "submissions_per_day": N_("Submissions a day"),
    "compute_minutes_per_day": N_("Compute minutes a day"),
    "stored_bytes": N_("Bytes of storage"),
    "parallel_runs": N_("Runs at once"),
}

router = APIRouter(include_in_schema=False)
Admin = Annotated[Caller, Depends(authenticate_admin)]


@router.get("/admin")
def show_admin(
    request: Request,
    context: ContextDep,
    _: Admin,
    after: Annotated[str, Query(max_length=36)] = "",
) -> Response:
    """Everything of the installation that an administrator decides about."""
    return _render_admin(request, context, after)


@router.post("/admin")
def act(request: Request, context: ContextDep, caller: Admin) -> Response:
    """The target of the page's forms: ``action`` says which one it is."""
    form = read_form(request)
    check_form(request, form.get("form_token", ""))
    try:
        made = _act(context, caller, form)
    except UsageError as error:
        return _render_admin(request, context, error=error)
    if made is not None:
        return _render_admin(request, context, invitation=made)
    return RedirectResponse("/admin", 303)


def _render_admin(
    request: Request,
    context: Context,
    after: str = "",
    *,
    error: UsageError | None = None,
    invitation: str | None = None,
) -> Response:
    capabilities = context.executor.capabilities()
    with context.database.read() as session:
        places, running = queue.list_places(session, capabilities.slots[RunKind.SOLVE])
        shown = places[:QUEUED]
        waiting = {p.id: session.get_one(Submission, p.id) for p in shown}
        found = repository.list_accounts(session, limit=LISTED + 1, after=after)
        accounts = [_describe_account(context, session, account) for account in found[:LISTED]]
        values = {
            "work": operations.list_work(session),
            "failures": operations.list_failures(session),
            "counts": operations.count_states(session),
            "owners": {p.account_id: session.get_one(Account, p.account_id).name for p in shown},
            "uploads": operations.measure_stored(session),
            "audited": audit.list_audit(session, limit=AUDITED),
        }
    return render(
        request,
        "admin.html",
        describe(error).status if error else 200,
        **values,
        places=shown,
        places_count=len(places),
        waiting=waiting,
        running=running,
        accounts=accounts,
        following=found[LISTED - 1].id if len(found) > LISTED else None,
        executor=context.executor.name,
        capabilities=capabilities,
        required=context.settings.require_isolation,
        is_led=is_led(context.database, context.settings.data),
        disk=shutil.disk_usage(context.settings.data),
        storage=context.settings.effective_storage.partition(":")[0],
        troubles=TROUBLES,
        limit_names=LIMITS,
        roles=list(Role),
        error=f"{error.message} {error.hint}" if error else None,
        invitation=invitation,
    )


def _describe_account(context: Context, session: Session, account: Account) -> dict[str, Any]:
    limits = quotas.get_limits(session, account.id, Limits.of(context.settings))
    return {
        "account": account,
        "quota": describe_quota(limits, quotas.read_usage(session, account.id)),
    }


def _act(context: Context, caller: Caller, form: dict[str, str]) -> str | None:
    """Do it; the link of an invitation, which is shown once."""
    actions: dict[str, Callable[[Context, Caller, dict[str, str]], str | None]] = {
        "cancel": _cancel,
        "change-account": _change_account,
        "invite": _invite,
    }
    action = actions.get(form.get("action", ""))
    if action is None:
        raise UsageError("field-invalid", "The form does not say what it is for.")
    return action(context, caller, form)


def _cancel(context: Context, caller: Caller, form: dict[str, str]) -> None:
    with context.database.write() as session:
        operations.cancel(session, caller.account_id, form.get("id", ""))


def _change_account(context: Context, caller: Caller, form: dict[str, str]) -> None:
    """The forms have all of an account's own limits: an empty field is the operator's."""
    changes: dict[str, Any] = {}
    if "disabled" in form:
        changes["disabled"] = form["disabled"] == "yes"
    try:
        if "role" in form:
            changes["role"] = Role(form["role"])
            given = {name: form.get(name, "").strip() for name in LIMITS}
            own = {name: None if v == "-" else float(v) for name, v in given.items() if v}
            changes["limits"] = Limits.model_validate(own).model_dump(include=set(own))
    except (ValueError, ValidationError) as error:
        raise UsageError(
            "field-invalid",
            "A limit is a number of at least 0, or - for none.",
            hint="An empty field is the operator's default.",
        ) from error
    with context.database.write() as session:
        admin.change_account(session, caller.account_id, form.get("id", ""), **changes)


def _invite(context: Context, caller: Caller, form: dict[str, str]) -> str:
    with context.database.write() as session:
        _, secret = admin.create_invitation(
            session,
            caller.account_id,
            email=form.get("email") or None,
            role=Role.MEMBER,
            days=14,
        )
    return f"{context.settings.effective_public_url}/sign-up?invitation={secret}"
