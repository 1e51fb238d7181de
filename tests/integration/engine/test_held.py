"""The reconciler and what waits for its owner."""

from datetime import timedelta

from sqlalchemy import func, select

from service.models import LedgerEntry, Submission, utc_now
from service.models import SubmissionState as S
from service.submissions import holding

LONG_AGO = timedelta(days=30)


def hold(world) -> str:
    submission_id = world.submit()
    with world.database.write() as session:
        session.get_one(Submission, submission_id).review_seconds = 60.0
    world.pass_check(submission_id)
    world.tick()
    assert world.see(submission_id).state is S.HELD
    return submission_id


def change(world, submission_id: str, **values: object) -> None:
    with world.database.write() as session:
        submission = session.get_one(Submission, submission_id)
        for name, value in values.items():
            setattr(submission, name, value)


def test_what_nobody_starts_expires_and_costs_nothing(world) -> None:
    submission_id = hold(world)
    change(world, submission_id, held_until=utc_now() - timedelta(seconds=1))
    world.tick()
    assert world.see(submission_id).state is S.EXPIRED
    with world.database.read() as session:
        used = session.execute(
            select(func.sum(LedgerEntry.submissions), func.sum(LedgerEntry.compute_milliseconds))
        ).one()
    assert tuple(used) == (0, 0)


def test_its_time_in_the_queue_begins_when_it_is_let_run(world) -> None:
    submission_id = hold(world)
    change(world, submission_id, created_at=utc_now() - LONG_AGO)
    world.tick()
    assert world.see(submission_id).state is S.HELD
    with world.database.write() as session:
        holding.start_submission(session, world.account_id, submission_id)
    world.tick()
    assert world.see(submission_id).state is S.RUNNING


def test_one_that_is_discarded_is_canceled(world) -> None:
    submission_id = hold(world)
    world.cancel(submission_id)
    change(world, submission_id, held_until=utc_now() - timedelta(seconds=1))
    world.tick()
    assert world.see(submission_id).state is S.CANCELED
