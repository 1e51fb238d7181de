"""The one loop that decides: what runs next, what is lost, what has had its time.

It is the same for every executor, which it only asks and observes. Every decision is a transition
in SQL; a round may be cut off anywhere, and the next finds the same truth. One leader at a time.
"""

from __future__ import annotations

import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

import structlog
from sqlalchemy.orm import Session

from autodl.errors import AutoDLError, PlatformError
from service import log, tracing
from service.accounts import quotas
from service.accounts.limits import Limits
from service.clock import Clock
from service.collector import Collector
from service.db import Database, migrate
from service.executors import open_executor
from service.executors.base import RETRIED, End, Executor, Observation, Phase
from service.leader import leading
from service.models import LIVE, Run, RunKind, RunState, Submission, utc_now
from service.notifications.delivery import delivering
from service.pace import Pace
from service.settings import Settings
from service.specs import build_spec
from service.storage import Storage, open_storage
from service.submissions import holding, repository, service
from service.submissions.positions import LONG

LOST_AFTER_ABSENCES = 2
START_SECONDS = 300.0  # for an executor to accept a run
BEGIN_SECONDS = 900.0  # from having a place to its first program at work
REFRESH_SECONDS = 10.0  # between two notes that a run was seen unchanged
NOT_STARTED, GONE = "The run could not be started.", "The run disappeared."
LOG_BYTES = 4 << 20  # kept of what a run printed that could not store it itself
NEVER = datetime.min.replace(tzinfo=UTC)  # when a run of which nobody knows has ended
CLEAN_SECONDS = 10.0  # for a run's processes to end by themselves after its outcome is recorded

