"""The client: one method an endpoint, and those that make several requests feel like one."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

import httpx2

from autodl.errors import UsageError
from client.errors import (
    AuthenticationError,
    QuotaError,
    RefusedError,
    ServiceError,
    TransientError,
)
from client.records import Event, Json, Page, Point, Submission

DEFAULT_URL = "http://127.0.0.1:8000"
HEARTBEAT_SECONDS = 45.0  # the service sends a sign of life every 15
ATTEMPTS = 5  # in a row at a download, without one more byte
RECONNECTS = 30  # in a row without an event: a service that restarts is waited for
PAUSE_SECONDS = 1.0

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]  # bytes sent, bytes in all


class Client:
    """A service and a token for it. Safe to share between threads; use it as a context manager.

    Every method raises a ``client.errors.ServiceError``.
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
            base_url=url,
            headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
            timeout=timeout_seconds,
            transport=transport or httpx2.HTTPTransport(retries=2),
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
    ) -> Submission:
        """Upload a bundle's zip and ask for a run; its SHA-256 is verified by the service."""
        if not bundle.is_file():
            raise UsageError(
                "path-missing",
                "There is no such file.",
                hint="Give a bundle's zip; `autodl format` makes one.",
                file=str(bundle),
            )
        with bundle.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            fields = {
                "sha256": digest,
                "name": name,
                "budget_seconds": None if budget_seconds is None else repr(budget_seconds),
                "solution": solution,
            }
            answer = self._request(
                "POST",
                "/v1/submissions",
                data={key: value for key, value in fields.items() if value is not None},
                files={"file": (bundle.name, _Watched(file, on_progress), "application/zip")},
            )
        return Submission.from_json(answer.json())

    def get(self, submission_id: str) -> Submission:
        """One submission as it is now."""
        return Submission.from_json(self._request("GET", _path(submission_id)).json())

    def list_submissions(self, *, limit: int = 20, cursor: str | None = None) -> Page:
        """Your submissions, newest first."""
        params = {"limit": str(limit)} | ({} if cursor is None else {"cursor": cursor})
        answer = self._request("GET", "/v1/submissions", params=params).json()
        return Page([Submission.from_json(s) for s in answer["items"]], answer["next_cursor"])

    def cancel(self, submission_id: str) -> Submission:
        """Ask for an early end; what was predicted until then is kept."""
        answer = self._request("POST", _path(submission_id, "cancel"))
        return Submission.from_json(answer.json())

    def curve(self, submission_id: str) -> list[Point]:
        """The learning curve so far."""
        answer = self._request("GET", _path(submission_id, "curve")).json()
        return [Point.from_json(point) for point in answer["points"]]

    def report(self, submission_id: str) -> Json:
        """What the check of the data found: ``findings`` and ``summary``."""
        answer: Json = self._request("GET", _path(submission_id, "report")).json()
        return answer

    def log(self, submission_id: str) -> str:
        """What the run's programs have written so far."""
        return self._request("GET", _path(submission_id, "log")).text

    def files(self, submission_id: str) -> list[str]:
        """The paths of the results' files."""
        answer = self._request("GET", _path(submission_id, "files")).json()
        return [item["path"] for item in answer["items"]]

    def events(self, submission_id: str, last_event_id: str | None = None) -> Iterator[Event]:
        """What happens, until and with ``done``; a cut connection is taken up where it ended.

        Where no stream comes through at all, the same is found by asking once a second.
        """
        failures = 0
        while failures < RECONNECTS:
            try:
                for event in self._stream(submission_id, last_event_id):
                    yield event
                    if event.kind == "done":
                        return
                    last_event_id, failures = event.id or last_event_id, 0
            except httpx2.SSEError:
                break  # what answered is no stream: something between us does not let it through
            except httpx2.TransportError as error:
                log.debug("The stream was cut: %s", error)
            failures += 1
            time.sleep(PAUSE_SECONDS)
        yield from self._poll(submission_id)

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
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = target.with_name(f".{target.name}.part")
        aside.unlink(missing_ok=True)
        digest = self._download(_path(submission_id, "files", *path.split("/")), aside)
        with aside.open("rb") as file:
            value = hashlib.file_digest(file, "sha256").digest()
        if digest and digest != f"sha-256=:{base64.b64encode(value).decode()}:":
            aside.unlink()
            raise TransientError("digest-mismatch", f"{path} was changed on its way: try again.")
        aside.replace(target)
        return target

    def _download(self, address: str, aside: Path) -> str | None:
        """Fetch the whole file, in as many pieces as it takes; its ``Repr-Digest``."""
        etag, size, failures = "", 0, 0
        while True:
            headers = {"Accept-Encoding": "identity"}
            if size and etag:
                headers |= {"Range": f"bytes={size}-", "If-Range": etag}
            try:
                with self._http.stream("GET", address, headers=headers) as answer:
                    _check(answer)
                    etag = answer.headers.get("etag", "")
                    with aside.open("ab" if answer.status_code == 206 else "wb") as file:
                        for chunk in answer.iter_bytes():
                            file.write(chunk)
                    return answer.headers.get("repr-digest")
            except httpx2.TransportError as error:
                reached = aside.stat().st_size if aside.exists() else 0
                failures = 0 if reached > size else failures + 1
                size = reached
                if failures == ATTEMPTS:
                    raise _unreachable(error) from error
            time.sleep(PAUSE_SECONDS)

    def _stream(self, submission_id: str, last_event_id: str | None) -> Iterator[Event]:
        headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
        with self._http.sse(
            _path(submission_id, "events"), headers=headers, timeout=self._stream_timeout
        ) as source:
            _check(source.response)
            for event in source:
                if event.data:
                    yield Event(event.event, json.loads(event.data), event.id)

    def _poll(self, submission_id: str) -> Iterator[Event]:
        state, seen = "", -1
        waiting: Json = {}
        while True:
            submission = self.get(submission_id)
            if submission.state != state:
                state = submission.state
                yield Event("state", {"state": state, "cause": submission.status_reason}, "")
            for point in self.curve(submission_id):
                if point.index > seen:
                    seen = point.index
                    yield Event("point", vars(point), "")
            if submission.is_over:
                yield Event("done", submission.raw, "")
                return
            now = {key: submission.raw[key] for key in ("status_reason", "queue_position")}
            if now != waiting:
                waiting = now
                yield Event("queue", now, "")
            time.sleep(PAUSE_SECONDS)

    def _request(self, method: str, path: str, **options: Any) -> httpx2.Response:
        try:
            answer = self._http.request(method, path, **options)
        except httpx2.TransportError as error:
            raise _unreachable(error) from error
        _check(answer)
        return answer


