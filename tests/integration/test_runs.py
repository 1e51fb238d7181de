"""What a run on another machine may report, and who else may not."""

import pytest
from starlette.testclient import TestClient

from service.models import RunKind
from service.submissions import service

POINT = {"index": 0, "seconds": 2.0, "nauc": 0.5, "accuracy": 0.7, "alc": 0.4}


@pytest.fixture
def run(installation) -> tuple[str, str]:
    submission_id = installation.submit()
    installation.pass_check(submission_id)
    return installation.begin(submission_id, RunKind.SOLVE)


@pytest.fixture
def call(installation, run):
    """A request of the run's programs."""

    def call(method: str, path: str, token: str | None = None, **options):
        headers = {"Authorization": f"Bearer {token or run[1]}"}
        url = f"/internal/runs/{run[0]}{path}"
        return installation.http.request(method, url, headers=headers, **options)

    return call


def test_points_files_and_the_end_come_in(call, installation, run) -> None:
    assert call("POST", "/points", json=POINT).status_code == 204
    assert call("POST", "/points", json=POINT).status_code == 204  # an answer that got lost
    stored = call("PUT", "/files/predictions/0.predict", content=b"1 0\n")
    assert stored.json()["size_bytes"] == 4
    assert call("GET", "/files/predictions/0.predict").content == b"1 0\n"
    assert call("POST", "/scoring").status_code == 204
    result = {"alc": 0.4, "points": 1}
    assert call("POST", "/solve", json={"result": result, "error": None}).status_code == 204
    key = f"{service.run_prefix(run[0])}/predictions/0.predict"
    assert installation.context.storage.read(key) == b"1 0\n"


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/points"), ("POST", "/scoring"), ("PUT", "/files/a"), ("GET", "/files/a")],
)
def test_a_wrong_token_opens_nothing(call, method, path) -> None:
    answer = call(method, path, token="0" * 64, json=POINT)
    assert (answer.status_code, answer.json()["code"]) == (409, "run-superseded")


def test_a_run_that_has_ended_can_write_nothing(call, installation, run) -> None:
    call("POST", "/points", json=POINT)
    call("POST", "/scoring")
    call("POST", "/solve", json={"result": {"alc": 0.4}, "error": None})
    assert call("PUT", "/files/predictions.csv", content=b"x").status_code == 409
    assert call("POST", "/points", json=POINT | {"index": 1}).status_code == 409
    assert not installation.context.storage.exists(f"{service.run_prefix(run[0])}/predictions.csv")


@pytest.mark.parametrize("path", ["..%2f..%2fx", ".hidden", "a%2f%2fb", "%C3%A9", "a%00b"])
def test_a_path_that_leads_elsewhere_is_refused(call, path) -> None:
    assert call("PUT", f"/files/{path}", content=b"x").is_error


def test_the_public_port_has_no_such_door(installation, run) -> None:
    app = installation.app
    settings = app.state.context.settings.model_copy(update={"internal_port": 8001})
    object.__setattr__(app.state.context, "settings", settings)
    headers = {"Authorization": f"Bearer {run[1]}"}
    path = f"/internal/runs/{run[0]}/scoring"
    statuses = [
        TestClient(app, base_url=f"http://service:{port}").post(path, headers=headers).status_code
        for port in (8000, 8001)
    ]
    assert statuses == [404, 204]
