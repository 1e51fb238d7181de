"""Whether the database is true in itself and agrees with the store: ``autodl admin audit``.

It only reads, and may run beside a service at work: the database as it is at one moment, then the
names in the store. Every statement that a submission's life must keep is looked at anew, from the
rows, and not through the code that wrote them.
"""

from __future__ import annotations

import hashlib
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import exists, func, select

from service.collector import ORPHAN_SECONDS
from service.executors.base import End
from service.models import (
    LIVE,
    CurvePoint,
    EntryKind,
    LedgerEntry,
    Run,
    RunState,
    Submission,
    SubmissionState,
    Transition,
    Upload,
    UploadState,
    utc_now,
)
from service.storage.base import read_chunks
from service.submissions.service import LOG_NAME, run_prefix
from service.submissions.states import ENDED, TRANSITIONS

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from service.db import Database
    from service.settings import Settings
    from service.storage import Storage

BATCH = 500
LEASE_SECONDS = 45.0  # within which a lost run is noticed
GRACE_SECONDS = 60.0  # for what follows from it
START_SECONDS = 300.0  # for an executor to accept a run; see reconciler.py
S = SubmissionState
Found = Iterator[tuple[str, str]]  # kind and message


class Flaw(NamedTuple):
    """One statement that does not hold.

    ``kind`` is ``history``, ``doubled``, ``stuck``, ``score``, ``reason``, ``ledger``, ``missing``,
    ``altered`` or ``orphan``; ``subject`` an id or a key of the store.
    """

    kind: str
    subject: str
    message: str


@dataclass(frozen=True)
class Audit:
    """What was looked at, and what was found."""

    counts: dict[str, int]
    flaws: list[Flaw]


@dataclass
class Life:
    """One submission with all that is written of it."""

    submission: Submission
    runs: list[Run] = field(default_factory=list)
    steps: list[Transition] = field(default_factory=list)
    entries: list[LedgerEntry] = field(default_factory=list)
    points: list[CurvePoint] = field(default_factory=list)  #: of the current run

    @property
    def run(self) -> Run | None:
        """The current one."""
        return next((r for r in self.runs if r.id == self.submission.current_run_id), None)

    @property
    def is_over(self) -> bool:
        """Whether its state is a last one."""
        return self.submission.state in ENDED


def audit(
    settings: Settings,
    database: Database,
    storage: Storage,
    *,
    deep: bool = False,
    orphan_seconds: float = ORPHAN_SECONDS,
) -> Audit:
    """Look at everything once; ``deep`` also reads each bundle and compares its digest.

    Bytes without a row are flaws when they are older than ``orphan_seconds``, for a row follows its
    bytes. Raises ``PlatformError`` where the database or the store cannot be read.
    """
    now, counts, flaws = utc_now(), Counter[str](), list[Flaw]()
    wanted: dict[str, str] = {}  # keys that must be in the store, by the id that needs them
    with database.read() as session:
        for life in _read_lives(session):
            submission = life.submission
            counts[f"submissions {submission.state.value}"] += 1
            counts["runs"] += len(life.runs)
            for judge in (_judge_history, _judge_runs, _judge_result, _judge_ledger):
                flaws += [Flaw(kind, submission.id, text) for kind, text in judge(life)]
            stuck = _judge_waiting(life, now, settings.queue_seconds)
            flaws += [Flaw(kind, submission.id, text) for kind, text in stuck]
            wanted |= dict.fromkeys(_list_keys(life), submission.id)
        uploads = session.scalars(select(Upload)).all()
        wanted |= {u.key: u.id for u in uploads if u.state is UploadState.COMPLETE}
        run_ids = set(session.scalars(select(Run.id)))
        flaws += _find_unsettled(session)
    found = {key for prefix in ("uploads", "runs") for key in storage.list(prefix)}
    missing = sorted(wanted.keys() - found)
    flaws += [Flaw("missing", wanted[key], f"{key} is not in the store.") for key in missing]
    known = {upload.key for upload in uploads}
    before = now - timedelta(seconds=orphan_seconds)
    for key in sorted(found - known):
        owner = key.split("/")[1]
        if owner not in run_ids and _is_older(owner, before):
            flaws.append(Flaw("orphan", key, "No row names it."))
    if deep:
        flaws += _find_altered(storage, [u for u in uploads if u.key in found])
    counts |= {"uploads": len(uploads), "objects": len(found)}
    return Audit(dict(sorted(counts.items())), flaws)