class _Watched:
    """A file that tells how far it was read."""

    def __init__(self, file: BinaryIO, on_progress: Progress | None) -> None:
        self._file = file
        self._total = os.fstat(file.fileno()).st_size
        self._tell = on_progress or (lambda sent, total: None)

    def read(self, size: int = -1) -> bytes:
        chunk = self._file.read(size)
        self._tell(self._file.tell(), self._total)
        return chunk

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def fileno(self) -> int:
        return self._file.fileno()


def _path(*parts: str) -> str:
    return "/v1/submissions/" + "/".join(quote(part, safe="") for part in parts)


def _unreachable(error: Exception) -> TransientError:
    return TransientError(
        "service-unreachable",
        f"The service does not answer: {error or type(error).__name__}.",
        hint="Is it running, and is the address right? `autodl serve` starts one here.",
    )


def _check(answer: httpx2.Response) -> None:
    """Turn a problem (RFC 9457) into an error."""
    status = answer.status_code
    if answer.is_success or status == 304:
        return
    answer.read()
    try:
        problem = answer.json()
        code, detail = problem["code"], problem["detail"]
    except (ValueError, TypeError, KeyError):
        problem, code = {}, "service-answer-unknown"
        detail = f"The service answered {status} {answer.reason_phrase}, and not as ours does."
    kind: type[ServiceError] = ServiceError
    if status in (401, 403):
        kind = AuthenticationError
    elif status == 429:
        kind = QuotaError
    elif status in (408, 502, 503, 504):
        kind = TransientError
    elif 400 <= status < 500:
        kind = RefusedError
    places = {key: problem.get(key) for key in ("file", "record", "line")}
    raise kind(code, detail, hint=problem.get("hint", ""), **places)
