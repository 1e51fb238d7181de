"""Uploads live through dying servers and breaking links, in little memory."""

import base64
import hashlib
import http.client
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from tests.integration.serving import BreakingLink, Server

pytestmark = pytest.mark.slow
PART = 128 * 1024
KILLS = 10
CUTS = 50


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "data", part_bytes=PART, max_upload_bytes=10**9)
    server.start()
    yield server
    server.kill()


def random_bytes(size: int) -> bytes:
    return random.Random(7).randbytes(size)


def begin(http: httpx2.Client, content: bytes) -> dict:
    asked = {"size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    return http.post("/v1/uploads", json=asked).raise_for_status().json()


def sign(http: httpx2.Client, upload: dict, number: int, data: bytes) -> dict:
    asked = {"parts": [{"number": number, "sha256": hashlib.sha256(data).hexdigest()}]}
    return http.post(upload["links"]["parts"], json=asked).raise_for_status().json()["parts"][0]


def cut(upload: dict, content: bytes) -> dict[int, bytes]:
    size = upload["part_bytes"]
    return {n + 1: content[n * size : (n + 1) * size] for n in range(upload["parts_total"])}


def there(http: httpx2.Client, upload: dict) -> set[int]:
    answer = http.get(upload["links"]["self"]).raise_for_status().json()
    return {part["number"] for part in answer["parts"]}


def finish(server: Server, http: httpx2.Client, upload: dict, content: bytes) -> None:
    answer = http.post(upload["links"]["complete"]).raise_for_status().json()
    assert answer["state"] == "complete"
    stored = server.data / "storage/uploads" / upload["id"] / "bundle.zip"
    assert stored.read_bytes() == content


def send_half(server: Server, signed: dict, data: bytes) -> http.client.HTTPConnection:
    link = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    link.putrequest("PUT", signed["url"])
    for name, value in ({"Content-Length": str(len(data))} | signed["headers"]).items():
        link.putheader(name, value)
    link.endheaders()
    link.send(data[: len(data) // 2])
    return link


def test_a_server_killed_in_the_middle_of_parts_loses_only_those(server) -> None:
    content = random_bytes(KILLS * PART + 1000)
    with server.client() as http:
        upload = begin(http, content)
    for number, data in cut(upload, content).items():
        with server.client() as http:
            signed = sign(http, upload, number, data)
        if number <= KILLS:
            link = send_half(server, signed, data)
            server.kill()
            link.close()
            server.start()
            with server.client() as http:
                assert there(http, upload) == set(range(1, number))
        answer = httpx2.put(server.url + signed["url"], content=data, headers=signed["headers"])
        assert answer.status_code == 204
    with server.client() as http:
        finish(server, http, upload, content)
    folders = [server.data / "storage" / name for name in (".aside", ".parts")]
    assert [p for folder in folders if folder.exists() for p in folder.iterdir()] == []


def test_a_link_that_is_cut_fifty_times_costs_a_part_each(server) -> None:
    content = random_bytes((CUTS + 5) * PART)  # each link lets one part through
    link = BreakingLink(server.port, cut_after_bytes=PART + PART // 2, cuts=CUTS)
    with server.client() as http:
        upload = begin(http, content)
    parts = cut(upload, content)
    cuts = 0
    while parts:
        with server.client(link.url) as http:
            try:
                for number, data in list(parts.items()):
                    signed = sign(http, upload, number, data)
                    answer = http.put(signed["url"], content=data, headers=signed["headers"])
                    assert answer.status_code == 204, answer.text
                    del parts[number]
            except httpx2.TransportError:
                cuts += 1
    link.close()
    assert link.cuts_left == 0
    assert cuts >= CUTS
    assert link.sent_bytes < len(content) + cuts * (PART + 8192)
    with server.client() as http:
        finish(server, http, upload, content)


def test_memory_stays_flat_however_large_the_upload(tmp_path) -> None:
    server = Server(tmp_path / "data", max_upload_bytes=10**9)
    content = random_bytes(1024 * 1024) * 160
    server.start()
    try:
        with server.client() as http:
            upload = begin(http, content)

            def send(item: tuple[int, bytes]) -> int:
                signed = sign(http, upload, *item)
                answer = http.put(signed["url"], content=item[1], headers=signed["headers"])
                return answer.status_code

            with ThreadPoolExecutor(4) as pool:
                assert set(pool.map(send, cut(upload, content).items())) == {204}
            finish(server, http, upload, content)
            whole = http.put("/v1/uploads", content=content[1:])
            assert whole.status_code == 201
            digest = hashlib.sha256(content[1:]).hexdigest()
            assert whole.json()["sha256"] == digest
        assert server.peak_bytes() < 200 * 1024 * 1024
    finally:
        server.kill()


def test_what_is_refused_early_was_not_read(server) -> None:
    """The answer comes while the body is still held back."""
    data = random_bytes(PART)
    with server.client() as http:
        upload = begin(http, data)
        signed = sign(http, upload, 1, data)
        value = base64.b64encode(hashlib.sha256(b"other").digest()).decode()
        signed["headers"] = {"Content-Digest": f"sha-256=:{value}:"}
        link = send_half(server, signed, data)
        assert link.getresponse().status == 422
        link.close()
        assert there(http, upload) == set()
