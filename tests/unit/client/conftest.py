"""Both clients, and pauses that take no time."""

import time

import anyio
import pytest

from tests.unit.client.played import Asynchronous, Blocking


@pytest.fixture(params=[Blocking, Asynchronous], ids=["blocking", "async"])
def connect(request: pytest.FixtureRequest) -> type[Blocking]:
    return request.param


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that a client would have waited."""
    taken: list[float] = []

    async def sleep(seconds: float) -> None:
        taken.append(seconds)

    monkeypatch.setattr(time, "sleep", taken.append)
    monkeypatch.setattr(anyio, "sleep", sleep)
    return taken
