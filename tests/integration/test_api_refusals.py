"""The API as its clients meet it: what it refuses, always as a problem with a code."""

import asyncio
import json
import re

import pytest

from tests.integration.conftest import MAX_UPLOAD_BYTES

BOUNDARY = "xx"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def field(name: str, value: str, filename: str | None = None) -> str:
    disposition = f'form-data; name="{name}"' + (f'; filename="{filename}"' if filename else "")
    return f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n\r\n{value}\r\n"


PARAMETER = re.compile(r"{\w+}")
END = f"--{BOUNDARY}--\r\n"
FILE = field("file", "PK", "a.zip")


def expect(answer, status: int, code: str) -> dict:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code), problem
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["type"] == f"/errors#{code}"
    assert "Traceback" not in answer.text
    return problem


def nothing_was_kept(installation) -> bool:
    listed = installation.http.get("/v1/submissions").json()["items"]
    return listed == [] and installation.context.storage.list("uploads") == []


def routes(installation) -> list[tuple[str, str]]:
    paths = installation.http.get("/v1/openapi.json").json()["paths"]
    return [
        (method, PARAMETER.sub("x", path))
        for path, methods in paths.items()
        for method in methods
        if path.startswith("/v1/") and "security" in methods[method]
    ]


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "authentication-required"),
        ("Bearer", "token-invalid"),
        ("Bearer nonsense", "token-invalid"),
        ("Bearer adl_000000000000000000000000000000000000", "token-invalid"),
        ("Basic YTpi", "token-invalid"),
        ("Bearer \xff\xfe", "token-invalid"),
    ],
)
def test_every_route_refuses_without_a_good_token(installation, header, code) -> None:
    known = routes(installation)
    assert len(known) >= 10
    del installation.http.headers["Authorization"]
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    for method, path in known:
        answer = installation.http.request(method, path, headers=headers)
        expect(answer, 401, code)
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_an_upload_without_a_token_is_not_even_read(installation) -> None:
    sent = []

    async def receive():
        raise AssertionError("the body was asked for")

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/submissions", "query_string": b""}
    headers = [(b"content-type", FORM["Content-Type"].encode()), (b"content-length", b"1000000")]
    asyncio.run(installation.app(scope | {"headers": headers}, receive, send))
    assert sent[0]["status"] == 401