logger = log.get_logger()
T = TypeVar("T", Run, Submission, Observation, str)


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
        self._clock = Clock()
        self._seen: dict[str, Observation] = {}  # of the live runs, what was recorded last
        self._told: dict[RunKind, tuple[int, set[str]]] = {}  # the queue of which everybody knows
        self._starting: dict[str, datetime] = {}
        self._ended: dict[str, datetime] = {}  # what the executor still holds of others

    def run(self, stop: threading.Event) -> None:
        """Rounds until ``stop``; waits while another process leads."""
        while not stop.is_set():
            self._guard(partial(self._lead, stop))
            stop.wait(self.settings.poll_seconds)

    def _lead(self, stop: threading.Event) -> None:
        pace = Pace(self.settings.poll_seconds, self.executor)
        with leading(self.database, self.settings.data, stop) as check, pace:
            while not pace.wait(stop):
                check()  # raises when another may lead by now
                self._guard(self.tick)

    def tick(self) -> None:
        """One round: each step looks anew, and one run's trouble is no other's."""
        if jump := self._clock.read_jump():
            self._starting.clear()
            with self.database.write() as session:
                repository.move_deadlines(session, jump)
        with self.database.read() as session:
            canceling = repository.list_canceling(session)
            limit = timedelta(seconds=self.settings.queue_seconds)
            expired = repository.list_expired(session, utc_now() - limit)
            unreviewed = repository.list_unreviewed(session, utc_now())
        self._each(self._cancel, canceling)
        self._each(self._expire, expired)
        self._each(partial(holding.expire, self.database), unreviewed)
        for kind in RunKind:
            self._guard(partial(self._create_runs, kind))
        self._each(self._ensure, self._list_runs(RunState.CREATED))
        live = {run.id: run for run in self._list_runs(*LIVE)}
        self._guard(partial(self._observe, live))
        self._each(self._stop, [r for r in live.values() if self._is_overdue(r)])
        for step in self._collector.list_steps():
            self._guard(step)

    def _observe(self, live: dict[str, Run]) -> None:
        """One look at every run; an executor that does not answer has said nothing of any."""
        seen = self.executor.observe(list(live))
        self._look(live, [o for o in seen if o.run_id in live])
        self._clean([o for o in seen if o.run_id not in live])

    def _list_runs(self, *states: RunState) -> Sequence[Run]:
        with self.database.read() as session:
            return repository.list_live_runs(session, states)

    def _each(self, act: Callable[[T], None], items: Iterable[T]) -> None:
        for item in items:
            with structlog.contextvars.bound_contextvars(**_name(item)):
                self._guard(partial(act, item))

    def _guard(self, act: Callable[[], None]) -> None:
        try:
            act()
        except AutoDLError as error:
            logger.warning("reconciler.postponed", code=error.code, message=error.message)
        except Exception:  # the loop outlives every fault, and meets it again in the next round
            logger.exception("reconciler.failed")

    def _create_runs(self, kind: RunKind) -> None:
        """Fill the free slots in the order of the queue, and tell the others what they wait for.

        The queue may be long: it is read without the write lock, and written where it has changed.
        """
        with self.database.read() as session:
            ahead = repository.count_live_runs(session, kind)
            slots = self.executor.capabilities().slots[kind]
            told = (ahead, repository.list_waiting_ids(session, kind))
            if not told[1] or (ahead >= slots and self._told.get(kind) == told):
                return  # nobody waits, or came, or went
            waiting = repository.list_waiting(session, kind)
            runs = Counter(quotas.count_runs(session))
            caps = quotas.read_caps(session, {w.account_id for w in waiting}, self._limits)
        chosen, reasons = [], {}
        for place in waiting:
            cap = caps[place.account_id]
            if cap is not None and runs[place.account_id] >= cap:
                reason = f"Waiting for one of your own runs to end: {cap} may be at work at once."
            elif ahead < slots:
                chosen.append(place.id)
                runs[place.account_id] += 1
                ahead += 1
                continue
            else:
                reason = _say_ahead(kind, ahead)
                ahead += 1
            if reason != place.status_reason:
                reasons[place.id] = reason
        if chosen or reasons:
            with self.database.write() as session:
                for submission_id in chosen:
                    self._create_run(session, submission_id, kind)
                if reasons:
                    repository.note_reasons(session, kind, reasons)
        self._told[kind] = told

    def _create_run(self, session: Session, submission_id: str, kind: RunKind) -> None:
        submission = repository.lock_submission(session, submission_id)
        run = repository.find_current_run(session, submission)
        if submission.state is not repository.WAITING[kind] or (run and run.state in LIVE):
            return  # meanwhile, or by another leader while we lost our place
        run = service.create_run(
            session, submission, kind, self.executor.name, self.settings.read_secret()
        )
        spec = build_spec(self.settings, self.storage, submission, run)
        run.spec = spec.model_dump(mode="json", exclude={"stage": {"url"}, "publish": {"token"}})
        about = {"run_id": run.id, "submission_id": submission.id, "kind": kind}
        logger.info("run.created", **about, **tracing.ids(submission.traceparent))

    def _ensure(self, run: Run) -> None:
        with self.database.read() as session:
            submission = session.get_one(Submission, run.submission_id)
        try:
            self.executor.ensure(build_spec(self.settings, self.storage, submission, run))
        except PlatformError as error:
            with self.database.write() as session:
                is_full = error.code == "no-free-slot"
                service.note_refused(session, run.id, error.message, is_full=is_full)
            raise
        with self.database.write() as session:
            service.note_submitted(session, run.id)

    def _look(self, live: dict[str, Run], seen: list[Observation]) -> None:
        """Apply what is new of the live runs; that the others are as they were is noted at once."""
        if tracing.is_on() and (over := self._seen.keys() - live.keys()):
            self._guard(partial(tracing.record_runs, self.database, over))
        self._seen = {i: observation for i, observation in self._seen.items() if i in live}
        asked = [o for o in seen if live[o.run_id].state is not RunState.CREATED]
        self._note_starting(asked)
        news = [o for o in asked if self._is_news(o)]
        self._each(self._apply, news)
        before = utc_now() - timedelta(seconds=REFRESH_SECONDS)
        same = {o.run_id for o in asked} - {o.run_id for o in news}
        if any((live[i].observed_at or before) <= before for i in same):
            with self.database.write() as session:
                repository.note_observed(session, same, utc_now())

    def _note_starting(self, seen: list[Observation]) -> None:
        """Since when a run has a place and has not begun, by our clock: nodes have their own."""
        now = utc_now()
        starting = [o.run_id for o in seen if o.phase is Phase.STARTING]
        self._starting = {i: self._starting.get(i, now) for i in starting}

    def _is_stuck(self, observation: Observation) -> bool:
        """Whether a run has had its place for long and does not begin, as without its image."""
        since = self._starting.get(observation.run_id)
        return since is not None and utc_now() - since > timedelta(seconds=BEGIN_SECONDS)

    def _is_news(self, observation: Observation) -> bool:
        is_end = observation.phase in (Phase.ENDED, Phase.ABSENT)
        is_same = self._seen.get(observation.run_id) == observation
        return is_end or not is_same or self._is_stuck(observation)

    def _apply(self, observation: Observation) -> None:
        """Record what was seen of a run whose outcome is not known yet."""
        if observation.phase is Phase.ABSENT:
            with self.database.read() as session:
                run = session.get_one(Run, observation.run_id)
            if run.absences + 1 >= LOST_AFTER_ABSENCES:
                self.executor.cancel(run.id)  # what may be left of it must not meet its successor
                self._keep_log(run.id, observation.message)
        elif observation.phase is Phase.ENDED:
            self._keep_log(observation.run_id, observation.message)
        with self.database.write() as session:
            submission, run = repository.lock_run(session, observation.run_id)
            if run.state in LIVE:
                self._judge(session, submission, run, observation)
        self._seen[observation.run_id] = observation

    def _keep_log(self, run_id: str, message: str) -> None:
        """Of a run that could not store it itself: no failure has an empty log."""
        key = f"{service.run_prefix(run_id)}/{service.LOG_NAME}"
        if not self.storage.exists(key):
            said = self.executor.logs(run_id, LOG_BYTES)
            self.storage.put(key, [said, f"\n[{message or GONE}]\n".encode()])

    def _judge(
        self, session: Session, submission: Submission, run: Run, observation: Observation
    ) -> None:
        run.observed_at = utc_now()
        if observation.phase is Phase.ABSENT:
            run.absences += 1
            if run.absences >= LOST_AFTER_ABSENCES:
                message = observation.message or GONE
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
        elif self._is_stuck(observation):
            service.lose_run(session, submission, run, End.INFRA, observation.message)
        else:
            service.note_progress(submission, observation.message)

    def _judge_end(
        self, session: Session, submission: Submission, run: Run, observation: Observation
    ) -> None:
        """A run that has ended without its own programs recording how."""
        end, message = observation.end or End.INFRA, observation.message
        if end is End.CANCELED and self._is_overdue(run) and not submission.cancel_wanted:
            text = "The run was stopped: it took longer than all its limits together."
            service.stop_run(session, submission, run, End.TIMEOUT, text)
        elif end is End.OK:
            service.lose_run(session, submission, run, End.INFRA, "The run recorded no outcome.")
        elif end in RETRIED or end is End.CANCELED:
            service.lose_run(session, submission, run, end, message)
        else:
            service.stop_run(session, submission, run, end, message)
        about = {"run_id": run.id, "end": end, "state": submission.state}
        logger.info("run.ended", **about, **tracing.ids(submission.traceparent))

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

    def _expire(self, submission_id: str) -> None:
        with self.database.write() as session:
            service.end_expired(session, repository.lock_submission(session, submission_id))

    def _stop(self, run: Run) -> None:
        """Past its deadline: the executor ends it, or never began it."""
        self.executor.cancel(run.id)
        if run.state is not RunState.CREATED:
            return  # it will be seen to have ended
        self._keep_log(run.id, NOT_STARTED)
        with self.database.write() as session:
            submission, run = repository.lock_run(session, run.id)
            if run.state is RunState.CREATED:
                service.lose_run(session, submission, run, End.INFRA, NOT_STARTED)

    def _is_overdue(self, run: Run) -> bool:
        """An executor that says that it is full may be so for as long as a submission may wait."""
        now = utc_now()
        if run.state is RunState.CREATED:
            heard = run.observed_at or run.created_at
            waited = now - run.created_at > timedelta(seconds=self.settings.queue_seconds)
            return waited or now - heard > timedelta(seconds=START_SECONDS)
        return run.deadline is not None and now > run.deadline

    def _clean(self, held: list[Observation]) -> None:
        """What is held beyond the live runs: recorded and over, or an orphan."""
        ids = {o.run_id for o in held}
        self._ended = {i: ended_at for i, ended_at in self._ended.items() if i in ids}
        if new := ids - self._ended.keys():
            with self.database.read() as session:
                ends = repository.read_ends(session, new)
            self._ended |= {i: at for i in new if (at := ends.get(i, NEVER)) is not None}
        self._each(self._clean_one, [o for o in held if o.run_id in self._ended])

    def _clean_one(self, observation: Observation) -> None:
        age = utc_now() - self._ended[observation.run_id]
        if observation.phase is not Phase.ENDED:  # also one that died right after its report
            if age > timedelta(seconds=CLEAN_SECONDS):
                self.executor.cancel(observation.run_id)
        elif age > timedelta(seconds=self.settings.keep_run_seconds):
            self.executor.forget(observation.run_id)


def _name(item: T) -> dict[str, str]:
    """What is logged beside whatever is logged about it."""
    if isinstance(item, Observation):
        return {"run_id": item.run_id}
    if isinstance(item, Run):
        return {"run_id": item.id}
    return {"submission_id": item.id if isinstance(item, Submission) else item}


def _say_ahead(kind: RunKind, ahead: int) -> str:
    """In words that seldom change far back in a long queue, for each change is a write."""
    what = "the data to be checked" if kind is RunKind.CHECK else "a free slot"
    count = str(ahead)
    if ahead >= LONG:  # two digits are said
        step = 10 ** (len(count) - 2)
        count = f"about {ahead // step * step:,}"
    are = "submission is" if ahead == 1 else "submissions are"
    return f"Waiting for {what}: {count} {are} ahead."


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
    tracing.configure(settings, "reconciler")
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
