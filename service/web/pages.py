"""The pages: what the API knows, for people. Each works without JavaScript."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Request, Response

from autodl.errors import UsageError
from service import auth
from service.context import ContextDep
from service.models import Submission
from service.submissions import repository
from service.web.explanations import render_explanations
from service.web.rendering import render
from service.web.samples import BUDGET_SECONDS, SAMPLES

LISTED = 5

router = APIRouter(include_in_schema=False)


@router.get("/")
def show_start(request: Request, context: ContextDep) -> Response:
    """What this is, for whoever comes by; and where to begin."""
    account_id = _find_account(request)
    submissions: Sequence[Submission] = ()
    if account_id is not None:
        with context.database.read() as session:
            submissions = repository.list_submissions(session, account_id, limit=LISTED)
    return render(
        request,
        "start.html",
        is_owner=account_id is not None,
        submissions=submissions,
        samples=SAMPLES,
        sample_seconds=min(BUDGET_SECONDS, context.settings.max_budget_seconds),
        settings=context.settings,
    )


def _find_account(request: Request) -> str | None:
    """Who is signed in, if anybody is."""
    try:
        return auth.authenticate(request)
    except UsageError as error:
        if error.code != "authentication-required":
            raise
        return None


@router.get("/errors")
def explain_errors(request: Request) -> Response:
    """What each code means; problems' ``type`` points here. Open to all."""
    return render(request, "errors.html", document=render_explanations())
