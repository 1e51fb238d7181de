"""A submission's life: which steps there are, who may take them, and what is kept of each."""

import itertools
from datetime import timedelta

import pytest

from autodl.errors import PlatformError, UsageError
from service.executors.base import End
from service.models import RunKind, RunState, utc_now
from service.models import SubmissionState as S
from service.settings import Settings
from service.submissions import asking, repository, service

SECRET = "secret"
POINT = {"index": 0, "seconds": 1.0, "nauc": 0.5, "accuracy": 0.7, "alc": 0.4}
FAULT = {"family": "solution", "code": "solution-train", "message": "It raised.", "hint": ""}


@pytest.fixture
def session(database, account_id):  # the account is written before this transaction begins
    with database.write() as session:
        yield session


def start_run(session, submission, kind):
    run = service.create_run(session, submission, kind, "fake", SECRET)
    return run, repository.make_token(SECRET, run.id)


@pytest.fixture
def solving(session, create):
    """A submission whose solve run is at work, the run, and its token."""
    submission = create(session)
    check, token = start_run(session, submission, RunKind.CHECK)
    service.finish_check(session, check.id, token, {"findings": []}, None)
    run, token = start_run(session, submission, RunKind.SOLVE)
    service.note_started(session, submission, run)
    return submission, run, token


def history(session, submission) -> list[tuple[S | None, S]]:
    steps = repository.list_transitions(session, submission.id)
    return [(step.from_state, step.to_state) for step in steps]


class TestStates:
    def test_every_state_but_the_last_ones_leads_on(self) -> None:
        assert {s for s in S if s not in service.TRANSITIONS} == service.ENDED

    def test_every_unfinished_state_may_fail_or_be_canceled(self) -> None:
        for state in set(S) - service.ENDED:
            assert {S.FAILED, S.CANCELED} <= service.TRANSITIONS[state]

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            (a, b)
            for a, b in itertools.product(S, S)
            if b not in service.TRANSITIONS.get(a, frozenset())
        ],
        ids=str,
    )
    def test_an_illegal_step_is_refused(self, session, create, before, after) -> None:
        submission = create(session)
        submission.state = before
        with pytest.raises(ValueError, match="not a step"):
            service.transition(session, submission, after, actor="test", cause="none")
        assert submission.state is before


class TestRequest:
    def test_defaults_fill_what_is_not_said(self, settings) -> None:
        asked = asking.check_request(settings)
        assert (asked.name, asked.budget_seconds, asked.solution) == ("dataset", 1200.0, "winner")
        assert asked.retained_until > utc_now() + timedelta(days=89)

    def test_blanks_in_a_name_are_squeezed(self, settings) -> None:
        assert asking.check_request(settings, name=" my \n flowers ").name == "my flowers"

    @pytest.mark.parametrize(
        ("code", "asked"),
        [
            ("submission-name-invalid", {"name": "x" * 201}),
            ("submission-name-invalid", {"name": "a\x00b"}),
            ("budget-out-of-range", {"budget_seconds": 0.5}),
            ("budget-out-of-range", {"budget_seconds": 1e9}),
            ("budget-out-of-range", {"budget_seconds": float("nan")}),
            ("solution-unknown", {"solution": "../etc"}),
        ],
    )
    def test_what_cannot_be_is_refused_with_a_code(self, settings: Settings, code, asked) -> None:
        with pytest.raises(UsageError) as caught:
            asking.check_request(settings, **asked)
        assert caught.value.code == code


class TestCancel:
    def test_asking_twice_is_asking_once(self, session, create, account_id) -> None:
        submission = create(session)
        for _ in range(2):
            service.cancel_submission(session, account_id, submission.id)
        assert submission.cancel_wanted
        assert submission.state is S.VALIDATING
        assert "canceled" in submission.status_reason

    def test_what_has_ended_cannot_be_canceled(self, session, solving, account_id) -> None:
        submission, run, token = solving
        service.finish_solve(session, run.id, token, result=None, error=FAULT)
        with pytest.raises(UsageError) as caught:
            service.cancel_submission(session, account_id, submission.id)
        assert caught.value.code == "submission-ended"

    def test_another_accounts_submission_does_not_exist(self, session, create) -> None:
        with pytest.raises(UsageError) as caught:
            service.cancel_submission(session, "somebody", create(session).id)
        assert caught.value.code == "submission-not-found"