def _read_lives(session: Session) -> Iterator[Life]:
    """Every submission that is not about to be purged, in batches."""
    last = ""
    query = select(Submission).where(Submission.deleted_at.is_(None)).order_by(Submission.id)
    while batch := session.scalars(query.where(Submission.id > last).limit(BATCH)).all():
        last = batch[-1].id
        lives = {submission.id: Life(submission) for submission in batch}
        for run in session.scalars(
            select(Run).where(Run.submission_id.in_(lives)).order_by(Run.number)
        ):
            lives[run.submission_id].runs.append(run)
        for step in session.scalars(
            select(Transition).where(Transition.submission_id.in_(lives)).order_by(Transition.id)
        ):
            lives[step.submission_id].steps.append(step)
        for entry in session.scalars(
            select(LedgerEntry).where(LedgerEntry.submission_id.in_(lives))
        ):
            lives[entry.submission_id].entries.append(entry)
        owners = {s.current_run_id: s.id for s in batch if s.current_run_id}
        for point in session.scalars(
            select(CurvePoint).where(CurvePoint.run_id.in_(owners)).order_by(CurvePoint.index)
        ):
            lives[owners[point.run_id]].points.append(point)
        yield from lives.values()


def _judge_history(life: Life) -> Found:
    """One unbroken chain of allowed steps, and at most one end, which is the state."""
    submission, steps = life.submission, life.steps
    if not steps or steps[-1].to_state is not submission.state:
        yield "history", f"It is {submission.state.value}, and its history ends elsewhere."
    if steps and steps[0].from_state is not None:
        yield "history", "Its history has no beginning."
    if any(a.to_state is not b.from_state for a, b in pairwise(steps)):
        yield "history", "Its history has a gap."
    if any(s.to_state not in TRANSITIONS.get(s.from_state, ()) for s in steps):
        yield "history", "A step of its history is none of a submission's life."
    if (ends := sum(s.to_state in ENDED for s in steps)) != life.is_over:
        yield "doubled", f"It is {submission.state.value}, and has ended {ends} times."
    if (submission.ended_at is not None) != life.is_over:
        yield "history", "The time of its end and its state contradict each other."


def _judge_runs(life: Life) -> Found:
    """Only the current run may be at work, none after the end, and one has given the result."""
    live = [r for r in life.runs if r.state in LIVE]
    if [r.id for r in live] not in ([], [life.submission.current_run_id]):
        yield "doubled", "A run is at work that is not the current one."
    if live and life.is_over:
        yield "doubled", "A run is at work though the submission has ended."
    if [r.number for r in life.runs] != list(range(1, len(life.runs) + 1)):
        yield "history", "The numbers of its runs have a gap."
    if any(r.state in (RunState.ENDED, RunState.LOST) and not r.outcome for r in life.runs):
        yield "reason", "A run has ended without a word on how."
    told = [r for r in life.runs if (r.outcome or {}).get("end") in (End.OK, End.USER_ERROR)]
    for kind, count in Counter(r.kind for r in told).items():
        if count > 1:
            yield "doubled", f"{count} runs of kind {kind.value} have recorded a result."


def _judge_result(life: Life) -> Found:
    """A success has the one score that its points say; any other end has its reason."""
    submission, points = life.submission, life.points
    if not submission.status_reason:
        yield "reason", "It does not say what it waits for, or how it ended."
    if [p.index for p in points] != list(range(len(points))):
        yield "score", "The points of its curve have a gap."
    result, error = submission.result, submission.error or {}
    if (result is not None) != (submission.state is S.SUCCEEDED):
        yield "score", f"It is {submission.state.value} with{'out' * (not result)} a result."
    elif result is not None:
        last = points[-1].alc if points else None
        if (result["points"], result["alc"]) != (len(points), last):
            yield "score", "Its result is not that of its points."
    if submission.state in (S.FAILED, S.REJECTED) and not (
        error.get("code") and error.get("message") and error.get("family")
    ):
        yield "reason", "It ended badly without an error that says why."


