"""The API of the queue: one's own place in it, and for administrators all of it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from service.auth import Caller, authenticate, authenticate_admin
from service.context import ContextDep
from service.errors import PROBLEMS
from service.models import RunKind
from service.submissions import operations, results
from service.submissions.queue import Candidate, Place, list_places
from service.submissions.schemas import SubmissionView

router = APIRouter(prefix="/v1", tags=["queue"], responses=PROBLEMS)
AccountId = Annotated[str, Depends(authenticate)]
Admin = Annotated[Caller, Depends(authenticate_admin)]
ROUNDED_SECONDS = 5


class Interval(BaseModel):
    """Seconds from now; four times of five the truth lies between."""

    low: int
    high: int


class PlaceView(BaseModel):
    """A place in the queue."""

    position: int = Field(description="1 is next; of everything that has not begun to learn")
    starts_in_seconds: Interval


class OwnPlaceView(PlaceView):
    """The place of a submission of yours."""

    submission_id: str


class QueueView(BaseModel):
    """The queue, as far as it concerns you."""

    slots: int = Field(description="runs that learn at once")
    running: int
    waiting: int
    next: PlaceView = Field(description="what a submission made now would get")
    yours: list[OwnPlaceView]


class WaitingView(OwnPlaceView):
    """The place of any submission."""

    account_id: str


class AdminQueueView(BaseModel):
    """Everything that waits, in its order."""

    slots: int
    running: int
    items: list[WaitingView]


@router.get("/queue")
def read_queue(
    context: ContextDep,
    account_id: AccountId,
    budget_seconds: Annotated[float | None, Query(ge=1, le=1e9)] = None,
) -> QueueView:
    """How long it would take until a submission starts, before and after you make it."""
    budget = budget_seconds or context.settings.default_budget_seconds
    candidate = Candidate(account_id, budget)
    slots = context.executor.capabilities().slots[RunKind.SOLVE]
    with context.database.read() as session:
        places, running = list_places(session, slots, candidate)
    own = [p for p in places if p.account_id == account_id and p.id != candidate.id]
    place = next(p for p in places if p.id == candidate.id)
    return QueueView(
        slots=slots,
        running=running,
        waiting=len(places) - 1,
        next=PlaceView(position=place.position, starts_in_seconds=_interval(place)),
        yours=[
            OwnPlaceView(submission_id=p.id, position=p.position, starts_in_seconds=_interval(p))
            for p in own
        ],
    )


@router.get("/admin/queue", tags=["admin"])
def read_whole_queue(context: ContextDep, _: Admin) -> AdminQueueView:
    """Everything that waits, whoever submitted it, in the order in which it will start."""
    slots = context.executor.capabilities().slots[RunKind.SOLVE]
    with context.database.read() as session:
        places, running = list_places(session, slots)
    items = [
        WaitingView(
            submission_id=p.id,
            account_id=p.account_id,
            position=p.position,
            starts_in_seconds=_interval(p),
        )
        for p in places
    ]
    return AdminQueueView(slots=slots, running=running, items=items)


@router.post("/admin/submissions/{submission_id}/cancel", status_code=202, tags=["admin"])
def cancel_any(context: ContextDep, caller: Admin, submission_id: str) -> SubmissionView:
    """Cancel anybody's submission; what was predicted until then is kept."""
    with context.database.write() as session:
        submission = operations.cancel(session, caller.account_id, submission_id)
    with context.database.read() as session:
        return results.describe(session, submission)


def _interval(place: Place) -> Interval:
    """Coarse, for it is no promise."""
    low, high = place.low_seconds, place.high_seconds
    return Interval(
        low=int(low // ROUNDED_SECONDS * ROUNDED_SECONDS),
        high=int(-(-high // ROUNDED_SECONDS) * ROUNDED_SECONDS),
    )
