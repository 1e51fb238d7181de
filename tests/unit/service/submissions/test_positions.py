"""A long queue is put in order once for all who ask within a second."""

from types import SimpleNamespace

import pytest

from service.models import RunKind
from service.submissions import positions, repository, service
from service.submissions.positions import KEPT_SECONDS, Positions


@pytest.fixture
def clock(monkeypatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=1.0)
    monkeypatch.setattr(positions, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


@pytest.fixture
def orders(monkeypatch) -> list[RunKind]:
    """What was put in order."""
    made = []
    order = repository.list_waiting

    def list_waiting(session, kind):
        made.append(kind)
        return order(session, kind)

    monkeypatch.setattr(repository, "list_waiting", list_waiting)
    return made


def test_a_long_queue_is_ordered_once_a_second_and_for_who_is_new(
    database, create, clock, orders, monkeypatch
) -> None:
    monkeypatch.setattr(positions, "LONG", 3)
    asked = Positions()
    with database.write() as session:
        first, second, third = (create(session) for _ in range(3))
        assert [asked.find(session, s) for s in (first, second, third)] == [1, 2, 3]
        assert len(orders) == 1
        service.create_run(session, first, RunKind.CHECK, "fake", "secret")
        assert asked.find(session, first) is None  # it is at work
        assert asked.find(session, third) == 3
        assert asked.find(session, create(session)) == 3
        assert asked.find(session, third) == 2
        assert len(orders) == 2
        clock.now += KEPT_SECONDS + 0.1
        assert asked.find(session, third) == 2
        assert len(orders) == 3


def test_a_short_queue_is_always_as_it_is_now(database, create, clock) -> None:
    asked = Positions()
    with database.write() as session:
        first, second = create(session), create(session)
        assert asked.find(session, second) == 2
        service.create_run(session, first, RunKind.CHECK, "fake", "secret")
        assert asked.find(session, second) == 1