class TestOutcomes:
    def test_good_data_go_to_the_queue_with_their_report(self, session, create) -> None:
        submission = create(session)
        run, token = start_run(session, submission, RunKind.CHECK)
        service.finish_check(session, run.id, token, {"findings": [1]}, None)
        assert submission.state is S.QUEUED
        assert submission.report == {"findings": [1]}
        assert run.state is RunState.ENDED

    def test_bad_data_are_rejected_with_the_reason(self, session, create) -> None:
        submission = create(session)
        run, token = start_run(session, submission, RunKind.CHECK)
        error = FAULT | {"family": "data", "message": "A file is missing."}
        service.finish_check(session, run.id, token, {"findings": []}, error)
        assert submission.state is S.REJECTED
        assert submission.error == error
        assert submission.status_reason == "A file is missing."
        assert submission.ended_at is not None

    def test_the_whole_life_is_in_the_history(self, session, solving) -> None:
        submission, run, token = solving
        service.record_point(session, run.id, token, POINT)
        result = service.summarize(repository.list_points(session, run.id))
        service.finish_solve(session, run.id, token, result=result, error=None)
        assert history(session, submission) == [
            (None, S.VALIDATING),
            (S.VALIDATING, S.QUEUED),
            (S.QUEUED, S.RUNNING),
            (S.RUNNING, S.SCORING),
            (S.SCORING, S.SUCCEEDED),
        ]
        assert submission.result["nauc"] == 0.5
        assert submission.result["points"] == 1

    def test_a_result_stands_although_the_solution_failed_later(self, session, solving) -> None:
        submission, run, token = solving
        service.record_point(session, run.id, token, POINT)
        result = service.summarize(repository.list_points(session, run.id), note="It raised.")
        service.finish_solve(session, run.id, token, result=result, error=FAULT)
        assert submission.state is S.SUCCEEDED
        assert submission.status_reason == "It raised."
        assert submission.error == FAULT

    @pytest.mark.parametrize(("family", "state"), [("solution", S.FAILED), ("data", S.REJECTED)])
    def test_without_a_result_the_family_decides(self, session, solving, family, state) -> None:
        submission, run, token = solving
        error = FAULT | {"family": family}
        service.finish_solve(session, run.id, token, result=None, error=error)
        assert submission.state is state

    def test_a_run_faster_than_the_reconciler_still_goes_through_each_state(
        self, session, create
    ) -> None:
        submission = create(session)
        check, token = start_run(session, submission, RunKind.CHECK)
        service.finish_check(session, check.id, token, {"findings": []}, None)
        run, token = start_run(session, submission, RunKind.SOLVE)
        service.finish_solve(session, run.id, token, result=None, error=FAULT)
        assert [to for _, to in history(session, submission)][2:] == [
            S.RUNNING,
            S.SCORING,
            S.FAILED,
        ]


class TestFence:
    def refused(self, act, *arguments, **named) -> None:
        with pytest.raises(PlatformError) as caught:
            act(*arguments, **named)
        assert caught.value.code == "run-superseded"

    def test_another_token_opens_nothing(self, session, solving) -> None:
        _, run, _ = solving
        self.refused(service.record_point, session, run.id, "wrong", POINT)
        assert list(repository.list_points(session, run.id)) == []

    def test_a_lost_run_can_write_no_more(self, session, solving) -> None:
        submission, run, token = solving
        service.lose_run(session, submission, run, End.NODE_LOST, "Gone.")
        self.refused(service.record_point, session, run.id, token, POINT)
        self.refused(service.finish_solve, session, run.id, token, result=None, error=FAULT)
        assert submission.state is S.QUEUED

    def test_a_replaced_run_can_write_no_more(self, session, solving) -> None:
        submission, run, token = solving
        start_run(session, submission, RunKind.SOLVE)
        self.refused(service.begin_scoring, session, run.id, token)

    def test_an_outcome_is_recorded_once(self, session, solving) -> None:
        _, run, token = solving
        service.finish_solve(session, run.id, token, result=None, error=FAULT)
        self.refused(service.finish_solve, session, run.id, token, result=None, error=None)

    def test_a_point_reported_twice_is_one_point(self, session, solving) -> None:
        _, run, token = solving
        for _ in range(2):
            service.record_point(session, run.id, token, POINT)
        assert [p.index for p in repository.list_points(session, run.id)] == [0]


class TestLoss:
    def test_a_lost_check_waits_for_another_one(self, session, create) -> None:
        submission = create(session)
        run, _ = start_run(session, submission, RunKind.CHECK)
        service.lose_run(session, submission, run, End.INFRA, "The disk is full.")
        assert submission.state is S.VALIDATING
        assert submission.status_reason.startswith("The disk is full. Waiting")

    def test_the_third_loss_is_the_last_and_says_whose_fault_it_was(self, session, solving) -> None:
        submission, run, _ = solving
        for _ in range(service.RETRIES):
            service.lose_run(session, submission, run, End.INFRA, "The disk is full.")
            assert submission.state is S.QUEUED
            run, _ = start_run(session, submission, RunKind.SOLVE)
            service.note_started(session, submission, run)
        service.lose_run(session, submission, run, End.INFRA, "The disk is full.")
        assert submission.state is S.FAILED
        assert submission.error["family"] == "platform"
        assert "The disk is full." in submission.error["message"]

    def test_points_of_the_last_loss_count(self, session, solving) -> None:
        submission, run, token = solving
        service.record_point(session, run.id, token, POINT)
        service.stop_run(session, submission, run, End.TIMEOUT, "Too long.")
        assert submission.state is S.SUCCEEDED
        assert submission.result["alc"] == 0.4
        assert submission.result["note"] == "Too long."

    def test_a_stopped_run_without_points_is_not_repeated(self, session, solving) -> None:
        submission, run, _ = solving
        service.stop_run(session, submission, run, End.OOM, "Out of memory.")
        assert submission.state is S.FAILED
        assert submission.error["family"] == "solution"

    def test_a_loss_while_canceling_ends_the_submission(self, session, solving, account_id) -> None:
        submission, run, _ = solving
        service.cancel_submission(session, account_id, submission.id)
        service.lose_run(session, submission, run, End.NODE_LOST, "Gone.")
        assert submission.state is S.CANCELED
