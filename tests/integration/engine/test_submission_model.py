"""Any order of faults: a model of a submission's life, against the real loop and database."""

import tempfile
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from autodl.errors import PlatformError, UsageError
from service.executors.base import End
from service.models import Json, Run, RunKind, RunState, utc_now
from service.models import SubmissionState as S
from service.settings import Settings
from service.submissions import repository, service
from tests.integration.engine.conftest import POINT, World

MAX_RUNS = 2 * (1 + service.RETRIES)
FAULT = {"family": "solution", "code": "solution-train", "message": "It raised.", "hint": ""}


class Life(RuleBasedStateMachine):
    """Two submissions in one slot; runs, executor, loop and user act in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.world = World(Settings(data=Path(self.folder.name), gpus=()))
        self.ids = [self.world.submit(), self.world.submit()]
        self.accepted: list[str] = []  # runs whose outcome was recorded by themselves

    def teardown(self) -> None:
        self.world.database.close()
        self.folder.cleanup()

    def all_runs(self) -> list[Run]:
        return [run for i in self.ids for run in self.world.runs(i)]

    @rule()
    def decide(self) -> None:
        self.world.tick()

    @rule()
    def restart(self) -> None:
        self.world.restart()

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
        """From wherever it is, when runs now do what they should, both submissions end."""
        for _ in range(30):
            if all(self.world.see(i).state in service.ENDED for i in self.ids):
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


Life.TestCase.settings = settings(
    max_examples=10,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestLife = pytest.mark.slow(Life.TestCase)
