"""The verbs that talk to a service, against a service that is played here."""

import json
from pathlib import Path

import httpx2
import pytest
from typer.testing import CliRunner

import client
from autodl.errors import UsageError
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
FAILED = {**REJECTED, "state": "failed"}


class Played:
    """A service: what it was asked, and what it answers."""

    def __init__(self) -> None:
        self.requests: list[httpx2.Request] = []
        self.submission = DONE

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        request.read()
        self.requests.append(request)
        path = request.url.path.removeprefix("/v1/submissions")
        if path == "" and request.method == "POST":
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
        if path.endswith("/files"):
            return httpx2.Response(200, json={"items": [{"path": "a.csv"}, {"path": "b/c"}]})
        if "/files/" in path:
            return httpx2.Response(200, content=path.encode())
        return httpx2.Response(200, json=self.submission)


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Played:
    service = Played()
    real = client.Client

    def connect(url: str, token: str) -> client.Client:
        return real(url, token, transport=httpx2.MockTransport(service))

    monkeypatch.setattr(client, "Client", connect)
    (tmp_path / ".autodl").mkdir()
    (tmp_path / ".autodl/token").write_text("adl_mine\n")
    monkeypatch.chdir(tmp_path)
    return service


def autodl(*arguments: str):
    return CliRunner().invoke(app, arguments, catch_exceptions=True)


def test_submit_prints_the_id_and_shows_the_local_token(played, tmp_path) -> None:
    (tmp_path / "toy.zip").write_bytes(b"PK")
    done = autodl("submit", "toy.zip", "--budget", "60", "--name", "My toy")
    assert (done.exit_code, done.stdout) == (0, "s1\n")
    (request,) = played.requests
    assert request.headers["authorization"] == "Bearer adl_mine"
    assert b"My toy" in request.content
    assert b"60.0" in request.content


@pytest.mark.parametrize(
    ("submission", "code"), [(DONE, 0), (REJECTED, 3), (FAILED, 7)], ids=["good", "data", "failed"]
)
def test_watch_tells_every_event_on_stderr_and_ends_as_the_run_did(
    played, submission, code
) -> None:
    played.submission = submission
    done = autodl("watch", "s1")
    assert done.exit_code == code
    assert done.stdout == ""
    assert "The data passed [the] check." in done.stderr
    assert "place 2 in the queue" in done.stderr
    assert "NAUC 0.9000   accuracy 0.8000   ALC so far 0.6000" in done.stderr
    if code == 0:
        assert "ALC 0.6000   NAUC 0.9000   accuracy –" in done.stderr
    else:
        assert "toy.solution: line 4: Too few columns. [labels-width]" in done.stderr
        assert "Add [one]." in done.stderr


def test_watch_with_json_prints_one_event_a_line(played) -> None:
    lines = [json.loads(line) for line in autodl("watch", "s1", "--json").stdout.splitlines()]
    assert [line["event"] for line in lines] == ["state", "queue", "point", "done"]


def test_list_and_status_are_for_people_or_for_programs(played) -> None:
    rows = autodl("list").stdout.splitlines()
    assert rows[0].split() == ["s1", "2026-11-25", "16:32", "succeeded", "0.6000", "toy"]
    assert [s["state"] for s in json.loads(autodl("list", "--json").stdout)] == [
        "succeeded",
        "rejected",
    ]
    assert autodl("status", "s1").stdout == "succeeded: The solution is learning.\n"
    assert json.loads(autodl("status", "s1", "--json").stdout) == DONE
    assert autodl("cancel", "s1").exit_code == 0


def test_downloads_lie_below_their_folder(played, tmp_path) -> None:
    done = autodl("download", "s1", "--out", "results")
    assert done.stdout.split() == ["results/a.csv", "results/b/c"]
    assert (tmp_path / "results/b/c").read_text() == "/s1/files/b/c"
    assert autodl("predictions", "s1").stdout == "/s1/files/predictions.csv"


def test_without_a_token_the_client_says_where_one_comes_from(played, tmp_path) -> None:
    (tmp_path / ".autodl/token").unlink()
    done = autodl("list")
    assert isinstance(done.exception, UsageError)
    assert done.exception.code == "token-not-found"
    assert played.requests == []
