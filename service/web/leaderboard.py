"""The page of the leaderboard, and the forms by which a result comes into it and out of it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import ValidationError

from autodl.errors import UsageError
from service.auth import authenticate
from service.context import ContextDep
from service.leaderboard import service
from service.leaderboard.schemas import PublicationRequest
from service.web.accounts import read_form
from service.web.rendering import render

router = APIRouter(include_in_schema=False)
AccountId = Annotated[str, Depends(authenticate)]


@router.get("/leaderboard")
def show_leaderboard(request: Request, context: ContextDep, _: AccountId) -> Response:
    """What owners show of their results, dataset by dataset."""
    with context.database.read() as session:
        boards = service.list_boards(session)
    return render(request, "leaderboard.html", boards=boards)


@router.post("/submissions/{submission_id}/publish")
def publish(
    request: Request, submission_id: str, context: ContextDep, account_id: AccountId
) -> Response:
    """Show the result under the names of the form; leads to the leaderboard."""
    form = read_form(request)
    try:
        wanted = PublicationRequest(dataset=form.get("dataset", ""), author=form.get("author", ""))
    except ValidationError as error:
        raise UsageError(
            "field-invalid",
            "The leaderboard needs a name for the data and one for you, of at most 100 characters.",
        ) from error
    with context.database.write() as session:
        service.publish(session, account_id, submission_id, wanted)
    return RedirectResponse("/leaderboard", 303)


@router.post("/submissions/{submission_id}/withdraw")
def withdraw(submission_id: str, context: ContextDep, account_id: AccountId) -> Response:
    """Show the result no more."""
    with context.database.write() as session:
        service.withdraw(session, account_id, submission_id)
    return RedirectResponse(f"/submissions/{submission_id}", 303)