def trickle(installation, method: str, path: str, kind: str) -> tuple[int, dict]:
    """Send a body byte by byte; status and problem."""
    sent = []

    async def receive():
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": b"{", "more_body": True}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "query_string": b""}
    token = f"Bearer {installation.token}".encode()
    headers = [(b"content-type", kind.encode()), (b"authorization", token)]
    asyncio.run(installation.app(scope | {"headers": headers}, receive, send))
    return sent[0]["status"], json.loads(sent[1]["body"])


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("POST", "/v1/submissions", FORM["Content-Type"]),
        ("POST", "/v1/submissions", "application/json"),
        ("POST", "/v1/uploads", "application/json"),
        ("PUT", "/v1/uploads", "application/octet-stream"),
    ],
)
def test_a_body_that_comes_byte_by_byte_holds_no_place(
    installation, monkeypatch, method, path, kind
) -> None:
    monkeypatch.setattr("service.body.PATIENCE_SECONDS", 0.1)
    status, problem = trickle(installation, method, path, kind)
    assert (status, problem["code"]) == (408, "upload-stalled")
    assert nothing_was_kept(installation)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (END, 422, "field-missing"),
        (field("name", "a") + END, 422, "field-missing"),
        (field("file", "", "") + END, 422, "field-missing"),
        (FILE + FILE + END, 422, "field-invalid"),
        (field("name", "a") + field("name", "b") + FILE + END, 422, "field-invalid"),
        (field("colour", "red") + FILE + END, 422, "field-invalid"),
        (FILE + field("colour", "red") + END, 422, "field-invalid"),
        (FILE + field("budget_seconds", "soon") + END, 422, "field-invalid"),
        (FILE + field("budget_seconds", "nan") + END, 422, "budget-out-of-range"),
        (FILE + field("budget_seconds", "inf") + END, 422, "budget-out-of-range"),
        (FILE + field("budget_seconds", "-1") + END, 422, "budget-out-of-range"),
        (field("budget_seconds", "1e300") + FILE + END, 422, "budget-out-of-range"),
        (FILE + field("solution", "../winner") + END, 422, "solution-unknown"),
        (FILE + field("name", "a\x1b[31m") + END, 422, "submission-name-invalid"),
        (FILE + field("name", "x" * 300) + END, 422, "submission-name-invalid"),
        (FILE + field("name", "x" * 100_000) + END, 422, "field-invalid"),
        (FILE + field("sha256", "0" * 64) + END, 422, "digest-mismatch"),
        (FILE, 400, "form-malformed"),
        (field("file", "PK", "a.zip")[:-10], 400, "form-malformed"),
        ("", 400, "form-malformed"),
        ("nonsense", 400, "form-malformed"),
        (f"--{BOUNDARY}\r\n\r\nno name\r\n" + END, 400, "form-malformed"),
        (field("name", "a") * 40 + END, 422, "field-invalid"),
        (f"--{BOUNDARY}\r\nX: {'y' * 100_000}\r\n\r\n\r\n" + END, 400, "form-malformed"),
    ],
)
def test_a_wrong_form_is_refused_and_nothing_of_it_kept(installation, body, status, code) -> None:
    answer = installation.http.post("/v1/submissions", content=body.encode(), headers=FORM)
    expect(answer, status, code)
    assert nothing_was_kept(installation)


@pytest.mark.parametrize(
    "kind", ["", "application/xml", "text/plain", "multipart/form-data", "multipart/form-data; x"]
)
def test_only_forms_and_json_are_taken(installation, kind) -> None:
    answer = installation.http.post(
        "/v1/submissions", content=b"{}", headers={"Content-Type": kind}
    )
    expect(answer, 415, "media-type-unsupported")


def test_a_name_that_is_not_utf8_is_refused(installation) -> None:
    body = FILE.encode() + field("name", "@").encode().replace(b"@", b"\xff\xfe") + END.encode()
    expect(
        installation.http.post("/v1/submissions", content=body, headers=FORM), 422, "field-invalid"
    )
    assert nothing_was_kept(installation)


def test_an_upload_that_says_it_is_too_large_is_refused_at_once(installation) -> None:
    headers = FORM | {"Content-Length": str(10**12)}
    answer = installation.http.post("/v1/submissions", content=b"", headers=headers)
    expect(answer, 413, "upload-too-large")


def test_an_upload_that_turns_out_too_large_is_not_kept(installation) -> None:
    content = b"x" * (MAX_UPLOAD_BYTES + 1)
    answer = installation.http.post("/v1/submissions", files={"file": ("a.zip", content)})
    expect(answer, 413, "upload-too-large")
    assert nothing_was_kept(installation)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/submissions?limit=0", 422, "field-invalid"),
        ("/v1/submissions?limit=many", 422, "field-invalid"),
        ("/v1/submissions?cursor=%00", 400, "cursor-invalid"),
        ("/v1/submissions?cursor=%C3%A9", 400, "cursor-invalid"),
        ("/v1/submissions?cursor=MjAyNi0xMS0yNSB4", 400, "cursor-invalid"),
        ("/v1/submissions/unknown", 404, "submission-not-found"),
        ("/v1/submissions/%00", 404, "submission-not-found"),
        ("/v1/submissions/unknown/events", 404, "submission-not-found"),
        ("/v1/submissions/unknown/files/predictions.csv", 404, "submission-not-found"),
        ("/v1/nothing", 404, "resource-not-found"),
        ("/static/nothing.css", 404, "resource-not-found"),
        ("/v1/openapi.json/", 404, "resource-not-found"),
    ],
)
def test_a_wrong_address_is_a_problem(installation, path, status, code) -> None:
    expect(installation.http.get(path, follow_redirects=False), status, code)


