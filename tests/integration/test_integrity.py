"""The audit says nothing of a good installation, and finds each way in which one can be wrong."""

from datetime import timedelta

import pytest
from sqlalchemy import delete, update

from service.integrity import audit
from service.models import (
    CurvePoint,
    LedgerEntry,
    Run,
    RunKind,
    RunState,
    Submission,
    SubmissionState,
    Transition,
    Upload,
    utc_now,
)

FILES = {
    "log.txt": b"epoch 1\n",
    **{name: b"{}" for name in ("result.json", "curve.json", "manifest.json")},
    **{f"predictions/{i}.predict": b"1 0\n" for i in range(2)},
}
LONG_AGO = timedelta(days=30)


@pytest.fixture
def database_url() -> str:
    """What the audit reads is the same on every database; the backup's drill reads both."""
    return ""


@pytest.fixture
def look(installation):
    context = installation.context

    def look(**options) -> set[str]:
        found = audit(context.settings, context.database, context.storage, **options)
        return {flaw.kind for flaw in found.flaws}

    return look


@pytest.fixture
def succeeded(installation) -> str:
    submission_id = installation.submit(b"PK flowers")
    installation.succeed(submission_id, FILES)
    return submission_id


def test_nothing_is_wrong_with_what_came_and_went_as_it_should(
    installation, succeeded, look
) -> None:
    installation.submit(b"PK waits")
    installation.begin(installation.submit(b"PK runs"), RunKind.CHECK)
    assert look(deep=True, orphan_seconds=0) == set()


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("history", update(Submission).values(state=SubmissionState.FAILED)),
        ("history", delete(Transition).where(Transition.to_state == SubmissionState.QUEUED)),
        (
            "doubled",
            update(Transition)
            .where(Transition.to_state == SubmissionState.SCORING)
            .values(to_state=SubmissionState.SUCCEEDED),
        ),
        ("doubled", update(Run).values(state=RunState.RUNNING)),
        ("reason", update(Run).values(outcome=None)),
        ("score", delete(CurvePoint).where(CurvePoint.index == 1)),
        ("score", update(CurvePoint).where(CurvePoint.index == 1).values(alc=0.123)),
        ("ledger", delete(LedgerEntry)),
        ("ledger", update(LedgerEntry).values(compute_milliseconds=10**9)),
        ("ledger", delete(LedgerEntry).where(LedgerEntry.submissions == 0)),
        ("missing", update(Upload).values(key="uploads/gone/bundle.zip")),
    ],
)
def test_each_way_to_be_wrong_is_found(installation, succeeded, look, kind, change) -> None:
    with installation.context.database.write() as session:
        session.execute(change)
    assert kind in look()


def test_what_waits_for_too_long_is_found(installation, look) -> None:
    submission_id = installation.submit(b"PK runs")
    installation.begin(submission_id, RunKind.CHECK)
    with installation.context.database.write() as session:
        session.execute(update(Run).values(observed_at=utc_now() - LONG_AGO))
    assert look() == {"stuck"}


def test_bytes_are_looked_at_too(installation, succeeded, look) -> None:
    storage = installation.context.storage
    (key,) = storage.list("uploads")
    storage.put(key, [b"PK altered"])
    run_id = storage.list_folders("runs")[0]
    storage.put(f"runs/{run_id[:-1]}{'0' if run_id[-1] != '0' else '1'}/log.txt", [b"x"])
    assert look() == set()  # not read, and too young for its row to be late
    assert look(deep=True, orphan_seconds=0) == {"altered", "orphan"}
