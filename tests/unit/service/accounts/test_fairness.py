"""The order among users: in proportion to their weights, and nobody waits for ever."""

from dataclasses import dataclass
from datetime import timedelta
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.accounts import fairness
from service.accounts.fairness import Share, order
from service.models import Account, Run, RunKind, Submission, SubmissionState, Upload
from service.submissions import asking, repository, service
from tests.unit.service.accounts.conftest import pass_check, start

IDS = count()


@dataclass
class Job:
    account_id: str
    second: int
    budget_seconds: float = 60.0
    id: str = ""

    def __post_init__(self) -> None:
        self.id = f"{self.second:02} {next(IDS):09}"  # as a submission's, which sorts by time


def jain(shares: list[float]) -> float:
    """Jain's fairness index: 1 when all are equal, 1/n when one has everything."""
    return sum(shares) ** 2 / (len(shares) * sum(s * s for s in shares))


jobs = st.lists(
    st.builds(Job, st.sampled_from("abcd"), st.integers(0, 99), st.floats(1, 7200)), max_size=40
)
shares = st.fixed_dictionaries(
    {
        name: st.builds(Share, st.floats(0.1, 10), st.floats(0, 1e6), st.floats(0, 1e6))
        for name in "abcd"
    }
)


@given(jobs, shares)
def test_everyone_is_in_the_order_once_and_oldest_first_within_an_account(jobs, shares) -> None:
    ordered = order(jobs, shares, RunKind.SOLVE)
    assert sorted(j.id for j in ordered) == sorted(j.id for j in jobs)
    for account_id in "abcd":
        own = [j.id for j in ordered if j.account_id == account_id]
        assert own == sorted(own)


@given(jobs, shares)
def test_no_account_is_served_while_another_with_a_smaller_tag_waits(jobs, shares) -> None:
    tags = {name: share.tag for name, share in shares.items()}
    left = [j.account_id for j in jobs]
    for job in order(jobs, shares, RunKind.SOLVE):
        assert tags[job.account_id] <= min(tags[a] for a in left)
        left.remove(job.account_id)
        tags[job.account_id] += job.budget_seconds / shares[job.account_id].weight


def test_accounts_get_slots_in_proportion_to_their_weights() -> None:
    waiting = [Job(a, second) for second in range(40) for a in "abc"]
    weights = {"a": Share(1.0), "b": Share(1.0), "c": Share(2.0)}
    first = [j.account_id for j in order(waiting, weights, RunKind.SOLVE)[:40]]
    assert (first.count("a"), first.count("b"), first.count("c")) == (10, 10, 20)


class Queue:
    """One slot, real rows: whoever is first in the queue is served at once, whole."""

    def __init__(self, session) -> None:
        self.session = session
        self.served: dict[str, float] = {}

    def submit(self, account_id: str, budget: float = 60.0) -> Submission:
        bundle = Upload(key="uploads/x/bundle.zip", size_bytes=10, sha256="0" * 64)
        request = asking.Request("flowers", budget, "winner")
        submission = service.create_submission(self.session, account_id, request, bundle)
        pass_check(self.session, submission)
        return submission

    def start(self) -> tuple[Run, str]:
        first = repository.list_waiting(self.session, RunKind.SOLVE)[0]
        return start(self.session, self.session.get_one(Submission, first.id))

    def finish(self, run: Run, token: str) -> Submission:
        submission = self.session.get_one(Submission, run.submission_id)
        seconds = submission.budget_seconds
        run.started_at -= timedelta(seconds=seconds)
        result = {"alc": 0.5, "note": ""}
        service.finish_solve(self.session, run.id, token, result=result, error=None)
        self.served[submission.account_id] = self.served.get(submission.account_id, 0.0) + seconds
        return submission

    def serve(self) -> Submission:
        return self.finish(*self.start())


@pytest.fixture
def queue(database):
    with database.write() as session:
        yield Queue(session)


@pytest.fixture
def add_account_in(queue):
    """A further account in the queue's own transaction; its id."""

    def add(name: str) -> str:
        account = Account(name=name)
        queue.session.add(account)
        queue.session.flush()
        return account.id

    return add


def test_who_submits_much_and_who_submits_long_get_the_same(queue, add_account_in) -> None:
    many, long, usual = (add_account_in(name) for name in ("many", "long", "usual"))
    for _ in range(40):
        queue.submit(many, 30.0)
    for _ in range(10):
        queue.submit(long, 240.0)
    for _ in range(20):
        queue.submit(usual, 60.0)
    while sum(queue.served.values()) < 2400:
        queue.serve()
    assert jain(list(queue.served.values())) >= 0.95
    assert len(queue.served) == 3


def test_a_heavy_user_delays_a_light_one_by_no_run_more_than_the_one_at_work(
    queue, add_account_in
) -> None:
    heavy, light = add_account_in("heavy"), add_account_in("light")
    for _ in range(10):
        queue.submit(heavy)
    for _ in range(4):
        queue.serve()
    run, token = queue.start()
    wanted = queue.submit(light)
    queue.finish(run, token)
    assert queue.serve() is wanted


def test_nobody_starves_while_newcomers_keep_coming(queue, add_account_in) -> None:
    """Each round a new account submits; the one with the largest tag is served all the same."""
    heavy = add_account_in("heavy")
    queue.submit(heavy)
    queue.serve()
    queue.session.get_one(Account, heavy).fair_tag += 600  # ten runs ahead of everybody
    wanted = queue.submit(heavy)
    for number in range(60):
        queue.submit(add_account_in(f"newcomer {number}"))
        if queue.serve() is wanted:
            return
    pytest.fail("the old account still waits after sixty runs of newcomers")


def test_a_newcomer_gets_no_more_than_those_who_compete_for_long(queue, add_account_in) -> None:
    """Though others compete all the while that want less than their share: they slow the clock."""
    for number in range(8):
        start(queue.session, queue.submit(add_account_in(f"modest {number}")))
    old = [add_account_in(name) for name in ("first", "second")]
    for _ in range(20):
        for account_id in old:
            queue.submit(account_id)
    for _ in range(20):
        queue.serve()
    newcomer = add_account_in("newcomer")
    for _ in range(10):
        queue.submit(newcomer)
    served = [queue.serve().account_id for _ in range(9)]
    assert min(served.count(account_id) for account_id in (*old, newcomer)) >= 2


def test_idle_time_is_no_credit(queue, add_account_in) -> None:
    busy, idle = add_account_in("busy"), add_account_in("idle")
    for _ in range(10):
        queue.submit(busy)
        queue.serve()
    for _ in range(4):
        queue.submit(busy)
        queue.submit(idle)
    served = [queue.serve().account_id for _ in range(8)]
    assert [served[i : i + 2].count(idle) for i in range(0, 8, 2)] == [1, 1, 1, 1]


def test_an_account_is_charged_for_what_its_runs_took_not_for_what_they_might(
    queue, add_account_in
) -> None:
    quick = add_account_in("quick")
    queue.submit(quick, 100.0)
    run, token = queue.start()
    assert fairness.read_shares(queue.session, [quick])[quick].tag >= 100
    run.started_at -= timedelta(seconds=20)
    service.finish_solve(queue.session, run.id, token, result={"alc": 1, "note": ""}, error=None)
    assert fairness.read_shares(queue.session, [quick])[quick].tag == pytest.approx(20, abs=5)


def test_every_state_competes_that_has_not_ended_and_is_not_held_by_its_owner() -> None:
    asleep = service.ENDED | {SubmissionState.HELD}
    assert set(fairness.COMPETING) == set(SubmissionState) - asleep
