"""Files arrive whole or not at all, however often the way is cut."""

import base64
import hashlib
import json
import threading
from pathlib import Path

import httpx2
import pytest

from autodl.errors import UsageError
from client import RefusedError, TransientError, transfer
from tests.unit.client.played import SUBMISSION, Stream, always

PART_BYTES = 1000


def digest_of(content: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"


class Uploads:
    """A service that takes uploads in parts, over a way that may be cut."""

    def __init__(self) -> None:
        self.parts: dict[int, bytes] = {}
        self.size_bytes = 0
        self.state = "open"
        self.calls: list[str] = []
        self.cuts: dict[int, list[httpx2.Response | Exception]] = {}
        self.form = b""
        self.whole_digest = ""
        self.lock = threading.Lock()

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        body = request.read()
        with self.lock:
            self.calls.append(f"{request.method} {request.url.path}")
            return self.answer(request, body)

    def answer(self, request: httpx2.Request, body: bytes) -> httpx2.Response:
        path = request.url.path
        if path == "/v1/submissions":
            assert request.headers["idempotency-key"]
            self.form = body
            return httpx2.Response(202, json=SUBMISSION)
        if path == "/v1/uploads":
            self.size_bytes = json.loads(body)["size_bytes"]
            self.whole_digest = json.loads(body)["sha256"]
            return httpx2.Response(201, json=self.view())
        if path.endswith("/complete"):
            whole = b"".join(self.parts[n] for n in sorted(self.parts))
            if hashlib.sha256(whole).hexdigest() != self.whole_digest:
                problem = {"code": "digest-mismatch", "detail": "It was changed."}
                return httpx2.Response(422, json=problem)
            self.state = "complete"
            return httpx2.Response(200, json=self.view())
        if path.endswith("/parts"):
            (part,) = json.loads(body)["parts"]
            url = f"/v1/uploads/u1/parts/{part['number']}?signature=s&sha256={part['sha256']}"
            digest = base64.b64encode(bytes.fromhex(part["sha256"])).decode()
            signed = {**part, "url": url, "headers": {"Content-Digest": f"sha-256=:{digest}:"}}
            return httpx2.Response(200, json={"parts": [signed]})
        if request.method == "PUT":
            number = int(path.rpartition("/")[2])
            if self.cuts.get(number):
                cut = self.cuts[number].pop()
                if isinstance(cut, Exception):
                    raise cut
                return cut
            assert request.headers["content-digest"] == digest_of(body)
            assert "authorization" not in request.headers  # its address may be another's
            self.parts[number] = body
            return httpx2.Response(204)
        return httpx2.Response(200, json=self.view())

    def view(self) -> dict:
        return {
            "id": "u1",
            "state": self.state,
            "part_bytes": PART_BYTES,
            "parts_total": -(-self.size_bytes // PART_BYTES),
            "parts": [{"number": n, "size_bytes": len(p)} for n, p in self.parts.items()],
        }


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(transfer, "WHOLE_BYTES", 2000)
    path = tmp_path / "toy.zip"
    path.write_bytes(bytes(range(256)) * 40)  # ten parts and a bit
    return path


def test_a_small_bundle_goes_in_one_request_its_digest_before_its_file(connect, tmp_path) -> None:
    path = tmp_path / "toy.zip"
    path.write_bytes(b"PK" * 100_000)
    uploads, told = Uploads(), []
    connect(uploads).submit(path, budget_seconds=60, on_progress=lambda *both: told.append(both))
    assert uploads.calls == ["POST /v1/submissions"]
    digest = hashlib.sha256(path.read_bytes()).hexdigest().encode()
    assert 0 < uploads.form.index(digest) < uploads.form.index(b'filename="toy.zip"')
    assert told[-1] == (200_000, 200_000)
    assert b'name="solution"' not in uploads.form


def test_what_is_said_of_raw_data_goes_along(connect, tmp_path, bundle) -> None:
    path = tmp_path / "fruits.csv"
    path.write_bytes(b"a,kind\n")
    uploads = Uploads()
    connect(uploads).submit(path, label="kind", test=0.3, review=True)
    for name, value in {b"label": b"kind", b"test": b"0.3", b"review": b"True"}.items():
        assert b'name="%s"\r\n\r\n%s\r\n' % (name, value) in uploads.form
    assert b'filename="fruits.csv"' in uploads.form
    connect(uploads).submit(bundle, separator=";", review=True)
    assert json.loads(uploads.form) == {"separator": ";", "review": True, "upload_id": "u1"}


def test_a_repeated_request_sends_its_file_from_the_beginning(connect, tmp_path) -> None:
    path = tmp_path / "toy.zip"
    path.write_bytes(b"PK" * 100)
    bodies: list[bytes] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        bodies.append(request.read())
        if len(bodies) == 1:
            raise httpx2.ReadError("the answer was lost")
        return httpx2.Response(202, json=SUBMISSION)

    connect(handle).submit(path)
    assert len(bodies) == 2
    assert all(b"PK" * 100 in body for body in bodies)


def test_a_large_bundle_goes_in_parts_and_its_submission_names_the_upload(connect, bundle) -> None:
    uploads, told = Uploads(), []
    options = {"name": "toy", "budget_seconds": 60}
    connect(uploads).submit(bundle, **options, on_progress=lambda *both: told.append(both))
    assert b"".join(uploads.parts[n] for n in range(1, 12)) == bundle.read_bytes()
    assert json.loads(uploads.form) == {"name": "toy", "budget_seconds": 60, "upload_id": "u1"}
    assert [sent for sent, _ in told] == sorted(sent for sent, _ in told)
    assert told[-1] == (10_240, 10_240)
    assert [p.name for p in bundle.parent.iterdir()] == ["toy.zip"]


def test_a_part_that_is_cut_is_sent_again_and_no_other_one(connect, bundle) -> None:
    uploads = Uploads()
    expired = {"code": "part-url-expired", "detail": "Too late."}
    uploads.cuts = {
        3: [httpx2.WriteError("cut")] * 5,
        5: [httpx2.Response(403, json=expired), httpx2.Response(503, json=expired)],
    }
    connect(uploads).submit(bundle)
    assert b"".join(uploads.parts[n] for n in range(1, 12)) == bundle.read_bytes()
    sent = [call.rpartition("/")[2] for call in uploads.calls if call.startswith("PUT")]
    assert {n: sent.count(str(n)) for n in range(1, 12)} == {
        n: {3: 6, 5: 3}.get(n, 1) for n in range(1, 12)
    }


def test_an_upload_that_was_broken_off_goes_on_in_another_process(connect, bundle) -> None:
    uploads = Uploads()
    refused = httpx2.Response(422, json={"code": "part-size-wrong", "detail": "No."})
    uploads.cuts = {7: [refused]}
    with pytest.raises(RefusedError):
        connect(uploads).submit(bundle)
    kept = dict(uploads.parts)
    assert 0 < len(kept) < 11
    uploads.calls.clear()
    connect(uploads).submit(bundle)
    assert b"".join(uploads.parts[n] for n in range(1, 12)) == bundle.read_bytes()
    assert sum(call.startswith("PUT") for call in uploads.calls) == 11 - len(kept)


def test_an_upload_outlives_a_service_that_is_away_for_a_while(connect, bundle, pauses) -> None:
    uploads = Uploads()
    away = {"parts": 8, "complete": 8}

    def handle(request: httpx2.Request) -> httpx2.Response:
        step = request.url.path.rpartition("/")[2]
        if away.get(step, 0) > 0:
            away[step] -= 1
            raise httpx2.ConnectError("refused")
        return uploads(request)

    assert connect(handle).upload(bundle) == "u1"
    assert max(pauses) <= 4


def test_another_that_sends_the_same_and_is_faster_does_no_harm(connect, bundle) -> None:
    uploads = Uploads()
    ended = httpx2.Response(409, json={"code": "upload-ended", "detail": "It is complete."})
    uploads.cuts = {5: [ended]}
    assert connect(uploads).upload(bundle) == "u1"


def test_what_the_service_has_already_is_not_sent(connect, bundle) -> None:
    uploads = Uploads()
    uploads.state = "complete"
    assert connect(uploads).upload(bundle) == "u1"
    assert uploads.calls == ["POST /v1/uploads"]


def test_a_whole_that_is_not_what_was_announced_is_an_error(connect, bundle) -> None:
    uploads = Uploads()
    uploads.parts = {1: b"of another file"}
    with pytest.raises(RefusedError) as caught:
        connect(uploads).submit(bundle)
    assert caught.value.code == "digest-mismatch"
    assert [p.name for p in bundle.parent.iterdir()] == ["toy.zip"]


def test_a_service_without_uploads_in_parts_gets_it_in_one_request(connect, bundle) -> None:
    def handle(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/v1/uploads":
            return httpx2.Response(
                404, json={"code": "resource-not-found", "detail": "No such place."}
            )
        assert bundle.read_bytes() in request.read()
        return httpx2.Response(202, json=SUBMISSION)

    assert connect(handle).submit(bundle).id == "s1"
    with pytest.raises(RefusedError):
        connect(handle).upload(bundle)


def test_a_bundle_that_is_not_there_is_refused_here(connect) -> None:
    with pytest.raises(UsageError) as caught:
        connect(always(500)).submit(Path("nowhere.zip"))
    assert caught.value.code == "path-missing"


CONTENT = b"0123456789" * 1000


class Cut:
    """Gives 4,000 bytes of the file at a time, and then the way is cut."""

    def __init__(self) -> None:
        self.ranges: list[str | None] = []
        self.lives = 99

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        asked = request.headers.get("range")
        self.ranges.append(asked)
        if len(self.ranges) > self.lives:
            raise httpx2.ConnectError("refused")
        start = int(asked[6:-1]) if asked else 0
        if asked:
            assert request.headers["if-range"] == '"v1"'
        if start == len(CONTENT):
            return httpx2.Response(416, json={"code": "range-not-satisfiable", "detail": "No."})
        headers = {"etag": '"v1"', "repr-digest": digest_of(CONTENT)}
        stream = Stream(CONTENT[start : start + 4000], breaks=start + 4000 < len(CONTENT))
        return httpx2.Response(206 if asked else 200, headers=headers, stream=stream)


def test_a_cut_download_goes_on_and_is_verified(connect, tmp_path: Path) -> None:
    service = Cut()
    target = connect(service).download("s1", "labelled/dataset.predict", tmp_path / "a/b.predict")
    assert target.read_bytes() == CONTENT
    assert service.ranges == [None, "bytes=4000-", "bytes=8000-"]
    assert [p.name for p in target.parent.iterdir()] == ["b.predict"]


def test_a_store_of_its_own_gets_no_token_and_its_file_is_verified(connect, tmp_path) -> None:
    def handle(request: httpx2.Request) -> httpx2.Response:
        if request.url.host == "service":
            headers = {"location": "https://store.example/x", "repr-digest": digest_of(CONTENT)}
            return httpx2.Response(307, headers=headers)
        assert "authorization" not in request.headers
        return httpx2.Response(200, content=CONTENT[:-1] if "bad" in str(tmp_path) else CONTENT)

    connect(handle).download("s1", "p.csv", tmp_path / "p.csv")
    tmp_path = tmp_path / "bad"
    with pytest.raises(TransientError, match="changed"):
        connect(handle).download("s1", "p.csv", tmp_path / "p.csv")


def test_a_download_that_was_broken_off_goes_on_in_another_process(connect, tmp_path) -> None:
    service = Cut()
    service.lives = 1
    with pytest.raises(TransientError):
        connect(service).download("s1", "p.csv", tmp_path / "p.csv")
    service = Cut()
    connect(service).download("s1", "p.csv", tmp_path / "p.csv")
    assert service.ranges == ["bytes=4000-", "bytes=8000-"]
    assert [p.name for p in tmp_path.iterdir()] == ["p.csv"]


def test_a_part_that_is_the_whole_already_is_fetched_anew(connect, tmp_path) -> None:
    (tmp_path / ".p.csv.part").write_bytes(CONTENT)
    (tmp_path / ".p.csv.etag").write_text('"v1"')
    service = Cut()
    assert connect(service).download("s1", "p.csv", tmp_path / "p.csv").read_bytes() == CONTENT
    assert service.ranges[:2] == ["bytes=10000-", None]


def test_a_download_that_was_changed_on_its_way_is_not_kept(connect, tmp_path: Path) -> None:
    answer = always(200, content=b"altered", headers={"repr-digest": digest_of(b"original")})
    with pytest.raises(TransientError) as caught:
        connect(answer).download("s1", "predictions.csv", tmp_path / "p.csv")
    assert caught.value.code == "digest-mismatch"
    assert list(tmp_path.iterdir()) == []
