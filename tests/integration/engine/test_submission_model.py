"""Any order of faults: a model of a submission's life, against the real loop and database.

In ``make test`` a few hundred steps. A night's worth, with the count and the time it took:

    python -m tests.integration.engine.test_submission_model 100000
"""

import functools
import logging
import sys
import tempfile
import time
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from autodl.errors import PlatformError, UsageError
from service.db import Database, migrate
from service.executors.base import End
from service.integrity import audit
from service.models import Json, Run, RunKind, RunState, utc_now
from service.models import SubmissionState as S
from service.settings import Settings
from service.storage import FileStorage
from service.submissions import repository, service
from tests.clock import simulated
from tests.integration.engine.conftest import POINT, World

MAX_RUNS = 2 * (1 + service.RETRIES)
FAULT = {"family": "solution", "code": "solution-train", "message": "It raised.", "hint": ""}


@functools.cache
def make_database() -> bytes:
    """With all tables and no row; to make it takes longer than a life."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/db")
        migrate(database)
        database.close()
        return (Path(folder) / "db").read_bytes()


class Away(FileStorage):
    """A store that nobody reaches."""

    def exists(self, key: str) -> bool:
        raise PlatformError("storage-unavailable", "The object store failed.")


AWAY = Away(Path("/nowhere"))


class Life(RuleBasedStateMachine):
    """Two submissions in one slot; runs, executor, store, clock, loop and user act in any order."""

    steps = 0

    def __init__(self) -> None:
        super().__init__()
        self.time = simulated()
        self.clock = self.time.__enter__()
        self.folder = tempfile.TemporaryDirectory()
        # A database a life, of which one test has many: always a file.
        given = Settings(data=Path(self.folder.name), database_url="", gpus=())
        (given.data / "autodl.db").write_bytes(make_database())
        self.world = World(given)
        self.ids = [self.world.submit(), self.world.submit()]
        self.accepted: list[str] = []  # runs whose outcome was recorded by themselves

    def teardown(self) -> None:
        try:
            self.check_all()
        finally:
            self.world.database.close()
            self.folder.cleanup()
            self.time.__exit__(None, None, None)

    def check_all(self) -> None:
        """What ``autodl admin audit`` looks at, but for files, of which no run here makes any."""
        found = audit(self.world.settings, self.world.database, self.world.storage)
        assert [flaw for flaw in found.flaws if flaw.kind not in ("missing", "stuck")] == []

    def all_runs(self) -> list[Run]:
        return [run for i in self.ids for run in self.world.runs(i)]

    @rule()
    def decide(self) -> None:
        self.world.tick()

    @rule()
    def restart(self) -> None:
        self.world.restart()

    @rule(minutes=st.sampled_from([0.2, 2, 30, 3000]))
    def wait(self, minutes: float) -> None:
        self.clock.advance(minutes=minutes)

    @rule(refuses=st.booleans())
    def refuse(self, refuses: bool) -> None:
        """The executor takes no run for a while."""
        self.world.executor.refuses = refuses

    @rule(is_away=st.booleans())
    def lose_store(self, is_away: bool) -> None:
        self.world.reconciler.storage = AWAY if is_away else self.world.storage

    @rule(index=st.integers(0, 1))
    def cancel(self, index: int) -> None:
        ended = self.world.see(self.ids[index]).state in service.ENDED - {S.CANCELED}
        with pytest.raises(UsageError) if ended else nullcontext():
            self.world.cancel(self.ids[index])

    @precondition(lambda self: self.all_runs())
    @rule(data=st.data())
    def disappear(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(self.all_runs()))
        self.world.executor.held.pop(run.id, None)

    @precondition(lambda self: self.all_runs())
    @rule(data=st.data(), end=st.sampled_from(End))
    def end(self, data: st.DataObject, end: End) -> None:
        """A run ends without a word of its own, or after it."""
        run = data.draw(st.sampled_from(self.all_runs()))
        if run.id in self.world.executor.held:
            self.world.executor.end(run.id, end)

    @precondition(lambda self: self.all_runs())
    @rule(data=st.data())
    def overrun(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(self.all_runs()))
        self.world.change_run(run.id, deadline=utc_now() - timedelta(seconds=1))

    @precondition(lambda self: self.all_runs())
    @rule(data=st.data(), ends_well=st.booleans())
    def report(self, data: st.DataObject, ends_well: bool) -> None:
        """Any run, live or long replaced, tries to record its outcome."""
        run = data.draw(st.sampled_from(self.all_runs()))
        may_write = run.state in repository.LIVE
        with nullcontext() if may_write else pytest.raises(PlatformError):
            self.finish(run, None if ends_well else FAULT)
        if may_write:
            assert run.id not in self.accepted
            self.accepted.append(run.id)

    @invariant()
    def the_truth_is_one(self) -> None:
        Life.steps += 1
        for submission_id in self.ids:
            submission = self.world.see(submission_id)
            with self.world.database.read() as session:
                steps = repository.list_transitions(session, submission_id)
            assert submission.status_reason
            assert submission.state is steps[-1].to_state
            assert sum(step.to_state in service.ENDED for step in steps) <= 1
            assert (submission.ended_at is not None) == (submission.state in service.ENDED)
            runs = self.world.runs(submission_id)
            assert len(runs) <= MAX_RUNS
            live = [r for r in runs if r.state in repository.LIVE]
            assert [r.id for r in live] in ([], [submission.current_run_id])
            assert all(r.outcome for r in runs if r.state in (RunState.ENDED, RunState.LOST))
            assert not (live and submission.state in service.ENDED)

    @invariant()
    def no_slot_holds_two(self) -> None:
        for kind in RunKind:
            live = [r for r in self.all_runs() if r.kind is kind and r.state in repository.LIVE]
            assert len(live) <= 1

    @rule()
    def everything_ends(self) -> None:
        """From wherever it is, when all now do what they should, both submissions end."""
        self.world.executor.refuses = False
        self.world.reconciler.storage = self.world.storage
        for _ in range(30):
            if all(self.world.see(i).state in service.ENDED for i in self.ids):
                self.check_all()
                return
            self.world.tick()
            for run in self.all_runs():
                if run.state in repository.LIVE:
                    self.finish(run, None)
        raise AssertionError("something never ends")

    def finish(self, run: Run, fault: Json | None) -> None:
        """What the run's own ``score`` and ``publish`` do."""
        token = self.world.token(run.id)
        with self.world.database.write() as session:
            if run.kind is RunKind.CHECK:
                service.finish_check(session, run.id, token, {"findings": []}, fault)
                return
            if fault is None:
                service.record_point(session, run.id, token, POINT)
            points = repository.list_points(session, run.id)
            result = service.summarize(points) if points else None
            service.finish_solve(session, run.id, token, result=result, error=fault)


def limits(examples: int, steps: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )


Life.TestCase.settings = limits(10, 25)
TestLife = pytest.mark.slow(Life.TestCase)


def main() -> None:
    """So many steps of other lives each time."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    wanted, began = int(sys.argv[1]), time.monotonic()
    while Life.steps < wanted:
        run_state_machine_as_test(Life, settings=limits(10, 50))
        print(f"{Life.steps} steps in {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
