"""The one loop that decides: what runs next, what is lost, what has had its time.

It is the same for every executor, which it only asks and observes. Every decision is a transition
in SQL; a round may be cut off anywhere, and the next finds the same truth. One leader at a time.
"""

from __future__ import annotations

import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import TypeVar

from sqlalchemy.orm import Session

from autodl.errors import AutoDLError
from service import log
from service.accounts import quotas
from service.accounts.limits import Limits
from service.collector import Collector
from service.db import Database, migrate
from service.executors import open_executor
from service.executors.base import (
    RETRIED,
    End,
    Executor,
    Observation,
    Phase,
    PublishSpec,
    RunSpec,
    SolveSpec,
    StageSpec,
)
from service.leader import leading
from service.models import LIVE, Run, RunKind, RunState, Submission, utc_now
from service.notifications.delivery import delivering
from service.settings import Settings
from service.storage import Storage, open_storage
from service.submissions import repository, service

LOST_AFTER_ABSENCES = 2
START_SECONDS = 300.0  # for an executor to accept a run
BEGIN_SECONDS = 900.0  # from having a place to its first program at work
REFRESH_SECONDS = 10.0  # between two notes that a run was seen unchanged
MARGIN_SECONDS = 300.0  # of the backstop, over all clocks of the run itself
CLEAN_SECONDS = 10.0  # for a run's processes to end by themselves after its outcome is recorded

logger = log.get_logger()
T = TypeVar("T", Run, Submission, Observation)


