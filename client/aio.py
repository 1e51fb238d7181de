"""The client that never blocks its event loop: the same methods as coroutines."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar, Unpack

import anyio
import anyio.to_thread
import httpx2

from autodl.errors import AutoDLError
from client import flows, transfer
from client.client import DEFAULT_URL, headers
from client.core import (
    HEARTBEAT_SECONDS,
    Close,
    Effect,
    Emit,
    Flow,
    Next,
    Open,
    Pause,
    Send,
    Together,
    Work,
)
from client.errors import ServiceError
from client.records import Event, Json, Page, Point, Queue, Quota, Share, Submission, Webhook
from client.transfer import Progress, SubmitOptions

T = TypeVar("T")


class AsyncClient:
    """``client.Client`` for asyncio or trio; use it as an asynchronous context manager.

    Every method raises a ``client.errors.ServiceError``.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        token: str = "",
        *,
        timeout_seconds: float = 30.0,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._stream_timeout = httpx2.Timeout(timeout_seconds, read=HEARTBEAT_SECONDS)
        self._http = httpx2.AsyncClient(
            base_url=url, headers=headers(token), timeout=timeout_seconds, transport=transport
        )

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connections."""
        await self._http.aclose()

    async def submit(
        self,
        bundle: Path,
        *,
        name: str | None = None,
        budget_seconds: float | None = None,
        solution: str | None = None,
        on_progress: Progress | None = None,
        **options: Unpack[SubmitOptions],
    ) -> Submission:
        """Upload a bundle's zip and ask for a run; see ``Client.submit``."""
        fields = {"name": name, "budget_seconds": budget_seconds, "solution": solution, **options}
        return await self._run(transfer.submit(bundle, fields, on_progress))

    async def upload(self, bundle: Path, *, on_progress: Progress | None = None) -> str:
        """Send a bundle without asking for a run yet; the upload's id."""
        return await self._run(transfer.upload(bundle, on_progress))

    async def get(self, submission_id: str) -> Submission:
        """One submission as it is now."""
        return await self._run(flows.get(submission_id))

    async def list_submissions(self, *, limit: int = 20, cursor: str | None = None) -> Page:
        """Your submissions, newest first."""
        return await self._run(flows.list_submissions(limit, cursor))

    async def start(self, submission_id: str) -> Submission:
        """Let a submission run that is held for a look at its data."""
        return await self._run(flows.start(submission_id))

    async def cancel(self, submission_id: str) -> Submission:
        """Ask for an early end; what was predicted until then is kept."""
        return await self._run(flows.cancel(submission_id))

    async def rerun(self, submission_id: str) -> Submission:
        """Ask for another run of the same data, solution and budget: a new submission."""
        return await self._run(flows.rerun(submission_id))

    async def delete(self, submission_id: str) -> None:
        """Remove a submission and everything that came of it; there is no way back."""
        await self._run(flows.delete(submission_id))

    async def keep_until(self, submission_id: str, until: datetime) -> Submission:
        """Change the day of a submission's removal; ``until`` knows its offset from UTC."""
        return await self._run(flows.keep_until(submission_id, until))

    async def share(self, submission_id: str, *, seconds: float | None = None) -> Share:
        """Make a link that lets whoever holds it read this submission, for so many seconds."""
        return await self._run(flows.share(submission_id, seconds))

    async def list_shares(self, submission_id: str) -> list[Share]:
        """The links to a submission that are good now, without their addresses."""
        return await self._run(flows.list_shares(submission_id))

    async def revoke_share(self, submission_id: str, share_id: str) -> None:
        """From now on the link opens nothing."""
        await self._run(flows.revoke_share(submission_id, share_id))

    async def require_ready(self) -> None:
        """Raise what keeps the service from working, if anything does; needs no token."""
        await self._run(flows.require_ready())

    async def quota(self) -> Quota:
        """What you may use, and have used."""
        return await self._run(flows.quota())

    async def queue(self, *, budget_seconds: float | None = None) -> Queue:
        """What runs and waits, and when a submission made now, with that budget, would start."""
        return await self._run(flows.queue(budget_seconds))

    async def create_webhook(self, url: str) -> Webhook:
        """Have an address told when a submission of yours has ended; the secret is in it."""
        return await self._run(flows.create_webhook(url))

    async def list_webhooks(self) -> list[Webhook]:
        """The addresses that are told, without their secrets."""
        return await self._run(flows.list_webhooks())

    async def test_webhook(self, webhook_id: str) -> Json:
        """Have an event ``webhook.test`` sent to it; the delivery, as the API describes it."""
        return await self._run(flows.test_webhook(webhook_id))

    async def delete_webhook(self, webhook_id: str) -> None:
        """Tell the address no more."""
        await self._run(flows.delete_webhook(webhook_id))

    async def curve(self, submission_id: str) -> list[Point]:
        """The learning curve so far."""
        return await self._run(flows.curve(submission_id))

    async def curve_svg(self, submission_id: str) -> str:
        """The learning curve so far as a picture."""
        return await self._run(flows.text(submission_id, "curve.svg"))

    async def report(self, submission_id: str) -> Json:
        """What the check of the data found: ``findings`` and ``summary``."""
        return await self._run(flows.report(submission_id))

    async def log(self, submission_id: str) -> str:
        """What the run's programs have written so far."""
        return await self._run(flows.text(submission_id, "log"))

    async def files(self, submission_id: str) -> list[str]:
        """The paths of the results' files."""
        return await self._run(flows.files(submission_id))

    async def events(
        self, submission_id: str, last_event_id: str | None = None
    ) -> AsyncIterator[Event]:
        """What happens, until and with ``done``; see ``Client.events``."""
        async with aclosing(self._steps(flows.events(submission_id, last_event_id), [])) as steps:
            async for event in steps:
                yield event

    async def wait(
        self, submission_id: str, on_event: Callable[[Event], Awaitable[None]] | None = None
    ) -> Submission:
        """Follow a submission to its end."""
        async for event in self.events(submission_id):
            if on_event is not None:
                await on_event(event)
        return await self.get(submission_id)

    async def download(self, submission_id: str, path: str, target: Path) -> Path:
        """One file of the results to ``target``, resumed when cut, its SHA-256 verified."""
        return await self._run(transfer.download(submission_id, path, target))

    async def _run(self, flow: Flow[T]) -> T:
        values: list[T] = []
        async with aclosing(self._steps(flow, values)) as steps:
            async for _ in steps:
                pass
        return values[0]

    async def _steps(self, flow: Flow[T], values: list[T]) -> AsyncGenerator[Any, None]:
        """Carry out what a flow wants; iterates over what it emits, and appends its value."""
        answer: Any = None
        failure: Exception | None = None
        async with AsyncExitStack() as stack:
            stack.callback(flow.close)
            carrier = _Carrier(self._http, self._stream_timeout, self._run)
            stack.push_async_callback(carrier.close)
            while True:
                try:
                    effect = flow.send(answer) if failure is None else flow.throw(failure)
                except StopIteration as stop:
                    values.append(stop.value)
                    return
                answer = failure = None
                if isinstance(effect, Emit):
                    yield effect.value
                    continue
                try:
                    answer = await carrier.carry_out(effect)
                except (httpx2.TransportError, ServiceError) as error:
                    failure = error