def test_wrong_methods_are_told_which_are_right(installation) -> None:
    answer = installation.http.put("/v1/submissions")
    expect(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "GET, POST"
    address = f"/v1/submissions/{installation.submit()}/files/x"
    assert installation.http.delete(address).headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "event_id", ["x", "1", "1.2.3", "1.2.3.4.5", "-1.0.0.0", "1.2.3." + "9" * 30]
)
def test_an_event_id_of_elsewhere_is_refused(installation, event_id) -> None:
    address = f"/v1/submissions/{installation.submit()}/events"
    answer = installation.http.get(address, headers={"Last-Event-ID": event_id})
    expect(answer, 400, "event-id-invalid")


@pytest.mark.parametrize(
    "path",
    [
        "nothing.csv",
        "../../../token",
        "..%2F..%2F..%2Ftoken",
        "%2Fetc%2Fpasswd",
        "predictions.csv/",
        "%00",
    ],
)
def test_files_are_only_those_of_the_run(installation, path) -> None:
    submission_id = installation.submit()
    installation.succeed(submission_id, {"predictions.csv": b"1\n"})
    answer = installation.http.get(f"/v1/submissions/{submission_id}/files/{path}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("value", ["bytes=9-", "bytes=x", "bytes=5-2", "lines=1-2"])
def test_a_wrong_range_is_a_problem(installation, value) -> None:
    submission_id = installation.submit()
    installation.succeed(submission_id, {"predictions.csv": b"1,2\n"})
    address = f"/v1/submissions/{submission_id}/files/predictions.csv"
    answer = installation.http.get(address, headers={"Range": value})
    expect(answer, 416, "range-not-satisfiable")


def test_results_that_are_not_there_yet_are_a_problem(installation) -> None:
    address = f"/v1/submissions/{installation.submit()}"
    expect(installation.http.get(f"{address}/report"), 404, "result-not-found")
    expect(installation.http.get(f"{address}/files/predictions.csv"), 404, "result-not-found")


def test_what_has_ended_cannot_be_canceled(installation) -> None:
    submission_id = installation.submit()
    installation.succeed(submission_id)
    answer = installation.http.post(f"/v1/submissions/{submission_id}/cancel")
    expect(answer, 409, "submission-ended")


def test_our_own_fault_is_a_problem_without_a_trace(installation, monkeypatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("service.submissions.repository.list_submissions", fail)
    answer = installation.http.get("/v1/submissions", headers={"X-Request-ID": "my-request-1"})
    assert expect(answer, 500, "internal-error")["request_id"] == "my-request-1"
    assert "secret" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    page = installation.http.get("/", headers={"Accept": "text/html"})
    assert page.status_code == 500
    assert "The service failed." in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_a_store_that_fails_is_worth_another_try(installation, monkeypatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("service.storage.files.os.fsync", fail)
    answer = installation.http.post("/v1/submissions", files={"file": ("a.zip", b"PK")})
    expect(answer, 503, "storage-unavailable")
    assert answer.headers["retry-after"]


def test_every_answer_carries_the_security_headers(installation) -> None:
    for path in ("/v1/submissions", "/v1/nothing", "/healthz", "/login", "/static/site.css"):
        headers = installation.http.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-request-id"]


def test_no_other_site_may_read_an_answer(installation) -> None:
    """Cross-origin sharing is closed: nothing allows it, not to a preflight either."""
    wish = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}
    for method in ("GET", "OPTIONS"):
        answer = installation.http.request(method, "/v1/submissions", headers=wish)
        assert not [name for name in answer.headers if name.startswith("access-control-")]
