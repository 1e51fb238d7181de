"""The queue's order, pages and what can be seen of others."""

import pytest
from sqlalchemy import event

from autodl.errors import UsageError
from service.accounts.tokens import hash_secret
from service.models import Account, RunKind, RunState, SubmissionState
from service.submissions import repository, service


@pytest.fixture
def other_id(database) -> str:
    with database.write() as session:
        other = Account(name="bob")
        session.add(other)
        session.flush()
        return other.id


def test_pages_follow_on_another_without_gap_or_repeat(database, create, account_id) -> None:
    with database.write() as session:
        made = [create(session).id for _ in range(5)]
    seen, before = [], None
    with database.read() as session:
        while page := repository.list_submissions(session, account_id, limit=2, before=before):
            seen += [s.id for s in page]
            before = page[-1].id
    assert seen == made[::-1]


def test_an_account_sees_its_own_submissions_only(database, create, account_id, other_id) -> None:
    with database.write() as session:
        submission = create(session)
        assert list(repository.list_submissions(session, other_id, limit=9)) == []
        with pytest.raises(UsageError):
            repository.get_submission(session, other_id, submission.id)


def waiting_ids(session) -> list[str]:
    return [waiting.id for waiting in repository.list_waiting(session, RunKind.CHECK)]


def test_the_oldest_waits_first(database, create) -> None:
    with database.write() as session:
        made = [create(session) for _ in range(3)]
        assert waiting_ids(session) == [s.id for s in made]
        assert repository.list_waiting(session, RunKind.SOLVE) == []


def test_one_with_runs_at_work_waits_behind_one_without(database, create, other_id) -> None:
    with database.write() as session:
        first, second = create(session), create(session)
        others = create(session, other_id)
        service.create_run(session, first, RunKind.CHECK, "fake", "secret")
        assert waiting_ids(session) == [others.id, second.id]


def test_a_submission_whose_run_ended_unrecorded_waits_again(database, create) -> None:
    with database.write() as session:
        submission = create(session)
        run = service.create_run(session, submission, RunKind.CHECK, "fake", "secret")
        assert waiting_ids(session) == []
        run.state = RunState.LOST
        assert waiting_ids(session) == [submission.id]


def test_tokens_differ_by_run_and_secret_and_are_kept_as_digests() -> None:
    token = repository.make_token("secret", "run")
    assert token == repository.make_token("secret", "run")
    assert token != repository.make_token("secret", "other")
    assert token != repository.make_token("other", "run")
    assert token not in hash_secret(token)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "filters", [{}, {"before": "x"}, {"states": [SubmissionState.FAILED], "name": "flower"}]
)
def test_a_page_is_found_in_an_index_alone(database, account_id, filters) -> None:
    asked = []

    def note(connection, cursor, statement, parameters, context, many) -> None:
        asked.append((statement, parameters))

    with database.read() as session:
        event.listen(session.get_bind(), "before_cursor_execute", note)
        repository.list_submissions(session, account_id, limit=20, **filters)
        event.remove(session.get_bind(), "before_cursor_execute", note)
        statement, parameters = next(a for a in asked if a[0].startswith("SELECT"))
        plan = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        steps = [row[-1] for row in plan]
    assert len(steps) == 1, steps  # it sorts nothing
    assert "USING COVERING INDEX ix_submission_account_id_id" in steps[0]
