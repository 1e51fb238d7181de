"""Nobody may keep a request open by sending its body byte by byte."""

import asyncio

import pytest
from starlette.exceptions import HTTPException

from service import body
from service.body import Patience

SCOPE = {"type": "http"}


async def read_all(_scope, receive, _send) -> None:
    while (await receive()).get("more_body"):
        pass


def send_slowly(app, pieces: list[bytes], pause_seconds: float) -> None:
    """Have the application read a body whose pieces come with pauses, and then nothing."""
    left = list(pieces)

    async def receive():
        await asyncio.sleep(pause_seconds if left else 3600)
        piece = left.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(left)}

    asyncio.run(Patience(app)(SCOPE, receive, None))


@pytest.fixture(autouse=True)
def short(monkeypatch) -> None:
    monkeypatch.setattr(body, "PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(body, "PATIENCE_BYTES", 100)


@pytest.mark.parametrize("pause_seconds", [0.02, 3600], ids=["byte by byte", "not at all"])
def test_a_body_that_does_not_come_is_refused(pause_seconds) -> None:
    with pytest.raises(HTTPException) as refusal:
        send_slowly(read_all, [b"x"] * 100, pause_seconds)
    assert refusal.value.status_code == 408
    assert refusal.value.headers == {"Connection": "close"}


def test_a_slow_link_that_goes_on_sends_everything() -> None:
    send_slowly(read_all, [b"x" * 60] * 10, 0.02)  # for twice as long as nothing may come


def test_time_that_we_take_ourselves_is_not_the_senders() -> None:
    async def write_slowly(_scope, receive, _send) -> None:
        while (await receive()).get("more_body"):
            await asyncio.sleep(0.06)

    send_slowly(write_slowly, [b"x"] * 4, 0)


def test_after_the_body_one_may_wait_for_the_end_of_the_connection() -> None:
    async def follow(_scope, receive, _send) -> None:
        await receive()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(receive(), 0.3)

    send_slowly(follow, [b"{}"], 0)
