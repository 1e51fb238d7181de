"""The pages: what the API knows, for people. Each works without JavaScript."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse

from service.accounts import quotas
from service.accounts.limits import Limits
from service.accounts.schemas import describe_quota
from service.auth import authenticate
from service.context import ContextDep
from service.models import RunKind
from service.submissions import paging, queue, receive
from service.web.explanations import render_explanations
from service.web.rendering import render

LISTED = 50

router = APIRouter(include_in_schema=False)
AccountId = Annotated[str, Depends(authenticate)]


@router.get("/")
def show_start(
    request: Request,
    context: ContextDep,
    account_id: AccountId,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """The form, and what was submitted before."""
    slots = context.executor.capabilities().slots[RunKind.SOLVE]
    candidate = queue.Candidate(account_id, context.settings.default_budget_seconds)
    with context.database.read() as session:
        found, following = paging.list_page(session, account_id, limit=LISTED, cursor=cursor)
        limits = quotas.get_limits(session, account_id, Limits.of(context.settings))
        used = quotas.read_usage(session, account_id)
        places, _ = queue.list_places(session, slots, candidate)
    return render(
        request,
        "start.html",
        submissions=found,
        next_cursor=following,
        quota=describe_quota(limits, used),
        place=next(p for p in places if p.id == candidate.id),
        settings=context.settings,
        solutions=["winner", *sorted(context.settings.solutions)],
    )


@router.post("/submissions")
def submit(request: Request, context: ContextDep, account_id: AccountId) -> Response:
    """The form's target: the same as the API's, answered with the submission's page."""
    answer = receive.receive_form(request, context, account_id)
    return RedirectResponse(answer.headers["Location"].removeprefix("/v1"), 303)


@router.get("/errors")
def explain_errors(request: Request) -> Response:
    """What each code means; problems' ``type`` points here. Open to all."""
    return render(request, "errors.html", document=render_explanations())
