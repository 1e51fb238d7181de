"""The leaderboard: a result comes in when its owner says so, and goes when they say so.

The same data are the same bytes, by their SHA-256; results are ranked by ALC among those with the
same budget, of which the area depends. Of each solution the best one counts.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import select

from autodl.errors import UsageError
from service.models import Publication, Submission, SubmissionState
from service.submissions.repository import get_submission

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from service.leaderboard.schemas import PublicationRequest

MAX_SHOWN = 2000  # results that are looked at, the latest


@dataclass(frozen=True)
class Entry:
    """One rank of a board."""

    rank: int
    solution: str
    author: str
    alc: float
    nauc: float | None
    accuracy: float | None
    published_at: datetime


@dataclass(frozen=True)
class Board:
    """The results on the same data for as long; it has the name that was given first."""

    dataset: str
    sha256: str
    budget_seconds: float
    entries: list[Entry]


def publish(
    session: Session, account_id: str, submission_id: str, wanted: PublicationRequest
) -> Publication:
    """Show the result, or show it under other names.

    Raises ``UsageError``: ``submission-not-found``, ``submission-deleted`` or ``result-not-found``.
    """
    submission = get_submission(session, account_id, submission_id)
    result = submission.result or {}
    if submission.state is not SubmissionState.SUCCEEDED or result.get("alc") is None:
        raise UsageError(
            "result-not-found",
            "There is no result to show.",
            hint="Only a submission that has succeeded can be in the leaderboard.",
        )
    publication = session.merge(
        Publication(submission_id=submission_id, dataset=wanted.dataset, author=wanted.author)
    )
    session.flush()
    return publication


def withdraw(session: Session, account_id: str, submission_id: str) -> None:
    """Show the result no more; that it was not shown is success. Raises like ``publish``."""
    get_submission(session, account_id, submission_id)
    if (publication := find_publication(session, submission_id)) is not None:
        session.delete(publication)


def find_publication(session: Session, submission_id: str) -> Publication | None:
    """How the result is shown, if it is."""
    return session.get(Publication, submission_id)


def list_boards(session: Session) -> list[Board]:
    """Every dataset with its results, the one with the latest result first."""
    query = (
        select(Publication, Submission)
        .join(Submission, Submission.id == Publication.submission_id)
        .where(Submission.deleted_at.is_(None))
        .order_by(Publication.created_at.desc())
        .limit(MAX_SHOWN)
    )
    shown: dict[tuple[str, float], list[tuple[Publication, Submission]]] = defaultdict(list)
    for publication, submission in session.execute(query):
        shown[submission.bundle_sha256, submission.budget_seconds].append((publication, submission))
    return [
        Board(rows[-1][0].dataset, sha256, budget_seconds, _rank(rows))
        for (sha256, budget_seconds), rows in shown.items()
    ]


def _rank(rows: list[tuple[Publication, Submission]]) -> list[Entry]:
    best: dict[str, tuple[Publication, Submission]] = {}
    for publication, submission in sorted(rows, key=lambda row: -(row[1].result or {})["alc"]):
        best.setdefault(submission.solution, (publication, submission))
    return [
        Entry(
            rank=rank,
            solution=submission.solution,
            author=publication.author,
            alc=(submission.result or {})["alc"],
            nauc=(submission.result or {}).get("nauc"),
            accuracy=(submission.result or {}).get("accuracy"),
            published_at=publication.created_at,
        )
        for rank, (publication, submission) in enumerate(best.values(), 1)
    ]
