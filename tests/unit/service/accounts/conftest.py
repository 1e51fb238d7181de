"""One kind of database is enough here: that both do the same is tested beside ``service/db.py``."""

from collections.abc import Callable

import pytest

from service.models import Account, RunKind, Submission
from service.submissions import repository, service

SECRET = "of these tests"


@pytest.fixture
def database_url() -> str:
    return ""


@pytest.fixture
def add_account(database) -> Callable[..., str]:
    """A further account; its id."""

    def add(name: str, **values) -> str:
        with database.write() as session:
            account = Account(name=name, **values)
            session.add(account)
            session.flush()
            return account.id

    return add


def start(session, submission: Submission, kind: RunKind = RunKind.SOLVE):
    """Give the submission a run that is at work; the run, and its token."""
    run = service.create_run(session, submission, kind, "fake", SECRET)
    session.flush()
    service.note_submitted(session, run.id)
    service.note_started(session, submission, run)
    return run, repository.make_token(SECRET, run.id)


def pass_check(session, submission: Submission) -> None:
    run, token = start(session, submission, RunKind.CHECK)
    service.finish_check(session, run.id, token, {"findings": [], "summary": {}}, None)
