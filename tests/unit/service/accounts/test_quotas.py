"""The ledger sums up; no quota is passed, nor used up by what was not the user's doing."""

from collections import defaultdict
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from autodl.errors import PlatformError
from service.accounts import quotas
from service.accounts.limits import UNLIMITED, LimitError, Limits
from service.executors.base import Capabilities, End
from service.models import (
    Account,
    EntryKind,
    LedgerEntry,
    RunKind,
    RunState,
    Submission,
    Upload,
    UploadState,
    utc_now,
)
from service.reconciler import Reconciler
from service.submissions import asking, repository, service
from tests.unit.service.accounts.conftest import pass_check, start

RESULT = {"alc": 0.5, "note": ""}
OURS = {"family": "platform", "code": "run-lost", "message": "A machine died."}
THEIRS = {"family": "data", "code": "record-crc-mismatch", "message": "Record 3 is damaged."}


def submit(session, account_id: str, limits: Limits = UNLIMITED, budget: float = 60) -> Submission:
    bundle = Upload(key="uploads/x/bundle.zip", size_bytes=10, sha256="0" * 64)
    request = asking.Request("flowers", budget, "winner", limits)
    return service.create_submission(session, account_id, request, bundle)


def succeed(session, submission: Submission, seconds: float) -> None:
    pass_check(session, submission)
    run, token = start(session, submission)
    run.started_at -= timedelta(seconds=seconds)
    service.finish_solve(session, run.id, token, result=RESULT, error=None)


def reject(session, submission: Submission, _seconds: float) -> None:
    run, token = start(session, submission, RunKind.CHECK)
    service.finish_check(session, run.id, token, {"findings": []}, THEIRS)


def fail(session, submission: Submission, seconds: float) -> None:
    """Lost three times."""
    pass_check(session, submission)
    for _ in range(service.RETRIES + 1):
        run, _ = start(session, submission)
        run.started_at -= timedelta(seconds=seconds)
        service.lose_run(session, submission, run, End.NODE_LOST, "The machine died.")


def cancel_waiting(session, submission: Submission, _seconds: float) -> None:
    service.end_canceled(session, submission)


def cancel_running(session, submission: Submission, seconds: float) -> None:
    pass_check(session, submission)
    run, _ = start(session, submission)
    run.started_at -= timedelta(seconds=seconds)
    submission.cancel_wanted = True
    service.lose_run(session, submission, run, End.CANCELED, "Stopped.")


def expire(session, submission: Submission, _seconds: float) -> None:
    service.end_expired(session, submission)


def lose_once_then_succeed(session, submission: Submission, seconds: float) -> None:
    pass_check(session, submission)
    run, _ = start(session, submission)
    run.started_at -= timedelta(seconds=30)
    service.lose_run(session, submission, run, End.INFRA, "The disk was full.")
    run, token = start(session, submission)
    run.started_at -= timedelta(seconds=seconds)
    service.finish_solve(session, run.id, token, result=RESULT, error=None)


#: each way a life can end, and whether the user got something for it
LIVES = {
    succeed: True,
    lose_once_then_succeed: True,
    cancel_running: True,
    reject: False,
    fail: False,
    cancel_waiting: False,
    expire: False,
}


@pytest.mark.parametrize(("life", "counts"), LIVES.items(), ids=[f.__name__ for f in LIVES])
def test_what_counts_is_what_was_used(database, account_id, life, counts) -> None:
    with database.write() as session:
        submission = submit(session, account_id)
        held = quotas.read_usage(session, account_id)
        assert (held.submissions, held.compute_seconds) == (1, 60)
        life(session, submission, 20)
        used = quotas.read_usage(session, account_id)
    assert used.submissions == (1 if counts else 0)
    assert used.compute_seconds == pytest.approx(20 if counts else 0, abs=5)


@pytest.mark.parametrize(
    ("family", "cause"),
    [("solution", "the solution failed"), ("platform", "the platform failed")],
)
def test_a_refund_says_whose_fault_it_was(database, account_id, family, cause) -> None:
    with database.write() as session:
        submission = submit(session, account_id)
        pass_check(session, submission)
        run, token = start(session, submission)
        error = OURS | {"family": family}
        service.finish_solve(session, run.id, token, result=None, error=error)
        assert quotas.find_settlement(session, submission.id).cause == cause
        assert quotas.read_usage(session, account_id).submissions == 0


def test_a_success_after_a_fault_of_ours_is_free(database, account_id) -> None:
    with database.write() as session:
        submission = submit(session, account_id)
        pass_check(session, submission)
        run, token = start(session, submission)
        service.record_point(session, run.id, token, {"index": 0, "seconds": 1.0, "alc": 0.1})
        service.end_with_points(session, submission, run, OURS)
        assert submission.state == "succeeded"
        assert quotas.read_usage(session, account_id).submissions == 0


lives = st.sampled_from(list(LIVES))
steps = st.lists(st.tuples(st.integers(0, 2), lives, st.floats(0, 90), st.booleans()), max_size=12)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps)
def test_the_ledger_sums_up_whatever_happens(database, add_account, steps) -> None:
    """Of each submission one hold, and one settlement as soon as it has ended, never above it."""
    with database.write() as session:
        accounts = [Account(name=f"{utc_now()} {n}") for n in range(3)]
        session.add_all(accounts)
        session.flush()
        expected = defaultdict(int)
        for who, life, seconds, ends in steps:
            account_id = accounts[who].id
            submission = submit(session, account_id)
            expected[account_id] += 1
            if ends:
                life(session, submission, seconds)
                expected[account_id] -= not LIVES[life]
        for account in accounts:
            usage = quotas.read_usage(session, account.id)
            assert usage.submissions == expected[account.id]
            assert 0 <= usage.compute_seconds <= 60 * usage.submissions
        for submission in session.scalars(
            select(Submission).where(Submission.account_id.in_([a.id for a in accounts]))
        ):
            entries = session.scalars(
                select(LedgerEntry).where(LedgerEntry.submission_id == submission.id)
            ).all()
            kinds = sorted(e.kind for e in entries)
            ended = submission.ended_at is not None
            assert kinds == ([EntryKind.HOLD, EntryKind.SETTLE] if ended else [EntryKind.HOLD])
            assert sum(e.submissions for e in entries) in (0, 1)
            assert 0 <= sum(e.compute_milliseconds for e in entries) <= 60_000
            assert len({e.day for e in entries}) == 1


