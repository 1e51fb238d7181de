"""What is logged for a request tells which request, and of which trace."""

import asyncio

import pytest
import structlog

from service.envelope import Envelope

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


def bind(**headers: str) -> dict[str, str]:
    """What a log line of the request would have."""
    bound = {}

    async def app(_scope, _receive, _send) -> None:
        bound.update(structlog.contextvars.get_contextvars())

    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    asyncio.run(Envelope(app)({"type": "http", "headers": raw}, None, None))
    assert structlog.contextvars.get_contextvars() == {}
    return bound


def test_a_request_and_its_trace_are_in_every_line() -> None:
    own = bind(x_request_id="my-request-1", traceparent=f"00-{TRACE}-{SPAN}-01")
    assert own == {"request_id": "my-request-1", "trace_id": TRACE}


def test_of_a_later_version_the_trace_is_understood() -> None:
    assert bind(traceparent=f"01-{TRACE}-{SPAN}-01-more")["trace_id"] == TRACE


@pytest.mark.parametrize(
    "value",
    [
        "",
        "nonsense",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\nforged line",
    ],
)
def test_what_is_no_trace_is_not_logged(value) -> None:
    assert list(bind(traceparent=value)) == ["request_id"]
