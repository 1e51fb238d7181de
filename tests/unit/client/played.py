"""A service that is played, and both clients spoken to in one way."""

import functools
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import httpx2

from client import AsyncClient, Client, Event

SUBMISSION = {
    "id": "s1",
    "name": "toy",
    "state": "running",
    "status_reason": "The solution is learning.",
    "is_over": False,
    "queue_position": None,
    "budget_seconds": 60.0,
    "solution": "winner",
    "created_at": "2026-11-25T16:32:58.646887Z",
    "ended_at": None,
    "result": None,
    "error": None,
    "a_later_version_says": "more",
}
RESULT = {
    "alc": 0.6,
    "nauc": 0.9,
    "accuracy": None,
    "points": 2,
    "first_prediction_seconds": 1.5,
    "duration_seconds": 31.0,
    "later": 1,
}
DONE = {**SUBMISSION, "state": "succeeded", "is_over": True, "result": RESULT}
POINT = {"index": 0, "seconds": 1.5, "nauc": 0.9, "accuracy": 0.8, "alc": 0.6}

Handler = Callable[[httpx2.Request], httpx2.Response]


class Stream(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """Bytes that may break off."""

    def __init__(self, *chunks: bytes, breaks: bool = False) -> None:
        self.chunks, self.breaks = chunks, breaks

    def __iter__(self) -> Iterator[bytes]:
        yield from self.chunks
        if self.breaks:
            raise httpx2.ReadError("cut")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self:
            yield chunk


def event(kind: str, data: object, number: int) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(data)}\nid: 1.1.{number}.0\n\n".encode()


def always(*arguments: Any, **options: Any) -> Handler:
    return lambda request: httpx2.Response(*arguments, **options)


class Blocking:
    """``Client``."""

    def __init__(self, handler: Handler) -> None:
        self.transport = httpx2.MockTransport(handler)

    def __getattr__(self, method: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            with Client("http://service", "adl_x", transport=self.transport) as service:
                return getattr(service, method)(*arguments, **options)

        return call

    def events(self, *arguments: Any) -> list[Event]:
        with Client("http://service", "adl_x", transport=self.transport) as service:
            return list(service.events(*arguments))


class Asynchronous(Blocking):
    """``AsyncClient``, each call in an event loop of its own."""

    def __getattr__(self, method: str) -> Callable[..., Any]:
        async def call(*arguments: Any, **options: Any) -> Any:
            async with AsyncClient("http://service", "adl_x", transport=self.transport) as service:
                return await getattr(service, method)(*arguments, **options)

        return lambda *arguments, **options: anyio.run(
            functools.partial(call, *arguments, **options)
        )

    def events(self, *arguments: Any) -> list[Event]:
        async def collect() -> list[Event]:
            async with AsyncClient("http://service", "adl_x", transport=self.transport) as service:
                return [event async for event in service.events(*arguments)]

        return anyio.run(collect)
