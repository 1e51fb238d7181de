"""The client that waits: one method an endpoint, and those that make several requests."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar, Unpack

import httpx2

from client import flows, transfer
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

DEFAULT_URL = "http://127.0.0.1:8000"
T = TypeVar("T")


class Client:
    """A service and a token for it. Safe to share between threads; use it as a context manager.

    Every method raises a ``client.errors.ServiceError``. Requests that do no harm twice are
    repeated when the way or the service fails for a moment.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        token: str = "",
        *,
        timeout_seconds: float = 30.0,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._stream_timeout = httpx2.Timeout(timeout_seconds, read=HEARTBEAT_SECONDS)
        self._http = httpx2.Client(
            base_url=url, headers=headers(token), timeout=timeout_seconds, transport=transport
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connections."""
        self._http.close()

    def submit(
        self,
        bundle: Path,
        *,
        name: str | None = None,
        budget_seconds: float | None = None,
        solution: str | None = None,
        on_progress: Progress | None = None,
        **options: Unpack[SubmitOptions],
    ) -> Submission:
        """Upload a bundle's zip and ask for a run; its SHA-256 is verified by the service.

        Raw data, as a zip or a table, are formatted by the service; the options say how. A large
        file is sent in parts, several at once; broken off, the next call goes on there.
        """
        fields = {"name": name, "budget_seconds": budget_seconds, "solution": solution, **options}
        return self._bind(self._run(transfer.submit(bundle, fields, on_progress)))

    def upload(self, bundle: Path, *, on_progress: Progress | None = None) -> str:
        """Send a bundle without asking for a run yet; the upload's id."""
        return self._run(transfer.upload(bundle, on_progress))

    def get(self, submission_id: str) -> Submission:
        """One submission as it is now."""
        return self._bind(self._run(flows.get(submission_id)))

    def list_submissions(self, *, limit: int = 20, cursor: str | None = None) -> Page:
        """Your submissions, newest first."""
        page = self._run(flows.list_submissions(limit, cursor))
        return replace(page, items=[self._bind(s) for s in page.items])

    def start(self, submission_id: str) -> Submission:
        """Let a submission run that is held for a look at its data."""
        return self._bind(self._run(flows.start(submission_id)))

    def cancel(self, submission_id: str) -> Submission:
        """Ask for an early end; what was predicted until then is kept."""
        return self._bind(self._run(flows.cancel(submission_id)))

    def rerun(self, submission_id: str) -> Submission:
        """Ask for another run of the same data, solution and budget: a new submission."""
        return self._bind(self._run(flows.rerun(submission_id)))

    def delete(self, submission_id: str) -> None:
        """Remove a submission and everything that came of it; there is no way back."""
        self._run(flows.delete(submission_id))

    def keep_until(self, submission_id: str, until: datetime) -> Submission:
        """Change the day of a submission's removal; ``until`` knows its offset from UTC."""
        return self._bind(self._run(flows.keep_until(submission_id, until)))

    def share(self, submission_id: str, *, seconds: float | None = None) -> Share:
        """Make a link that lets whoever holds it read this submission, for so many seconds."""
        return self._run(flows.share(submission_id, seconds))

    def list_shares(self, submission_id: str) -> list[Share]:
        """The links to a submission that are good now, without their addresses."""
        return self._run(flows.list_shares(submission_id))

    def revoke_share(self, submission_id: str, share_id: str) -> None:
        """From now on the link opens nothing."""
        self._run(flows.revoke_share(submission_id, share_id))

    def require_ready(self) -> None:
        """Raise what keeps the service from working, if anything does; needs no token."""
        self._run(flows.require_ready())

    def quota(self) -> Quota:
        """What you may use, and have used."""
        return self._run(flows.quota())

    def queue(self, *, budget_seconds: float | None = None) -> Queue:
        """What runs and waits, and when a submission made now, with that budget, would start."""
        return self._run(flows.queue(budget_seconds))

    def create_webhook(self, url: str) -> Webhook:
        """Have an address told when a submission of yours has ended; the secret is in it."""
        return self._run(flows.create_webhook(url))

    def list_webhooks(self) -> list[Webhook]:
        """The addresses that are told, without their secrets."""
        return self._run(flows.list_webhooks())

    def test_webhook(self, webhook_id: str) -> Json:
        """Have an event ``webhook.test`` sent to it; the delivery, as the API describes it."""
        return self._run(flows.test_webhook(webhook_id))

    def delete_webhook(self, webhook_id: str) -> None:
        """Tell the address no more."""
        self._run(flows.delete_webhook(webhook_id))

    def curve(self, submission_id: str) -> list[Point]:
        """The learning curve so far."""
        return self._run(flows.curve(submission_id))

    def curve_svg(self, submission_id: str) -> str:
        """The learning curve so far as a picture."""
        return self._run(flows.text(submission_id, "curve.svg"))

    def report(self, submission_id: str) -> Json:
        """What the check of the data found: ``findings`` and ``summary``."""
        return self._run(flows.report(submission_id))

    def log(self, submission_id: str) -> str:
        """What the run's programs have written so far."""
        return self._run(flows.text(submission_id, "log"))

    def files(self, submission_id: str) -> list[str]:
        """The paths of the results' files."""
        return self._run(flows.files(submission_id))

    def events(self, submission_id: str, last_event_id: str | None = None) -> Iterator[Event]:
        """What happens, until and with ``done``; a cut connection is taken up where it ended.

        Where no stream comes through at all, the same is found by asking once a second.
        """
        yield from self._steps(flows.events(submission_id, last_event_id))

    def wait(
        self, submission_id: str, on_event: Callable[[Event], None] | None = None
    ) -> Submission:
        """Follow a submission to its end."""
        for event in self.events(submission_id):
            if on_event is not None:
                on_event(event)
        return self.get(submission_id)

    def download(self, submission_id: str, path: str, target: Path) -> Path:
        """One file of the results to ``target``, resumed when cut, its SHA-256 verified."""
        return self._run(transfer.download(submission_id, path, target))

    def _bind(self, submission: Submission) -> Submission:
        return replace(submission, service=self)

    def _run(self, flow: Flow[T]) -> T:
        steps = self._steps(flow)
        while True:
            try:
                next(steps)
            except StopIteration as stop:
                value: T = stop.value
                return value

    def _steps(self, flow: Flow[T]) -> Generator[Any, None, T]:
        """Carry out what a flow wants; iterates over what it emits."""
        carrier = _Carrier(self._http, self._stream_timeout, self._run)
        answer: Any = None
        failure: Exception | None = None
        with ExitStack() as stack:
            stack.callback(carrier.close)
            stack.callback(flow.close)
            while True:
                try:
                    effect = flow.send(answer) if failure is None else flow.throw(failure)
                except StopIteration as stop:
                    value: T = stop.value
                    return value
                answer = failure = None
                if isinstance(effect, Emit):
                    yield effect.value
                    continue
                try:
                    answer = carrier.carry_out(effect)
                except (httpx2.TransportError, ServiceError) as error:
                    failure = error


class _Carrier:
    """Does what one flow wants, and keeps its open answer."""

    def __init__(
        self,
        http: httpx2.Client,
        stream_timeout: httpx2.Timeout,
        run: Callable[[Flow[Any]], Any],
    ) -> None:
        self._http, self._stream_timeout, self._run = http, stream_timeout, run
        self._stack = ExitStack()
        self._pieces: Iterator[Any] = iter(())

    def close(self) -> None:
        self._stack.close()

    def carry_out(self, effect: Effect) -> Any:
        match effect:
            case Send():
                return self._http.send(effect.build(self._http))
            case Open():
                return self._open(effect)
            case Next():
                return next(self._pieces, None)
            case Close():
                return self.close()
            case Pause():
                return time.sleep(effect.seconds)
            case Work():
                return effect.call()
            case Together():
                return self._together(effect)
        raise TypeError(f"{effect} is no effect")

    def _open(self, effect: Open) -> httpx2.Response:
        self.close()
        if effect.as_events:
            source = self._stack.enter_context(
                self._http.sse(effect.path, headers=effect.headers, timeout=self._stream_timeout)
            )
            answer, self._pieces = source.response, iter(source)
        else:
            answer = self._stack.enter_context(
                self._http.stream("GET", effect.path, headers=effect.headers, follow_redirects=True)
            )
            self._pieces = answer.iter_bytes()
        if not answer.is_success:
            answer.read()
        return answer

    def _together(self, effect: Together) -> list[Any]:
        pool = ThreadPoolExecutor(effect.limit)
        try:
            return list(pool.map(self._run, effect.flows))
        finally:  # also when one fails or we are interrupted: only what is under way is finished
            pool.shutdown(cancel_futures=True)


def headers(token: str) -> dict[str, str]:
    """What every request of ours says."""
    own = {"Accept": "application/json"}
    return own | {"Authorization": f"Bearer {token}"} if token else own
