"""The loop against an executor that loses, forgets and fails as it is told."""

import threading
import time
from datetime import timedelta
from unittest.mock import Mock

import pytest

from autodl.errors import PlatformError
from service.executors.base import End, Observation, Phase
from service.models import RunKind, RunState, Submission, utc_now
from service.models import SubmissionState as S
from service.reconciler import LOST_AFTER_ABSENCES, reconciling
from service.submissions import repository, service

LONG_AGO = timedelta(days=30)


class TestSchedule:
    def test_a_submission_is_checked_then_solved_with_what_it_asked_for(self, world) -> None:
        submission_id, run = world.start_solving()
        assert [r.kind for r in world.runs(submission_id)] == [RunKind.CHECK, RunKind.SOLVE]
        spec = world.executor.specs[run.id]
        assert spec.solve.budget_seconds == 60.0
        assert spec.publish.token == world.token(run.id)
        assert run.deadline is not None

    def test_what_the_row_keeps_of_a_run_holds_no_secret(self, world) -> None:
        _, run = world.start_solving()
        assert world.token(run.id) not in str(run.spec)
        assert "url" not in run.spec["stage"]

    def test_who_waits_is_told_how_many_are_ahead(self, world) -> None:
        ids = [world.submit() for _ in range(3)]
        world.tick()
        assert world.see(ids[1]).status_reason.endswith("checked: 1 submission is ahead.")
        assert world.see(ids[2]).status_reason.endswith("checked: 2 submissions are ahead.")

    def test_a_check_goes_beside_a_solving_run(self, world) -> None:
        world.start_solving()
        other = world.submit()
        world.tick()
        assert world.run(other).state is RunState.RUNNING

    def test_a_second_solving_run_waits_for_its_slot(self, world) -> None:
        first, run = world.start_solving()
        second = world.submit()
        world.pass_check(second)
        world.tick(2)
        assert world.see(second).state is S.QUEUED
        assert world.see(second).status_reason == (
            "Waiting for a free slot: 1 submission is ahead."
        )
        world.executor.end(run.id, End.OOM)
        world.tick(3)
        assert world.see(first).state is S.FAILED
        assert world.see(second).state is S.RUNNING

    def test_accounts_take_turns(self, world) -> None:
        world.executor.slots[RunKind.CHECK] = 2
        ids = [world.submit() for _ in range(3)]
        bobs = world.submit(world.add_account("bob"))
        world.tick()
        checked = {i for i in [*ids, bobs] if world.runs(i)}
        assert checked == {ids[0], bobs}  # one each, whoever was there first
        world.executor.slots[RunKind.CHECK] = 3
        world.tick()
        assert world.runs(ids[1])
        assert not world.runs(ids[2])

    def test_a_queue_that_takes_too_long_expires(self, world) -> None:
        ids = [world.submit() for _ in range(2)]
        world.tick()
        with world.database.write() as session:
            for i in ids:
                session.get_one(Submission, i).created_at = utc_now() - LONG_AGO
        world.tick()
        assert world.see(ids[0]).state is S.VALIDATING  # its run is at work
        assert world.see(ids[1]).state is S.EXPIRED


class TestEnsure:
    def test_a_run_that_cannot_start_now_starts_later(self, world) -> None:
        submission_id = world.submit()
        world.executor.refuses = True
        world.tick(3)
        assert world.run(submission_id).state is RunState.CREATED
        world.executor.refuses = False
        world.tick()
        assert world.run(submission_id).state is RunState.RUNNING
        assert len(world.runs(submission_id)) == 1

    def test_a_crash_between_asking_and_noting_asks_again(self, world, monkeypatch) -> None:
        submission_id = world.submit()
        with monkeypatch.context() as patch:
            patch.setattr(service, "note_submitted", lambda *_: 1 / 0)
            world.tick()
        assert world.run(submission_id).state is RunState.CREATED
        world.restart()
        world.tick(2)
        assert world.run(submission_id).state is RunState.RUNNING
        assert list(world.executor.held) == [world.run(submission_id).id]

    def test_a_run_that_never_starts_is_given_up(self, world) -> None:
        submission_id = world.submit()
        world.executor.refuses = True
        for _ in range(service.RETRIES + 1):
            world.tick()
            world.change_run(world.run(submission_id).id, created_at=utc_now() - LONG_AGO)
            world.tick()
        assert world.see(submission_id).state is S.FAILED
        assert world.see(submission_id).error["family"] == "platform"


