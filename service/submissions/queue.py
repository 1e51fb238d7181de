"""What waits before whom, and for how long: an interval from how long earlier runs took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heapify, heapreplace
from random import Random
from typing import TYPE_CHECKING

from sqlalchemy import Select, select

from service.accounts import fairness
from service.models import (
    LIVE,
    Run,
    RunKind,
    RunState,
    Submission,
    SubmissionState,
    new_id,
    utc_now,
)

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

SAMPLES = 200
QUANTILES = (0.1, 0.9)  # four times of five the truth lies between
HISTORY = 200  # runs that tell how much of their budget runs take
#: as long as there are few of them: anything from a tenth to a little more than all
GUESSES = (0.1, 0.3, 0.5, 0.7, 0.9, 1.1)
FEW = 10


@dataclass(frozen=True)
class Place:
    """Where one waits: 1 is next; seconds until the start, as an interval of 80 %."""

    id: str
    account_id: str
    position: int
    low_seconds: float
    high_seconds: float


@dataclass
class Candidate:
    """A submission that might be made now."""

    account_id: str
    budget_seconds: float
    id: str = field(default_factory=new_id)


def list_places(
    session: Session, slots: int, candidate: Candidate | None = None
) -> tuple[list[Place], int]:
    """Everything that has not begun to learn, in the order in which it will; and what is at work.

    ``candidate`` is placed as if it were submitted now. Checks of the data that are still to come
    count as if they had passed.
    """
    jobs: list[fairness.Job] = list(session.scalars(_waiting()))
    shares = fairness.read_shares(session, {job.account_id for job in jobs})
    if candidate is not None:
        jobs.append(candidate)
        if candidate.account_id not in shares:
            shares[candidate.account_id] = fairness.preview(session, candidate.account_id)
    ordered = fairness.order(jobs, shares, RunKind.SOLVE)
    running = _read_running(session)
    budgets = [job.budget_seconds for job in ordered]
    intervals = estimate_starts(running, budgets, slots, _read_ratios(session))
    places = [
        Place(job.id, job.account_id, number, low, high)
        for number, (job, (low, high)) in enumerate(zip(ordered, intervals, strict=True), 1)
    ]
    return places, len(running)


def estimate_starts(
    running: Sequence[tuple[float, float]],
    budgets: Sequence[float],
    slots: int,
    ratios: Sequence[float],
) -> list[tuple[float, float]]:
    """When each of the waiting jobs starts, in seconds from now: low and high.

    ``running`` are (seconds at work, budget) of the runs at work, ``ratios`` shares of the budget
    that earlier runs took. Draws from them (a bootstrap) and plays the queue ``SAMPLES`` times.
    """
    random = Random(0)  # noqa: S311 no secret
    rests = [  # it has not ended yet; one that takes longer than any before may do so now
        [r * budget - elapsed for r in ratios if r * budget > elapsed] or [0.0]
        for elapsed, budget in running
    ]
    idle = [0.0] * (max(slots, 1) - len(running))
    starts: list[list[float]] = [[] for _ in budgets]
    for _ in range(SAMPLES):
        heapify(free := [*idle, *map(random.choice, rests)])
        for times, budget, ratio in zip(
            starts, budgets, random.choices(ratios, k=len(budgets)), strict=True
        ):
            times.append(free[0])
            heapreplace(free, free[0] + ratio * budget)
    low, high = (round(share * (SAMPLES - 1)) for share in QUANTILES)
    return [(times[low], times[high]) for times in map(sorted, starts)]


def _waiting() -> Select[Submission]:
    states = (SubmissionState.VALIDATING, SubmissionState.QUEUED)
    at_work = select(Run.submission_id).where(Run.state.in_(LIVE), Run.kind == RunKind.SOLVE)
    return select(Submission).where(
        Submission.state.in_(states), Submission.id.not_in(at_work), ~Submission.cancel_wanted
    )


def _read_running(session: Session) -> list[tuple[float, float]]:
    query = (
        select(Run.started_at, Submission.budget_seconds)
        .join(Submission, Submission.id == Run.submission_id)
        .where(Submission.current_run_id == Run.id, Run.state.in_(LIVE), Run.kind == RunKind.SOLVE)
    )
    now = utc_now()
    return [
        ((now - started_at).total_seconds() if started_at else 0.0, budget)
        for started_at, budget in session.execute(query)
    ]


def _read_ratios(session: Session) -> list[float]:
    """Of the newest runs that ended: seconds at work over budget."""
    query = (
        select(Run.started_at, Run.ended_at, Submission.budget_seconds)
        .join(Submission, Submission.id == Run.submission_id)
        .where(
            Submission.current_run_id == Run.id,
            Run.kind == RunKind.SOLVE,
            Run.state == RunState.ENDED,
            Run.started_at.is_not(None),
        )
        .order_by(Run.id.desc())
        .limit(HISTORY)
    )
    ratios = [
        (ended_at - started_at).total_seconds() / budget
        for started_at, ended_at, budget in session.execute(query)
        if started_at is not None and ended_at is not None
    ]
    return ratios if len(ratios) >= FEW else [*ratios, *GUESSES]