def test_a_run_that_reports_twice_is_settled_once(database, account_id) -> None:
    with database.write() as session:
        submission = submit(session, account_id)
        pass_check(session, submission)
        run, token = start(session, submission)
        service.finish_solve(session, run.id, token, result=RESULT, error=None)
        run_id = run.id
    with pytest.raises(PlatformError, match="may no longer write"), database.write() as session:
        service.finish_solve(session, run_id, token, result=RESULT, error=None)
    with database.read() as session:
        query = select(func.count()).select_from(LedgerEntry)
        assert session.scalar(query) == 2


@pytest.mark.parametrize(
    ("limits", "quota"),
    [
        (Limits(submissions_per_day=2), "submissions_per_day"),
        (Limits(compute_minutes_per_day=2.5), "compute_minutes_per_day"),
    ],
)
def test_a_days_quota_ends_and_says_when_it_begins_anew(
    database, account_id, limits, quota
) -> None:
    with database.write() as session:
        submit(session, account_id, limits)
        submit(session, account_id, limits)
        with pytest.raises(LimitError) as caught:
            submit(session, account_id, limits)
    assert caught.value.code == "quota-exceeded"
    assert caught.value.extra["quota"] == quota
    assert 1 <= int(caught.value.headers["Retry-After"]) <= 86400
    assert "The next day begins at" in caught.value.hint


def test_what_is_refunded_can_be_used_again(database, account_id) -> None:
    limits = Limits(submissions_per_day=1, compute_minutes_per_day=1)
    with database.write() as session:
        for _ in range(3):
            reject(session, submit(session, account_id, limits), 0)
        succeed(session, submit(session, account_id, limits), 60)
        with pytest.raises(LimitError):
            submit(session, account_id, limits)


def test_yesterdays_submissions_do_not_count_today(database, account_id) -> None:
    limits = Limits(submissions_per_day=1)
    with database.write() as session:
        submission = submit(session, account_id, limits)
        entry = session.scalars(select(LedgerEntry)).one()
        entry.day -= timedelta(days=1)
        session.flush()
        submit(session, account_id, limits)
        reject(session, submission, 0)  # refunded to the day that it was charged to
        assert quotas.read_usage(session, account_id).submissions == 1
        assert quotas.read_usage(session, account_id, entry.day).submissions == 0


def test_an_accounts_own_limits_go_before_the_operators(database, add_account) -> None:
    operators = Limits(submissions_per_day=2, parallel_runs=1)
    free = add_account("free", limits={"submissions_per_day": None})
    with database.read() as session:
        limits = quotas.get_limits(session, free, operators)
    assert (limits.submissions_per_day, limits.parallel_runs) == (None, 1)


def keep(session, account_id: str, key: str, size_bytes: int) -> None:
    session.add(
        Upload(
            account_id=account_id,
            name="a",
            state=UploadState.OPEN,
            key=key,
            size_bytes=size_bytes,
            part_bytes=10,
            expires_at=utc_now(),
        )
    )
    session.flush()


def test_stored_bytes_are_counted_where_they_lie(database, account_id) -> None:
    limits = Limits(stored_bytes=100)
    with database.write() as session:
        quotas.check(session, account_id, limits, new_bytes=100)
        keep(session, account_id, "k", 60)
        quotas.check(session, account_id, limits, new_bytes=40)
        with pytest.raises(LimitError, match="101 bytes of your 100") as caught:
            quotas.check(session, account_id, limits, new_bytes=41)
    assert "Retry-After" not in caught.value.headers  # waiting does not help


def test_bytes_that_two_uploads_share_count_once(database, account_id) -> None:
    with database.write() as session:
        for key in ("k", "k", "other"):
            keep(session, account_id, key, 60)
        assert quotas.read_usage(session, account_id).stored_bytes == 120


def test_an_account_at_its_cap_of_runs_is_passed_over(database, account_id, settings) -> None:
    """The reconciler's own choice, with two slots and a cap of one."""

    class TwoSlots:
        name = "fake"

        def capabilities(self) -> Capabilities:
            slots = {RunKind.CHECK: 2, RunKind.SOLVE: 2}
            return Capabilities(slots=slots, isolation="none", gpus=0, enforced=frozenset())

    class Store:
        def url(self, key: str) -> str:
            return f"file:///{key}"

    with database.write() as session:
        submissions = [submit(session, account_id) for _ in range(3)]
    capped = settings.model_copy(update={"quota_parallel_runs": 1})
    Reconciler(capped, database, Store(), TwoSlots())._create_runs(RunKind.CHECK)
    with database.read() as session:
        runs = repository.list_live_runs(session)
        assert [r.submission_id for r in runs] == [submissions[0].id]
        assert runs[0].state is RunState.CREATED
        waiting = session.get_one(Submission, submissions[1].id)
        assert (
            waiting.status_reason
            == "Waiting for one of your own runs to end: 1 may be at work at once."
        )