class TestLoss:
    def test_absent_once_is_not_lost(self, world) -> None:
        submission_id, run = world.start_solving()
        held = world.executor.held.pop(run.id)
        world.tick()
        world.executor.held[run.id] = held
        world.tick(3)
        assert world.see(submission_id).state is S.RUNNING
        assert world.run(submission_id).absences == 0

    def test_absent_twice_is_lost_and_another_run_starts(self, world) -> None:
        submission_id, run = world.start_solving()
        world.add_point(run.id)
        del world.executor.held[run.id]
        world.tick(2)
        assert world.see(submission_id).state is S.QUEUED
        assert world.executor.canceled == [run.id]  # nothing of it may meet its successor
        world.tick()
        old, new = world.runs(submission_id)[1:]
        assert old.state is RunState.LOST
        assert new.state is RunState.RUNNING
        with world.database.read() as session:
            assert len(repository.list_points(session, old.id)) == 1
            assert repository.list_points(session, new.id) == []

    def test_an_executor_that_gives_no_answer_holds_nothing_up(self, world, monkeypatch) -> None:
        submission_id, run = world.start_solving()
        error = PlatformError("cluster-unavailable", "No answer.")
        monkeypatch.setattr(world.executor, "observe", Mock(side_effect=error))
        world.tick(LOST_AFTER_ABSENCES + 1)
        assert world.see(submission_id).state is S.RUNNING
        assert world.run(submission_id).absences == 0  # nothing was said of it
        world.change_run(run.id, deadline=utc_now() - LONG_AGO)
        world.tick()
        assert world.executor.canceled == [run.id]  # unseen, but its time is over

    def test_the_old_run_can_write_no_more(self, world) -> None:
        submission_id, run = world.start_solving()
        del world.executor.held[run.id]
        world.tick(3)
        with pytest.raises(PlatformError, match="may no longer write"):
            world.add_point(run.id)
        assert world.see(submission_id).state is S.RUNNING

    def test_there_are_three_runs_at_most(self, world) -> None:
        submission_id, _ = world.start_solving()
        for _ in range(10):
            world.executor.held.clear()
            world.tick()
        assert world.see(submission_id).state is S.FAILED
        assert len(world.runs(submission_id)) == 1 + 3
        assert world.see(submission_id).error["code"] == "run-lost"

    @pytest.mark.parametrize("end", [End.INFRA, End.KILLED, End.NODE_LOST, End.OK])
    def test_the_platforms_faults_are_repeated(self, world, end) -> None:
        submission_id, run = world.start_solving()
        world.executor.end(run.id, end)
        world.tick(2)
        assert world.see(submission_id).state is S.RUNNING
        assert world.run(submission_id).number == 3

    @pytest.mark.parametrize("end", [End.OOM, End.TIMEOUT, End.DISK, End.PIDS, End.USER_ERROR])
    def test_what_the_data_or_the_solution_did_is_not(self, world, end) -> None:
        submission_id, run = world.start_solving()
        world.executor.end(run.id, end, "Too much.")
        world.tick(2)
        assert world.see(submission_id).state is S.FAILED
        assert world.see(submission_id).status_reason == "Too much."
        assert len(world.runs(submission_id)) == 2

    def test_a_scored_prediction_makes_a_stopped_run_a_success(self, world) -> None:
        submission_id, run = world.start_solving()
        world.add_point(run.id)
        world.executor.end(run.id, End.OOM, "Too much memory.")
        world.tick()
        assert world.see(submission_id).state is S.SUCCEEDED
        assert world.see(submission_id).result["note"] == "Too much memory."

    def test_a_recorded_outcome_stands_whatever_is_seen_later(self, world) -> None:
        submission_id, run = world.start_solving()
        world.add_point(run.id)
        with world.database.write() as session:
            result = service.summarize(repository.list_points(session, run.id))
            service.finish_solve(session, run.id, world.token(run.id), result=result, error=None)
        world.executor.end(run.id, End.INFRA)
        world.tick(3)
        assert world.see(submission_id).state is S.SUCCEEDED
        assert len(world.runs(submission_id)) == 2

    def test_an_outcome_recorded_while_it_was_looked_at_stands(self, world, monkeypatch) -> None:
        submission_id, run = world.start_solving()
        observe = world.executor.observe

        def finish_meanwhile(run_ids: list[str]) -> list[Observation]:
            monkeypatch.undo()
            seen = observe(run_ids)
            world.end_as_reported(run.id)
            return [o.model_copy(update={"phase": Phase.ENDED, "end": End.INFRA}) for o in seen]

        monkeypatch.setattr(world.executor, "observe", finish_meanwhile)
        world.tick(3)
        assert world.see(submission_id).state is S.FAILED
        assert world.see(submission_id).error["code"] == "a-b"
        assert world.run(submission_id).outcome["end"] == "user-error"
        assert len(world.runs(submission_id)) == 2