class _Carrier:
    """Does what one flow wants, and keeps its open answer."""

    def __init__(
        self,
        http: httpx2.AsyncClient,
        stream_timeout: httpx2.Timeout,
        run: Callable[[Flow[Any]], Awaitable[Any]],
    ) -> None:
        self._http, self._stream_timeout, self._run = http, stream_timeout, run
        self._stack = AsyncExitStack()
        self._pieces: AsyncIterator[Any] | None = None

    async def close(self) -> None:
        await self._stack.aclose()

    async def carry_out(self, effect: Effect) -> Any:
        match effect:
            case Send():
                return await self._http.send(effect.build(self._http))
            case Open():
                return await self._open(effect)
            case Next():
                assert self._pieces is not None, "an answer is open"
                return await anext(self._pieces, None)
            case Close():
                return await self.close()
            case Pause():
                return await anyio.sleep(effect.seconds)
            case Work():
                return await anyio.to_thread.run_sync(effect.call)
            case Together():
                return await self._together(effect)
        raise TypeError(f"{effect} is no effect")

    async def _open(self, effect: Open) -> httpx2.Response:
        await self.close()
        if effect.as_events:
            source = await self._stack.enter_async_context(
                self._http.sse(effect.path, headers=effect.headers, timeout=self._stream_timeout)
            )
            answer, self._pieces = source.response, aiter(source)
        else:
            answer = await self._stack.enter_async_context(
                self._http.stream("GET", effect.path, headers=effect.headers, follow_redirects=True)
            )
            self._pieces = answer.aiter_bytes()
        if not answer.is_success:
            await answer.aread()
        return answer

    async def _together(self, effect: Together) -> list[Any]:
        values: dict[int, Any] = {}
        failures: list[Exception] = []
        slots = anyio.Semaphore(effect.limit)

        async def work(number: int, flow: Flow[Any]) -> None:
            async with slots:
                try:
                    values[number] = await self._run(flow)
                except (AutoDLError, OSError) as error:
                    failures.append(error)
                    tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            for number, flow in enumerate(effect.flows):
                tasks.start_soon(work, number, flow)
        if failures:
            raise failures[0]
        return [values[number] for number in range(len(effect.flows))]
