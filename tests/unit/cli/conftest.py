"""The command line against a service that is played, away from the user's own configuration."""

from pathlib import Path

import httpx2
import pytest
from typer.testing import CliRunner, Result

import client
from cli.main import app
from tests.unit.client.played import DONE, POINT, SUBMISSION, Stream, event

REJECTED = {
    **DONE,
    "state": "rejected",
    "result": None,
    "error": {
        "family": "data",
        "code": "labels-width",
        "message": "Too few columns.",
        "hint": "Add [one].",
        "file": "toy.solution",
        "record": None,
        "line": 4,
    },
}


PLACE = {"position": 3, "starts_in_seconds": {"low": 0, "high": 65}}
QUEUE = {
    "slots": 2,
    "running": 2,
    "waiting": 2,
    "next": PLACE,
    "yours": [PLACE | {"position": 1, "submission_id": "s1"}],
}
WEBHOOK = {"id": "w1", "url": "https://a.example/", "created_at": "2026-11-26T00:00:00Z"}


class Played:
    """A service: what it was asked, and what it answers."""

    def __init__(self) -> None:
        self.requests: list[httpx2.Request] = []
        self.submission = DONE
        self.refusal: httpx2.Response | None = None

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        request.read()
        self.requests.append(request)
        if self.refusal is not None:
            return self.refusal
        if not request.url.path.startswith("/v1/submissions"):
            item = {"used": 1, "limit": 2, "left": 1}
            names = ("submissions_per_day", "compute_minutes_per_day", "parallel_runs")
            quota = dict.fromkeys(names, item) | {"resets_at": "2026-11-26T00:00:00Z"}
            quota["stored_bytes"] = {"used": 3 * 2**29, "limit": None, "left": None}
            answers = {
                "GET /v1/quota": quota,
                "GET /v1/queue": QUEUE,
                "GET /v1/webhooks": {"items": [WEBHOOK]},
                "POST /v1/webhooks": WEBHOOK | {"secret": "whsec_x"},
                "POST /v1/webhooks/w1/test": {"event": "webhook.test", "state": "pending"},
            }
            asked = f"{request.method} {request.url.path}"
            return httpx2.Response(200, json=answers.get(asked, {"status": "ready"}))
        return self.answer(request, request.url.path.removeprefix("/v1/submissions"))

    def answer(self, request: httpx2.Request, path: str) -> httpx2.Response:
        if request.method == "DELETE":
            return httpx2.Response(204)
        if request.method == "POST" and (path == "" or path.endswith("/rerun")):
            return httpx2.Response(202, json=SUBMISSION)
        if path == "":
            return httpx2.Response(200, json={"items": [DONE, REJECTED], "next_cursor": None})
        if path.endswith("/events"):
            stream = Stream(
                event("state", {"state": "queued", "cause": "The data passed [the] check."}, 0),
                event("queue", {"status_reason": "Waiting.", "queue_position": 2}, 0),
                event("point", POINT, 1),
                event("done", self.submission, 1),
            )
            kind = {"content-type": "text/event-stream"}
            return httpx2.Response(200, headers=kind, stream=stream)
        if path.endswith("/shares"):
            times = dict.fromkeys(("created_at", "expires_at"), "2026-11-26T00:00:00Z")
            link = {"id": "l1", **times}
            if request.method == "GET":
                return httpx2.Response(200, json={"items": [link]})
            return httpx2.Response(201, json=link | {"url": "/shared/t", "token": "t"})
        if path.endswith("/files"):
            return httpx2.Response(200, json={"items": [{"path": "a.csv"}, {"path": "b/c"}]})
        if "/files/" in path:
            return httpx2.Response(200, content=path.encode())
        return httpx2.Response(200, json=self.submission)

    def tokens(self) -> list[str]:
        return [r.headers["authorization"].removeprefix("Bearer ") for r in self.requests]


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder to be in, and a configuration of its own."""
    for name in ("AUTODL_URL", "AUTODL_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch, home: Path) -> Played:
    """The service at every address, and the token of one in this folder."""
    service = Played()
    real = client.Client

    def connect(url: str, token: str = "") -> client.Client:
        return real(url, token, transport=httpx2.MockTransport(service))

    monkeypatch.setattr(client, "Client", connect)
    (home / ".autodl").mkdir()
    (home / ".autodl/token").write_text("adl_mine\n")
    return service


@pytest.fixture
def autodl():
    def invoke(*arguments: object, **options: object) -> Result:
        return CliRunner().invoke(app, [str(a) for a in arguments], **options)

    return invoke
