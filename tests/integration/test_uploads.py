"""Uploads in parts, as a client meets them: any order, again, at once, wrong."""

import base64
import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from service.models import Upload, utc_now
from tests.integration.test_api_refusals import expect

PART = 1024
CONTENT = bytes(range(256)) * 10  # two and a half parts


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def digest(data: bytes) -> dict[str, str]:
    value = base64.b64encode(hashlib.sha256(data).digest()).decode()
    return {"Content-Digest": f"sha-256=:{value}:"}


def part(number: int, content: bytes = CONTENT) -> bytes:
    return content[(number - 1) * PART : number * PART]


@pytest.fixture
def part_bytes() -> int:
    return PART


def begin(installation, content: bytes = CONTENT, **fields: object) -> dict:
    asked = {"name": "flowers.zip", "size_bytes": len(content)} | fields
    answer = installation.http.post("/v1/uploads", json=asked)
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/v1/uploads/{answer.json()['id']}"
    return answer.json()


def sign(installation, upload: dict, number: int, data: bytes) -> dict:
    asked = {"parts": [{"number": number, "sha256": sha256(data)}]}
    answer = installation.http.post(f"{upload['links']['parts']}", json=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()["parts"][0]


def put(installation, signed: dict, data: bytes, **headers: str):
    return installation.http.put(signed["url"], content=data, headers=signed["headers"] | headers)


def send(installation, upload: dict, number: int, data: bytes | None = None):
    data = part(number) if data is None else data
    return put(installation, sign(installation, upload, number, data), data)


def complete(installation, upload: dict):
    return installation.http.post(upload["links"]["complete"])


def stored(installation, upload: dict) -> bytes:
    return installation.context.storage.read(f"uploads/{upload['id']}/bundle.zip")


def nothing_is_left(installation) -> bool:
    storage = installation.context.storage
    files = [p for p in storage.root.rglob("*") if p.is_file()]
    return files == [] and not storage.list_multiparts()


def test_parts_make_the_file_in_any_order_and_again(installation) -> None:
    upload = begin(installation)
    assert (upload["part_bytes"], upload["parts_total"], upload["state"]) == (PART, 3, "open")
    for number in (3, 1, 1, 2, 3):
        answer = send(installation, upload, number)
        assert answer.status_code == 204, answer.text
        assert answer.headers["repr-digest"] == digest(part(number))["Content-Digest"]
        assert answer.headers["etag"] == f'"{sha256(part(number))}"'
    listed = installation.http.get(upload["links"]["self"]).json()["parts"]
    assert [(p["number"], p["size_bytes"]) for p in listed] == [(1, PART), (2, PART), (3, 512)]
    for _ in range(2):  # the answer to the first may have been lost
        answer = complete(installation, upload)
        assert answer.status_code == 200, answer.text
        assert (answer.json()["state"], answer.json()["sha256"]) == ("complete", sha256(CONTENT))
    assert stored(installation, upload) == CONTENT


def test_parts_come_at_once_from_many_connections(installation) -> None:
    content = bytes(range(251)) * 500
    upload = begin(installation, content, sha256=sha256(content))
    numbers = [*range(1, upload["parts_total"] + 1)] * 2
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda n: send(installation, upload, n, part(n, content)), numbers)
    assert {answer.status_code for answer in answers} == {204}
    assert complete(installation, upload).json()["state"] == "complete"
    assert stored(installation, upload) == content


def test_many_may_say_at_once_that_it_is_complete(installation) -> None:
    upload = begin(installation)
    for number in (1, 2, 3):
        send(installation, upload, number)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: complete(installation, upload), range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert stored(installation, upload) == CONTENT


def test_another_content_of_a_part_replaces_it(installation) -> None:
    upload = begin(installation)
    send(installation, upload, 1, b"x" * PART)
    for number in (1, 2, 3):
        send(installation, upload, number)
    assert complete(installation, upload).json()["sha256"] == sha256(CONTENT)


def test_s3s_own_field_is_a_digest_too(installation) -> None:
    upload = begin(installation)
    signed = sign(installation, upload, 1, part(1))
    value = base64.b64encode(hashlib.sha256(part(1)).digest()).decode()
    headers = {"x-amz-checksum-sha256": value}
    answer = installation.http.put(signed["url"], content=part(1), headers=headers)
    assert answer.status_code == 204