class Reconciler:
    """Brings what was asked and what is together, one round at a time."""

    def __init__(
        self, settings: Settings, database: Database, storage: Storage, executor: Executor
    ) -> None:
        self.settings = settings
        self.database = database
        self.storage = storage
        self.executor = executor
        self._limits = Limits.of(settings)
        self._collector = Collector(settings, database, storage, executor)
        self._seen: dict[str, Observation] = {}

    def run(self, stop: threading.Event) -> None:
        """Rounds until ``stop``; waits while another process leads."""
        while not stop.is_set():
            self._guard(partial(self._lead, stop))
            stop.wait(self.settings.poll_seconds)

    def _lead(self, stop: threading.Event) -> None:
        with leading(self.database, self.settings.data, stop) as check:
            while not stop.wait(self.settings.poll_seconds):
                check()  # raises when another may lead by now
                self._guard(self.tick)

    def tick(self) -> None:
        """One round: each step looks anew, and one run's trouble is no other's."""
        with self.database.read() as session:
            canceling = repository.list_canceling(session)
            waiting = {kind: repository.list_waiting(session, kind) for kind in RunKind}
        self._each(self._cancel, canceling)
        for kind, submissions in waiting.items():
            self._each(self._expire, [s for s in submissions if self._is_expired(s)])
            if submissions:
                self._guard(partial(self._create_runs, kind))
        with self.database.read() as session:
            live = {run.id: run for run in repository.list_live_runs(session)}
        self._each(self._ensure, [r for r in live.values() if r.state is RunState.CREATED])
        seen = self.executor.observe(list(live))
        self._each(self._apply, [o for o in seen if o.run_id in live])
        self._each(self._stop, [r for r in live.values() if _is_overdue(r)])
        self._each(self._clean, [o for o in seen if o.run_id not in live])
        for step in self._collector.list_steps():
            self._guard(step)

    def _each(self, act: Callable[[T], None], items: Iterable[T]) -> None:
        for item in items:
            self._guard(partial(act, item))

    def _guard(self, act: Callable[[], None]) -> None:
        try:
            act()
        except AutoDLError as error:
            logger.warning("reconciler.postponed", code=error.code, message=error.message)
        except Exception:  # the loop outlives every fault, and meets it again in the next round
            logger.exception("reconciler.failed")

    def _create_runs(self, kind: RunKind) -> None:
        """Fill the free slots in the order of the queue, and tell the others what they wait for."""
        with self.database.write() as session:
            ahead = repository.count_live_runs(session, kind)
            slots = self.executor.capabilities().slots[kind]
            runs = Counter(quotas.count_runs(session))
            for submission in repository.list_waiting(session, kind):
                account_id = submission.account_id
                cap = quotas.get_limits(session, account_id, self._limits).parallel_runs
                if cap is not None and runs[account_id] >= cap:
                    submission.status_reason = (
                        f"Waiting for one of your own runs to end: {cap} may be at work at once."
                    )
                elif ahead < slots:
                    self._create_run(session, submission, kind)
                    runs[account_id] += 1
                    ahead += 1
                else:
                    submission.status_reason = _say_ahead(kind, ahead)
                    ahead += 1

    def _create_run(self, session: Session, submission: Submission, kind: RunKind) -> None:
        run = service.create_run(
            session, submission, kind, self.executor.name, self.settings.read_secret()
        )
        spec = self._build_spec(submission, run)
        run.spec = spec.model_dump(mode="json", exclude={"stage": {"url"}, "publish": {"token"}})
        logger.info("run.created", run_id=run.id, submission_id=submission.id, kind=kind)

    def _ensure(self, run: Run) -> None:
        with self.database.read() as session:
            submission = session.get_one(Submission, run.submission_id)
        self.executor.ensure(self._build_spec(submission, run))
        with self.database.write() as session:
            service.note_submitted(session, run.id)

    def _apply(self, observation: Observation) -> None:
        """Record what was seen of a run whose outcome is not known yet."""
        same = self._seen.get(observation.run_id) == observation
        self._seen[observation.run_id] = observation
        with self.database.read() as session:
            run = session.get_one(Run, observation.run_id)
        fresh = run.observed_at and utc_now() - run.observed_at < timedelta(seconds=REFRESH_SECONDS)
        if run.state is RunState.CREATED or (
            same and fresh and observation.phase not in (Phase.ENDED, Phase.ABSENT)
        ):
            return
        if observation.phase is Phase.ABSENT and run.absences + 1 >= LOST_AFTER_ABSENCES:
            self.executor.cancel(run.id)  # whatever may be left of it must not meet its successor
        with self.database.write() as session:
            submission, run = repository.lock_run(session, observation.run_id)
            if run.state in LIVE:
                self._judge(session, submission, run, observation)

    def _judge(
        self, session: Session, submission: Submission, run: Run, observation: Observation
    ) -> None:
        run.observed_at = utc_now()
        if observation.phase is Phase.ABSENT:
            run.absences += 1
            if run.absences >= LOST_AFTER_ABSENCES:
                message = observation.message or "The run disappeared."
                service.lose_run(session, submission, run, End.NODE_LOST, message)
            return
        run.absences = 0
        if observation.phase is Phase.ENDED:
            self._judge_end(session, submission, run, observation)
        elif observation.phase is Phase.RUNNING:
            if run.started_at is None:
                run.deadline = utc_now() + timedelta(seconds=run.spec["backstop_seconds"])
                service.note_started(session, submission, run)
            service.note_progress(submission, observation.message)
        elif _is_stuck(observation):
            service.lose_run(session, submission, run, End.INFRA, observation.message)
        else:
            service.note_progress(submission, observation.message)

    def _judge_end(
        self, session: Session, submission: Submission, run: Run, observation: Observation
    ) -> None:
        """A run that has ended without its own programs recording how."""
        end, message = observation.end or End.INFRA, observation.message
        if end is End.CANCELED and _is_overdue(run) and not submission.cancel_wanted:
            text = "The run was stopped: it took longer than all its limits together."
            service.stop_run(session, submission, run, End.TIMEOUT, text)
        elif end is End.OK:
            service.lose_run(session, submission, run, End.INFRA, "The run recorded no outcome.")
        elif end in RETRIED or end is End.CANCELED:
            service.lose_run(session, submission, run, end, message)
        else:
            service.stop_run(session, submission, run, end, message)
        logger.info("run.ended", run_id=run.id, end=end, state=submission.state)

    def _cancel(self, submission: Submission) -> None:
        """Ask for the end of its run; without one, it has ended."""
        with self.database.write() as session:
            submission = repository.lock_submission(session, submission.id)
            run = repository.find_current_run(session, submission)
            if run is not None and run.state is RunState.CREATED:
                message = "It was canceled before its start."
                service.lose_run(session, submission, run, End.CANCELED, message)
            elif (run is None or run.state not in LIVE) and not submission.ended_at:
                service.end_canceled(session, submission)
        if run is not None:
            self.executor.cancel(run.id)

    def _is_expired(self, submission: Submission) -> bool:
        limit = timedelta(seconds=self.settings.queue_seconds)
        return utc_now() - submission.created_at > limit

    def _expire(self, submission: Submission) -> None:
        with self.database.write() as session:
            service.end_expired(session, repository.lock_submission(session, submission.id))

    def _stop(self, run: Run) -> None:
        """Past its deadline: the executor ends it, or never began it."""
        self.executor.cancel(run.id)
        if run.state is not RunState.CREATED:
            return  # it will be seen to have ended
        with self.database.write() as session:
            submission, run = repository.lock_run(session, run.id)
            if run.state is RunState.CREATED:
                message = "The run could not be started."
                service.lose_run(session, submission, run, End.INFRA, message)

    def _clean(self, observation: Observation) -> None:
        """What is held beyond the live runs: recorded and over, or an orphan."""
        with self.database.read() as session:
            run = session.get(Run, observation.run_id)
        self._seen.pop(observation.run_id, None)
        age = utc_now() - run.ended_at if run is not None and run.ended_at else timedelta.max
        if observation.phase is not Phase.ENDED:  # also one that died right after its report
            if age > timedelta(seconds=CLEAN_SECONDS):
                self.executor.cancel(observation.run_id)
        elif age > timedelta(seconds=self.settings.keep_run_seconds):
            self.executor.forget(observation.run_id)

    def _build_spec(self, submission: Submission, run: Run) -> RunSpec:
        settings = self.settings
        solving = run.kind is RunKind.SOLVE
        solve = SolveSpec(
            solution=submission.solution,
            budget_seconds=submission.budget_seconds,
            construction_seconds=settings.construction_seconds,
            check_seconds=settings.check_seconds,
        )
        work_seconds = solve.limit_seconds if solving else settings.check_seconds
        return RunSpec(
            run_id=run.id,
            tenant=submission.account_id,
            kind=run.kind,
            stage=StageSpec(
                url=self.storage.url(submission.bundle_key),
                size_bytes=submission.bundle_bytes,
                sha256=submission.bundle_sha256,
                limit_seconds=settings.stage_seconds,
            ),
            solve=solve,
            publish=PublishSpec(
                prefix=service.run_prefix(run.id),
                token=repository.make_token(settings.read_secret(), run.id),
                limit_seconds=settings.publish_seconds,
            ),
            backstop_seconds=settings.stage_seconds
            + work_seconds
            + 6 * settings.publish_seconds  # score's last look, then publish, three tries each
            + MARGIN_SECONDS,
        )


