"""Both clients against answers that a service, or what stands before it, may give."""

import inspect

import httpx2
import pytest

from autodl.errors import UsageError
from client import (
    AsyncClient,
    AuthenticationError,
    Client,
    QuotaError,
    RefusedError,
    ServiceError,
    Submission,
    TransientError,
)
from tests.unit.client.played import DONE, POINT, SUBMISSION, Stream, always, event


def test_both_clients_have_the_same_methods_and_arguments() -> None:
    def describe(kind: type) -> dict[str, list[str]]:
        public = inspect.getmembers(kind, lambda m: inspect.isfunction(m))
        return {
            name: list(inspect.signature(method).parameters)
            for name, method in public
            if not name.startswith("_")
        }

    assert describe(AsyncClient) == describe(Client)


def test_an_answer_becomes_a_value_and_what_is_unknown_is_kept_raw(connect) -> None:
    submission = connect(always(200, json=DONE)).get("s1")
    assert submission.created_at.utcoffset() is not None
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
def test_a_problem_becomes_an_error_with_its_code_place_and_hint(connect, status, kind) -> None:
    problem = {"code": "some-code", "detail": "Wrong.", "hint": "Do this.", "file": "a", "line": 3}
    with pytest.raises(kind) as caught:
        connect(always(status, json=problem)).get("s1")
    assert type(caught.value) is kind
    assert caught.value.code == "some-code"
    assert str(caught.value) == "a:3: Wrong. Do this."


@pytest.mark.parametrize("content", [b"<html>Bad gateway</html>", b"[]", b"null", b'{"a": 1}'])
def test_an_answer_of_somebody_else_is_told_as_such(connect, content) -> None:
    with pytest.raises(TransientError) as caught:
        connect(always(502, content=content)).get("s1")
    assert caught.value.code == "service-answer-unknown"
    assert "502" in caught.value.message


PROBLEM = {"code": "some-code", "detail": "Not now."}


class Failing:
    """Fails so often, then answers."""

    def __init__(self, *failures: httpx2.Response | Exception) -> None:
        self.failures = list(failures)
        self.requests: list[httpx2.Request] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        if not self.failures:
            return httpx2.Response(200, json=DONE)
        failure = self.failures.pop(0)
        if isinstance(failure, Exception):
            raise failure
        return failure


def refuse(status: int, **headers: str) -> httpx2.Response:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx2.Response(status, json=PROBLEM, headers=fields)


def test_what_passes_is_waited_for_as_long_as_the_service_says(connect, pauses) -> None:
    service = Failing(refuse(503, retry_after="7"), refuse(429, retry_after="3"))
    assert connect(service).get("s1").state == "succeeded"
    assert pauses == [7.0, 3.0]


def test_without_a_word_the_pauses_grow(connect, pauses) -> None:
    service = Failing(httpx2.ReadError("cut"), refuse(502), httpx2.ConnectError("refused"))
    assert connect(service).get("s1").state == "succeeded"
    assert all(
        longest / 2 <= p <= longest for p, longest in zip(pauses, (0.25, 0.5, 1), strict=True)
    )


def test_there_is_an_end_to_patience(connect, pauses) -> None:
    service = Failing(*[httpx2.ConnectError("refused")] * 9)
    with pytest.raises(TransientError) as caught:
        connect(service).get("s1")
    assert caught.value.code == "service-unreachable"
    assert len(service.requests) == 4
    assert len(pauses) == 3


@pytest.mark.parametrize(
    ("status", "fields"), [(429, {}), (429, {"retry_after": "40000"}), (500, {}), (409, {})]
)
def test_what_does_not_pass_is_told_at_once(connect, pauses, status, fields) -> None:
    with pytest.raises(ServiceError):
        connect(Failing(refuse(status, **fields))).get("s1")
    assert pauses == []


def test_a_second_run_is_never_made_by_a_repeated_request(connect) -> None:
    service = Failing(httpx2.ReadError("cut"), refuse(503))
    connect(service).rerun("s1")
    keys = {request.headers["idempotency-key"] for request in service.requests}
    assert (len(service.requests), len(keys)) == (3, 1)