class TestLimits:
    def test_past_the_backstop_a_run_is_ended_and_not_repeated(self, world) -> None:
        submission_id, run = world.start_solving()
        world.change_run(run.id, deadline=utc_now() - timedelta(seconds=1))
        world.tick(2)
        assert world.see(submission_id).state is S.FAILED
        assert world.run(submission_id).outcome["end"] == "timeout"
        assert len(world.runs(submission_id)) == 2


class TestCancel:
    def test_what_waits_is_canceled_at_once(self, world) -> None:
        submission_id = world.submit()
        world.cancel(submission_id)
        world.tick()
        assert world.see(submission_id).state is S.CANCELED
        assert world.runs(submission_id) == []

    def test_what_runs_is_ended_first_and_gives_its_slot_back(self, world) -> None:
        submission_id, run = world.start_solving()
        other = world.submit()
        world.pass_check(other)
        world.cancel(submission_id)
        world.tick(3)
        assert world.see(submission_id).state is S.CANCELED
        assert world.executor.held[run.id].end is End.CANCELED
        assert world.run(submission_id).outcome["end"] == "canceled"
        assert world.see(other).state is S.RUNNING

    def test_what_disappears_meanwhile_is_canceled_too(self, world) -> None:
        submission_id, run = world.start_solving()
        world.cancel(submission_id)
        del world.executor.held[run.id]
        world.tick(3)
        assert world.see(submission_id).state is S.CANCELED
        assert len(world.runs(submission_id)) == 2

    def test_canceled_before_its_start_is_never_started(self, world) -> None:
        submission_id = world.submit()
        world.executor.refuses = True
        world.tick()
        world.cancel(submission_id)
        world.executor.refuses = False
        world.tick(4)
        assert world.see(submission_id).state is S.CANCELED
        assert world.run(submission_id).outcome["end"] == "canceled"
        assert world.executor.specs == {}


class TestTime:
    def test_a_clock_that_is_set_ends_no_run(self, world, clock, monkeypatch) -> None:
        submission_id, run = world.start_solving()
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + 86400)
        clock.advance(days=1)
        world.tick(2)
        assert world.see(submission_id).state is S.RUNNING
        moved = world.run(submission_id).deadline - run.deadline
        assert abs(moved - timedelta(days=1)) < timedelta(seconds=1)