def _judge_ledger(life: Life) -> Found:
    """Held once, settled once and at the end; what is charged lies between nothing and the hold."""
    kinds = Counter(entry.kind for entry in life.entries)
    if kinds != Counter({EntryKind.HOLD: 1} | ({EntryKind.SETTLE: 1} if life.is_over else {})):
        said = {kind.value: count for kind, count in kinds.items()}
        yield "ledger", f"It is {life.submission.state.value}, and its entries are {said}."
        return
    held = round(life.submission.budget_seconds * 1000)
    milliseconds = sum(entry.compute_milliseconds for entry in life.entries)
    submissions = sum(entry.submissions for entry in life.entries)
    refused = life.submission.state in (S.REJECTED, S.FAILED, S.EXPIRED)
    faulty = (life.submission.error or {}).get("family") == "platform"
    if not life.is_over and (milliseconds, submissions) != (held, 1):
        yield "ledger", "It holds something else than its budget."
    elif not 0 <= milliseconds <= held or submissions not in (0, 1):
        yield "ledger", f"It was charged {milliseconds} ms of {held} ms and {submissions} times."
    elif life.is_over and (refused or faulty) and (milliseconds or submissions):
        yield "ledger", "It was charged for what the user got nothing for."
    elif life.submission.state is S.SUCCEEDED and not faulty and submissions != 1:
        yield "ledger", "It succeeded and was not charged."


def _judge_waiting(life: Life, now: datetime, queue_seconds: float) -> Found:
    """Nothing waits for longer than its lease, and a minute."""
    submission, run = life.submission, life.run
    patience = timedelta(seconds=LEASE_SECONDS + GRACE_SECONDS)
    if life.is_over:
        return
    if submission.cancel_wanted and now - submission.updated_at > patience:
        yield "stuck", "It was to be canceled, and was not."
    if run is None or run.state not in LIVE:
        since = submission.released_at or submission.created_at
        until = submission.held_until or since + timedelta(seconds=queue_seconds)
        if now > until + patience:
            yield "stuck", "It has waited for longer than it may."
        return
    if run.state is RunState.CREATED:  # its executor has no room, or is away
        patience += timedelta(seconds=START_SECONDS)
    if now - (run.observed_at or run.created_at) > patience:
        yield "stuck", "Its run is not looked after: does a reconciler run?"
    if run.deadline is not None and now > run.deadline + patience:
        yield "stuck", "Its run is past all its limits."


def _list_keys(life: Life) -> Iterator[str]:
    """What must be in the store for it: the bundle, each scored prediction, and of an end the log.

    A canceled submission owes nothing, and one that expired has had no run.
    """
    yield life.submission.bundle_key
    if (run := life.run) is None:
        return
    prefix = run_prefix(run.id)
    for point in life.points:
        yield f"{prefix}/predictions/{point.index}.predict"
    if life.submission.state in (S.SUCCEEDED, S.FAILED, S.REJECTED):
        yield f"{prefix}/{LOG_NAME}"
    if life.submission.state is S.SUCCEEDED and (run.outcome or {}).get("end") == End.OK:
        yield from (f"{prefix}/{name}" for name in ("result.json", "curve.json", "manifest.json"))


def _find_unsettled(session: Session) -> Iterable[Flaw]:
    """What the ledger still holds for submissions that are gone."""
    query = (
        select(LedgerEntry.submission_id, func.count())
        .where(~exists().where(Submission.id == LedgerEntry.submission_id))
        .group_by(LedgerEntry.submission_id)
        .having(func.count() != len(EntryKind))
    )
    for submission_id, count in session.execute(query):
        yield Flaw("ledger", submission_id, f"It is gone, and left {count} entries, not two.")


def _find_altered(storage: Storage, uploads: Iterable[Upload]) -> Iterator[Flaw]:
    of_keys: dict[str, set[str]] = defaultdict(set)
    for upload in uploads:
        if upload.state is UploadState.COMPLETE and upload.sha256:
            of_keys[upload.key].add(upload.sha256)
    for key, digests in of_keys.items():
        digest = hashlib.sha256()
        with storage.open(key) as file:
            for chunk in read_chunks(file):
                digest.update(chunk)
        if digests != {digest.hexdigest()}:
            yield Flaw("altered", key, "Its SHA-256 is not the one that was uploaded.")


def _is_older(name: str, than: datetime) -> bool:
    """Whether the UUIDv7 was made before; what is none was never ours, and is no orphan of ours."""
    try:
        made = uuid.UUID(name)
    except ValueError:
        return False
    return datetime.fromtimestamp((made.int >> 80) / 1000, UTC) < than
