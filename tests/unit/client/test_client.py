"""The client against answers that a service, or what stands before it, may give."""

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

import client.client
from client import (
    AuthenticationError,
    Client,
    QuotaError,
    RefusedError,
    ServiceError,
    TransientError,
)

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


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client.client, "PAUSE_SECONDS", 0.0)


def connect(handler: Handler) -> Client:
    return Client("http://service", "adl_x", transport=httpx2.MockTransport(handler))


def always(*arguments: object, **options: object) -> Handler:
    return lambda request: httpx2.Response(*arguments, **options)  # type: ignore[arg-type]


class Stream(httpx2.SyncByteStream):
    """Bytes that may break off."""

    def __init__(self, *chunks: bytes, breaks: bool = False) -> None:
        self.chunks, self.breaks = chunks, breaks

    def __iter__(self) -> Iterator[bytes]:
        yield from self.chunks
        if self.breaks:
            raise httpx2.ReadError("cut")


def event(kind: str, data: object, number: int) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(data)}\nid: 1.1.{number}.0\n\n".encode()


def test_an_answer_becomes_a_value_and_what_is_unknown_is_kept_raw() -> None:
    with connect(always(200, json=DONE)) as service:
        submission = service.get("s1")
    assert submission.created_at.utcoffset() is not None
    assert submission.result is not None
    assert (submission.result.alc, submission.result.accuracy) == (0.6, None)
    assert submission.raw["a_later_version_says"] == "more"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, RefusedError),
        (401, AuthenticationError),
        (403, AuthenticationError),
        (404, RefusedError),
        (413, RefusedError),
        (429, QuotaError),
        (500, ServiceError),
        (503, TransientError),
    ],
)
def test_a_problem_becomes_an_error_with_its_code_place_and_hint(status, kind) -> None:
    problem = {"code": "some-code", "detail": "Wrong.", "hint": "Do this.", "file": "a", "line": 3}
    with connect(always(status, json=problem)) as service, pytest.raises(kind) as caught:
        service.get("s1")
    assert type(caught.value) is kind
    assert caught.value.code == "some-code"
    assert str(caught.value) == "a:3: Wrong. Do this."


@pytest.mark.parametrize("content", [b"<html>Bad gateway</html>", b"[]", b"null", b'{"a": 1}'])
def test_an_answer_of_somebody_else_is_told_as_such(content) -> None:
    with connect(always(502, content=content)) as service, pytest.raises(TransientError) as caught:
        service.get("s1")
    assert caught.value.code == "service-answer-unknown"
    assert "502" in caught.value.message


def test_an_upload_sends_its_digest_before_its_file(tmp_path: Path) -> None:
    bundle = tmp_path / "toy.zip"
    bundle.write_bytes(b"PK" * 100_000)
    seen: list[bytes] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.read())
        return httpx2.Response(202, json=SUBMISSION)

    told: list[tuple[int, int]] = []
    with connect(handle) as service:
        service.submit(bundle, budget_seconds=60, on_progress=lambda *both: told.append(both))
    digest = hashlib.sha256(bundle.read_bytes()).hexdigest().encode()
    assert 0 < seen[0].index(digest) < seen[0].index(b'filename="toy.zip"')
    assert told[-1] == (200_000, 200_000)
    assert b'name="solution"' not in seen[0]


def test_a_bundle_that_is_not_there_is_refused_here() -> None:
    with connect(always(500)) as service, pytest.raises(ServiceError.__base__) as caught:
        service.submit(Path("nowhere.zip"))
    assert caught.value.code == "path-missing"  # type: ignore[attr-defined]


def test_events_go_on_where_the_stream_was_cut() -> None:
    asked: list[str | None] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.headers.get("last-event-id"))
        stream = {
            0: Stream(b": hello\n\n", event("state", {"state": "queued"}, 0), breaks=True),
            1: Stream(event("point", POINT, 1), b"event: point\ndata: {"),
            2: Stream(event("done", DONE, 1)),
        }[len(asked) - 1]
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=stream)

    with connect(handle) as service:
        kinds = [e.kind for e in service.events("s1")]
    assert kinds == ["state", "point", "done"]
    assert asked == [None, "1.1.0.0", "1.1.1.0"]


def test_a_refused_stream_is_an_error_and_not_tried_again() -> None:
    problem = {"code": "submission-not-found", "detail": "There is none."}
    with connect(always(404, json=problem)) as service, pytest.raises(RefusedError):
        list(service.events("s1"))


def test_where_no_stream_comes_through_the_client_asks_again_and_again() -> None:
    states = iter([SUBMISSION, SUBMISSION, DONE])

    def handle(request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith("/events"):
            return httpx2.Response(200, html="<p>cached</p>")
        if request.url.path.endswith("/curve"):
            return httpx2.Response(200, json={"points": [POINT]})
        return httpx2.Response(200, json=next(states))

    with connect(handle) as service:
        told = [(e.kind, e.data.get("state")) for e in service.events("s1")]
    assert told == [
        ("state", "running"),
        ("point", None),
        ("queue", None),
        ("state", "succeeded"),
        ("done", "succeeded"),
    ]


def digest_of(content: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"


def test_a_cut_download_goes_on_and_is_verified(tmp_path: Path) -> None:
    content = b"0123456789" * 1000
    ranges: list[str | None] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        asked = request.headers.get("range")
        ranges.append(asked)
        start = int(asked[6:-1]) if asked else 0
        headers = {"etag": '"v1"', "repr-digest": digest_of(content)}
        if asked:
            assert request.headers["if-range"] == '"v1"'
        stream = Stream(content[start : start + 4000], breaks=start + 4000 < len(content))
        return httpx2.Response(206 if asked else 200, headers=headers, stream=stream)

    with connect(handle) as service:
        target = service.download("s1", "labelled/dataset.predict", tmp_path / "a/b.predict")
    assert target.read_bytes() == content
    assert ranges == [None, "bytes=4000-", "bytes=8000-"]
    assert [p.name for p in target.parent.iterdir()] == ["b.predict"]


def test_a_download_that_was_changed_on_its_way_is_not_kept(tmp_path: Path) -> None:
    answer = always(200, content=b"altered", headers={"repr-digest": digest_of(b"original")})
    with connect(answer) as service, pytest.raises(TransientError) as caught:
        service.download("s1", "predictions.csv", tmp_path / "p.csv")
    assert caught.value.code == "digest-mismatch"
    assert list(tmp_path.iterdir()) == []


def test_ids_and_paths_cannot_leave_their_place_in_the_address() -> None:
    seen: list[bytes] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.url.raw_path)
        return httpx2.Response(200, json=SUBMISSION)

    with connect(handle) as service:
        service.get("../../healthz?x#y")
    assert seen == [b"/v1/submissions/..%2F..%2Fhealthz%3Fx%23y"]