def test_the_same_content_is_not_sent_or_kept_twice(installation) -> None:
    first = installation.http.put("/v1/uploads?name=a.zip", content=CONTENT).json()
    asked = {"name": "b.zip", "size_bytes": len(CONTENT), "sha256": sha256(CONTENT)}
    answer = installation.http.post("/v1/uploads", json=asked)
    assert (answer.status_code, answer.json()["state"]) == (200, "complete")
    assert answer.json()["id"] == first["id"]
    assert installation.http.put("/v1/uploads", content=CONTENT).json()["id"] == first["id"]
    unannounced = begin(installation)
    for number in (1, 2, 3):
        send(installation, unannounced, number)
    assert complete(installation, unannounced).json()["state"] == "complete"
    assert len(installation.context.storage.list("uploads")) == 1
    for upload in (unannounced, first):
        assert installation.http.delete(f"/v1/uploads/{upload['id']}").status_code == 204
    assert nothing_is_left(installation)


def test_what_was_begun_goes_on_for_whoever_has_the_same_file(installation) -> None:
    first = begin(installation, sha256=sha256(CONTENT))
    send(installation, first, 2)
    asked = {"name": "b.zip", "size_bytes": len(CONTENT), "sha256": sha256(CONTENT)}
    answer = installation.http.post("/v1/uploads", json=asked)
    assert (answer.status_code, answer.json()["id"]) == (200, first["id"])
    assert [p["number"] for p in answer.json()["parts"]] == [2]
    other = begin(installation, CONTENT[1:], sha256=sha256(CONTENT[1:]))
    assert other["id"] != first["id"]


def test_one_put_is_enough_for_curl(installation) -> None:
    answer = installation.http.put(
        "/v1/uploads?name=flowers.zip", content=CONTENT, headers=digest(CONTENT)
    )
    assert answer.status_code == 201, answer.text
    upload = answer.json()
    assert (upload["name"], upload["state"]) == ("flowers.zip", "complete")
    assert (upload["sha256"], upload["size_bytes"]) == (sha256(CONTENT), len(CONTENT))
    assert stored(installation, upload) == CONTENT


@pytest.mark.parametrize("name", ["", " ", "a%00b", "%1b[31m", "x" * 201, "%ed%a0%80", "%ff"])
def test_a_name_can_be_shown(installation, name) -> None:
    answer = installation.http.put(f"/v1/uploads?name={name}", content=CONTENT)
    if name in ("%ed%a0%80", "%ff"):  # what is no UTF-8 is read as a sign for that
        assert answer.status_code == 201
    else:
        expect(answer, 422, "field-invalid")
    assert answer.status_code == 201 or nothing_is_left(installation)


def test_what_was_begun_can_be_given_up(installation) -> None:
    upload = begin(installation)
    send(installation, upload, 1)
    assert installation.http.delete(upload["links"]["self"]).status_code == 204
    assert nothing_is_left(installation)
    expect(installation.http.get(upload["links"]["self"]), 404, "upload-not-found")
    expect(installation.http.delete(upload["links"]["self"]), 404, "upload-not-found")


def test_the_key_of_what_was_given_up_begins_anew(installation) -> None:
    headers = {"Idempotency-Key": "begin"}
    asked = {"name": "flowers.zip", "size_bytes": len(CONTENT)}
    first = installation.http.post("/v1/uploads", json=asked, headers=headers).json()
    assert installation.http.delete(first["links"]["self"]).status_code == 204
    answer = installation.http.post("/v1/uploads", json=asked, headers=headers)
    assert "idempotency-replayed" not in answer.headers
    assert answer.json()["id"] != first["id"]
    assert installation.http.get(answer.json()["links"]["self"]).status_code == 200


def test_a_whole_that_is_another_one_is_refused_and_removed(installation) -> None:
    upload = begin(installation, sha256="0" * 64)
    for number in (1, 2, 3):
        send(installation, upload, number)
    expect(complete(installation, upload), 422, "digest-mismatch")
    assert nothing_is_left(installation)


def test_completing_says_what_is_missing(installation) -> None:
    upload = begin(installation)
    send(installation, upload, 2)
    problem = expect(complete(installation, upload), 409, "upload-incomplete")
    assert "2 of 3 parts are missing: 1, 3." in problem["detail"]


def test_an_upload_is_kept_for_longer_while_it_goes_on(installation) -> None:
    upload = begin(installation)
    soon = utc_now() + timedelta(minutes=5)
    with installation.context.database.write() as session:
        session.get_one(Upload, upload["id"]).expires_at = soon
    sign(installation, upload, 1, part(1))
    with installation.context.database.read() as session:
        assert session.get_one(Upload, upload["id"]).expires_at > soon + timedelta(days=1)