def _is_overdue(run: Run) -> bool:
    if run.state is RunState.CREATED:
        return utc_now() - run.created_at > timedelta(seconds=START_SECONDS)
    return run.deadline is not None and utc_now() > run.deadline


def _is_stuck(observation: Observation) -> bool:
    """Whether a run has had its place for long and does not begin, as without its image."""
    since = observation.started_at
    return (
        observation.phase is Phase.STARTING
        and since is not None
        and utc_now() - since > timedelta(seconds=BEGIN_SECONDS)
    )


def _say_ahead(kind: RunKind, ahead: int) -> str:
    what = "the data to be checked" if kind is RunKind.CHECK else "a free slot"
    are = "submission is" if ahead == 1 else "submissions are"
    return f"Waiting for {what}: {ahead} {are} ahead."


@contextmanager
def reconciling(
    settings: Settings, database: Database, storage: Storage, executor: Executor
) -> Iterator[Reconciler]:
    """A reconciler at work in a thread of this process, for the length of the block."""
    stop = threading.Event()
    reconciler = Reconciler(settings, database, storage, executor)
    thread = threading.Thread(target=reconciler.run, args=(stop,), name="reconciler", daemon=True)
    thread.start()
    try:
        yield reconciler
    finally:
        stop.set()
        thread.join()


def main() -> None:
    """``python -m service.reconciler``: decide until told to stop."""
    settings = Settings()
    log.configure(settings.log_format)
    database = Database(settings.effective_database_url)
    migrate(database)
    storage = open_storage(settings.effective_storage)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with delivering(settings, database):
        Reconciler(settings, database, storage, open_executor(settings)).run(stop)


if __name__ == "__main__":
    main()