class TestLogs:
    def test_a_run_that_could_store_nothing_leaves_what_it_had_printed(
        self, world, monkeypatch
    ) -> None:
        submission_id, run = world.start_solving()
        monkeypatch.setattr(world.executor, "logs", lambda run_id, tail_bytes: b"epoch 1")
        world.executor.end(run.id, End.OOM, "Too much memory.")
        world.tick()
        assert world.see(submission_id).state is S.FAILED
        log = world.storage.read(f"{service.run_prefix(run.id)}/{service.LOG_NAME}")
        assert log == b"epoch 1\n[Too much memory.]\n"

    def test_what_it_stored_itself_stays(self, world) -> None:
        _, run = world.start_solving()
        key = f"{service.run_prefix(run.id)}/{service.LOG_NAME}"
        world.storage.put(key, [b"all of it"])
        world.executor.held.clear()
        world.tick(2)
        assert world.storage.read(key) == b"all of it"

    def test_while_the_store_is_away_nothing_is_given_up(self, world, monkeypatch) -> None:
        submission_id, _ = world.start_solving()
        world.executor.held.clear()

        def fail(_key: str) -> bool:
            raise PlatformError("storage-unavailable", "Not now.")

        with monkeypatch.context() as patch:
            patch.setattr(world.storage, "exists", fail)
            world.tick(3)
        assert world.see(submission_id).state is S.RUNNING
        world.tick()
        assert world.see(submission_id).state is S.QUEUED


class TestOrphans:
    def test_a_run_nobody_knows_is_ended(self, world) -> None:
        world.executor.held["ghost"] = Observation(run_id="ghost", phase=Phase.RUNNING)
        world.tick()
        assert world.executor.held["ghost"].phase is Phase.ENDED

    def test_what_is_left_of_a_run_that_died_after_its_report_is_ended(self, world, clock) -> None:
        submission_id, run = world.start_solving()
        world.end_as_reported(run.id)
        world.executor.held[run.id] = Observation(run_id=run.id, phase=Phase.ABSENT)
        world.tick()
        assert world.executor.canceled == []  # it may be ending by itself
        clock.advance(minutes=1)
        world.tick()
        assert world.executor.canceled == [run.id]
        assert world.see(submission_id).state is S.FAILED

    def test_a_finished_run_is_kept_for_a_while_and_then_forgotten(self, world, clock) -> None:
        submission_id, run = world.start_solving()
        world.executor.end(run.id, End.OOM)
        world.tick(2)
        assert world.executor.forgotten == []
        clock.advance(days=30)
        world.tick()
        assert set(world.executor.forgotten) == {r.id for r in world.runs(submission_id)}
        assert world.see(submission_id).state is S.FAILED


class TestLoop:
    def test_one_runs_trouble_is_not_anothers(self, world, monkeypatch) -> None:
        world.executor.slots[RunKind.CHECK] = 2
        bad, good = world.submit(), world.submit()
        world.tick()
        bad_run = world.run(bad).id
        note = service.note_progress

        def fail_for_one(submission: Submission, message: str) -> None:
            if submission.id == bad:
                raise RuntimeError(message)
            note(submission, message)

        monkeypatch.setattr(service, "note_progress", fail_for_one)
        for run_id in (bad_run, world.run(good).id):
            world.executor.held[run_id] = Observation(
                run_id=run_id, phase=Phase.RUNNING, message="At work."
            )
        world.tick()
        assert world.see(good).status_reason == "At work."
        assert world.see(bad).state is S.VALIDATING

    def test_the_loop_outlives_a_failing_executor(self, world, monkeypatch) -> None:
        submission_id = world.submit()
        failed = threading.Event()

        def fail(*_: object) -> list[Observation]:
            failed.set()
            raise RuntimeError("no such engine")

        observe = world.executor.observe
        monkeypatch.setattr(world.executor, "observe", fail)
        settings = world.settings.model_copy(update={"poll_seconds": 0.01})
        with reconciling(settings, world.database, world.storage, world.executor):
            assert failed.wait(10)
            monkeypatch.setattr(world.executor, "observe", observe)
            deadline = utc_now() + timedelta(seconds=10)
            while world.run(submission_id).state is not RunState.RUNNING:
                assert utc_now() < deadline

    def test_of_two_loops_on_one_data_directory_one_decides(self, world) -> None:
        settings = world.settings.model_copy(update={"poll_seconds": 0.01})
        idle = type(world.executor)()
        arguments = (settings, world.database, world.storage)
        with reconciling(*arguments, world.executor):
            first = world.submit()
            while not world.executor.held:
                pass
            with reconciling(*arguments, idle):
                world.cancel(first)
                while world.see(first).state is not S.CANCELED:
                    pass
        assert idle.specs == {}