def test_events_go_on_where_the_stream_was_cut(connect) -> None:
    asked: list[str | None] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.headers.get("last-event-id"))
        if len(asked) == 2:
            return refuse(503)
        stream = {
            1: Stream(b": hello\n\n", event("state", {"state": "queued"}, 0), breaks=True),
            3: Stream(event("point", POINT, 1), b"event: point\ndata: {"),
            4: Stream(event("done", DONE, 1), event("state", {}, 2)),
        }[len(asked)]
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=stream)

    assert [e.kind for e in connect(handle).events("s1")] == ["state", "point", "done"]
    assert asked == [None, "1.1.0.0", "1.1.0.0", "1.1.1.0"]


def test_a_refused_stream_is_an_error_and_not_tried_again(connect, pauses) -> None:
    with pytest.raises(RefusedError):
        connect(always(404, json=PROBLEM)).events("s1")
    assert pauses == []


def test_where_no_stream_comes_through_the_client_asks_again_and_again(connect) -> None:
    states = iter([SUBMISSION, SUBMISSION, DONE])

    def handle(request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith("/events"):
            return httpx2.Response(200, html="<p>cached</p>")
        if request.url.path.endswith("/curve"):
            return httpx2.Response(200, json={"points": [POINT]})
        return httpx2.Response(200, json=next(states))

    told = [(e.kind, e.data.get("state")) for e in connect(handle).events("s1")]
    assert told == [
        ("state", "running"),
        ("point", None),
        ("queue", None),
        ("state", "succeeded"),
        ("done", "succeeded"),
    ]


def test_ids_and_paths_cannot_leave_their_place_in_the_address(connect) -> None:
    seen: list[bytes] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.url.raw_path)
        return httpx2.Response(200, json=SUBMISSION)

    connect(handle).get("../../healthz?x#y")
    assert seen == [b"/v1/submissions/..%2F..%2Fhealthz%3Fx%23y"]


def test_showing_outside_of_a_notebook_tells_each_event_in_a_line(capsys) -> None:
    def handle(request: httpx2.Request) -> httpx2.Response:
        if not request.url.path.endswith("/events"):
            return httpx2.Response(200, json=DONE)
        stream = Stream(
            event("state", {"state": "running", "cause": "It started."}, 0),
            event("log", {"text": "noise"}, 0),
            event("point", POINT | {"alc": None}, 1),
            event("done", DONE, 1),
        )
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=stream)

    with Client("http://service", transport=httpx2.MockTransport(handle)) as service:
        assert service.get("s1").show().state == "succeeded"
    assert capsys.readouterr().out.splitlines() == [
        "running: It started.",
        "1.5 s: NAUC 0.9000, ALC so far –",
        "succeeded: The solution is learning.",
    ]


def test_in_a_notebook_each_point_redraws_the_services_own_picture(monkeypatch) -> None:
    import client.notebook

    class Display:
        pages: list[str] = []  # noqa: RUF012

        def update(self, page: str) -> None:
            self.pages.append(page)

    def handle(request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith("/curve.svg"):
            return httpx2.Response(200, text=f"<svg>{len(Display.pages)}</svg>")
        if not request.url.path.endswith("/events"):
            return httpx2.Response(200, json=DONE)
        stream = Stream(event("point", POINT, 1), event("done", DONE, 1))
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=stream)

    monkeypatch.setattr(client.notebook, "_open_display", Display)
    monkeypatch.setattr(client.notebook, "_page", lambda svg, words: f"{svg} {words}")
    with Client("http://service", transport=httpx2.MockTransport(handle)) as service:
        service.get("s1").show()
    assert Display.pages == [
        "<svg>0</svg> 1.5 s: NAUC 0.9000, ALC so far 0.6000",
        "<svg>1</svg> succeeded: The solution is learning.",
    ]


def test_a_submission_of_no_client_cannot_be_shown() -> None:
    with pytest.raises(UsageError, match="Client"):
        Submission.from_json(DONE).show()
