"""What a result is compared with: the simpler solutions, run on the same data for as long.

The same data are the same bytes (SHA-256 of the upload), whoever sent them and however often; only
one's own submissions are looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sqlalchemy import select

from autodl.solutions import BUNDLED, WINNER
from service.models import Submission, SubmissionState
from service.submissions import receive
from service.submissions.asking import MAX_NAME_CHARACTERS
from service.submissions.schemas import RerunRequest
from service.submissions.states import ENDED

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from service.context import Context
    from service.models import Json

BASELINES = tuple(name for name in BUNDLED if name != WINNER)
Verdict = Literal["better", "equal", "worse"]


@dataclass(frozen=True)
class Comparison:
    """A result against that of a baseline; ``difference`` of the ALC is positive when it won.

    ``equal`` means that the baseline's ALC lies in the 95 % interval of the result's.
    """

    baseline: Submission
    difference: float
    verdict: Verdict


def list_same(session: Session, submission: Submission) -> list[Submission]:
    """The baselines on the same data with the same budget: the newest of each that did not fail."""
    if submission.solution in BASELINES:
        return []
    query = select(Submission).where(
        Submission.account_id == submission.account_id,
        Submission.bundle_sha256 == submission.bundle_sha256,
        Submission.budget_seconds == submission.budget_seconds,
        Submission.solution.in_(BASELINES),
        Submission.deleted_at.is_(None),
    )
    found: dict[str, Submission] = {}
    for run in session.scalars(query.order_by(Submission.id.desc())):
        if run.state is SubmissionState.SUCCEEDED or run.state not in ENDED:
            found.setdefault(run.solution, run)
    return [found[name] for name in BASELINES if name in found]


def compare(
    submission: Submission, metrics: Json | None, others: Sequence[Submission]
) -> list[Comparison]:
    """Against each that has a result, the strongest baseline first."""
    own = (submission.result or {}).get("alc")
    if own is None:
        return []
    interval = (metrics or {}).get("alc_interval") or {"low": own, "high": own}
    compared = []
    for other in others:
        alc = (other.result or {}).get("alc")
        if alc is None:
            continue
        verdict: Verdict = "equal"
        if not interval["low"] <= alc <= interval["high"]:
            verdict = "better" if own > alc else "worse"
        compared.append(Comparison(other, own - alc, verdict))
    return sorted(compared, key=lambda c: c.difference)


def submit(
    context: Context, account_id: str, submission_id: str, name: str, solutions: Sequence[str]
) -> list[str]:
    """Run baselines on the submission's data; the addresses of the new submissions.

    Each is a submission like any other, and counts as one. Raises what
    ``receive.rerun_submission`` raises; what was accepted before stays.
    """
    made = []
    for solution in solutions:
        kept = MAX_NAME_CHARACTERS - len(solution) - 3
        asked = RerunRequest(name=f"{name[:kept]} ({solution})", solution=solution)
        answer = receive.rerun_submission(context, account_id, None, submission_id, asked)
        made.append(answer.headers["Location"])
    return made
