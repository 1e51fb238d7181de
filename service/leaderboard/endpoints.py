"""The API of the leaderboard."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends

from service.auth import authenticate
from service.context import ContextDep
from service.errors import PROBLEMS
from service.leaderboard import service
from service.leaderboard.schemas import (
    BoardView,
    LeaderboardView,
    PublicationRequest,
    PublicationView,
)

router = APIRouter(prefix="/v1", tags=["leaderboard"], responses=PROBLEMS)
AccountId = Annotated[str, Depends(authenticate)]


@router.get("/leaderboard")
def read_leaderboard(context: ContextDep, _: AccountId) -> LeaderboardView:
    """The results that their owners show, dataset by dataset: of each solution the best."""
    with context.database.read() as session:
        boards = service.list_boards(session)
    return LeaderboardView(items=[BoardView.model_validate(board) for board in boards])


@router.put("/submissions/{submission_id}/publication")
def publish_result(
    context: ContextDep, account_id: AccountId, submission_id: str, wanted: PublicationRequest
) -> PublicationView:
    """Show a result to everybody of this installation: its figures and these names, no more."""
    with context.database.write() as session:
        shown = service.publish(session, account_id, submission_id, wanted)
        return PublicationView(
            submission_id=submission_id,
            dataset=shown.dataset,
            author=shown.author,
            created_at=shown.created_at,
        )


@router.delete("/submissions/{submission_id}/publication", status_code=204)
def withdraw_result(context: ContextDep, account_id: AccountId, submission_id: str) -> None:
    """Show it no more."""
    with context.database.write() as session:
        service.withdraw(session, account_id, submission_id)
