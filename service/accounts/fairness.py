"""Weighted fair queueing: whose submission gets the next free slot.

Fair queueing in virtual time (Demers, Keshav, Shenker, SIGCOMM 1989) with runs for packets. An
account's *tag* is the virtual time up to which it has been served: a run moves it on by the
seconds it took over the account's weight, and while it is at work by the most it may take. The
smallest tag is served first; among equals the least recently served account, then the oldest
submission (ids sort by time). The *clock* moves on by the same seconds over the sum of the weights
of all who compete, which is what each of them deserved meanwhile. Whoever begins to compete starts
at the clock: idle time is no credit, earlier use no debt. So an account's share is in proportion to
its weight, and none starves: each run of another brings the clock, where newcomers begin, nearer to
its own tag, which stands.

Those who compete and want less than their share leave the rest to others, whose tags then run ahead
of what each deserved, and a newcomer would have them wait until it had as much. So the clock is
never behind what an account has been served that gets a slot now, as in start-time fair queueing
(Goyal, Vin, Cheng, SIGCOMM 1996). Its runs at work are not part of that: a newcomer may have as
many at once before it takes its turn.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import TYPE_CHECKING, Protocol, TypeVar

from sqlalchemy import func, select

from service.models import LIVE, Account, Run, RunKind, Submission, SubmissionState

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

S = SubmissionState
COMPETING = (S.UPLOADING, S.VALIDATING, S.QUEUED, S.RUNNING, S.SCORING)
CHECK_COST_SECONDS = 10.0  # what looking through a bundle is expected to take


class Job(Protocol):
    """What waits for a slot."""

    id: str
    account_id: str
    budget_seconds: float


J = TypeVar("J", bound=Job)


@dataclass(frozen=True)
class Share:
    """An account's place among those that compete."""

    weight: float = 1.0
    tag: float = 0.0  #: with what its runs at work may take
    served: float = 0.0  #: the clock when it was last moved by a run of its


def cost_seconds(kind: RunKind, budget_seconds: float) -> float:
    """What a run counts in the order as long as it is not known how long it takes."""
    return budget_seconds if kind is RunKind.SOLVE else CHECK_COST_SECONDS


def order(jobs: Iterable[J], shares: Mapping[str, Share], kind: RunKind) -> list[J]:
    """The jobs in the order in which they get a slot, were nobody else to come."""
    queues: dict[str, list[J]] = defaultdict(list)
    for job in sorted(jobs, key=attrgetter("id"), reverse=True):
        queues[job.account_id].append(job)  # the oldest is last

    def rank(account_id: str, tag: float) -> tuple[float, float, str, str]:
        return tag, shares[account_id].served, queues[account_id][-1].id, account_id

    heads = [rank(account_id, shares[account_id].tag) for account_id in queues]
    heapq.heapify(heads)
    ordered = []
    while heads:
        tag, *_, account_id = heads[0]
        job = queues[account_id].pop()
        ordered.append(job)
        if queues[account_id]:
            tag += cost_seconds(kind, job.budget_seconds) / shares[account_id].weight
            heapq.heapreplace(heads, rank(account_id, tag))
        else:
            heapq.heappop(heads)
    return ordered


def read_shares(session: Session, account_ids: Collection[str]) -> dict[str, Share]:
    """Each account's place in the order."""
    live = (
        select(Submission.account_id, Run.kind, Submission.budget_seconds)
        .join(Run, Run.submission_id == Submission.id)
        .where(Run.state.in_(LIVE), Run.id == Submission.current_run_id)
    )
    at_work: dict[str, float] = defaultdict(float)
    for account_id, kind, budget_seconds in session.execute(live):
        at_work[account_id] += cost_seconds(kind, budget_seconds)
    accounts = session.scalars(select(Account).where(Account.id.in_(account_ids)))
    return {
        a.id: Share(a.weight, a.fair_tag + at_work[a.id] / a.weight, a.fair_clock) for a in accounts
    }


def join(session: Session, account_id: str) -> None:
    """The account is about to submit; if nothing of its is unfinished, it starts at the clock."""
    session.get_one(Account, account_id).fair_tag = _find_tag(session, account_id)


def preview(session: Session, account_id: str) -> Share:
    """The place that the account would have, were it to submit now."""
    account = session.get_one(Account, account_id)
    share = read_shares(session, [account_id])[account_id]
    begin = _find_tag(session, account_id) - account.fair_tag
    return replace(share, tag=share.tag + begin)


def _find_tag(session: Session, account_id: str) -> float:
    competing = select(Submission.id).where(
        Submission.account_id == account_id, Submission.state.in_(COMPETING)
    )
    own = session.get_one(Account, account_id).fair_tag
    is_idle = session.scalar(competing.limit(1)) is None
    return max(own, _read_clock(session)) if is_idle else own


def serve(session: Session, account_id: str) -> None:
    """A run of the account that learns is given a slot; who begins to compete is not behind it."""
    account = session.get_one(Account, account_id)
    if account.fair_tag > _read_clock(session):
        account.fair_clock = account.fair_tag
        session.flush()


def charge(session: Session, account_id: str, seconds: float) -> None:
    """A run of the account has ended that was at work for so long."""
    competing = select(Submission.account_id).where(Submission.state.in_(COMPETING)).distinct()
    weights = session.scalar(select(func.sum(Account.weight)).where(Account.id.in_(competing)))
    account = session.get_one(Account, account_id)
    account.fair_clock = _read_clock(session) + seconds / max(weights or 0.0, account.weight)
    account.fair_tag += seconds / account.weight
    session.flush()


def _read_clock(session: Session) -> float:
    return session.scalar(select(func.max(Account.fair_clock))) or 0.0
