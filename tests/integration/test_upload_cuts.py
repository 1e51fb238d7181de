"""A large upload by our client arrives whole, though the way and the service fail all the time."""

import hashlib
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import numpy as np
import pytest

from client import Client
from client.transfer import PARALLEL
from tests.integration.test_api_live import Service

PART_BYTES = 1024 * 1024
PARTS = 24
CUTS, KILLS = 12, 2


class CutWay:
    """A proxy whose connections are cut, so many times, in the middle of what they carry."""

    def __init__(self, cuts: int) -> None:
        self.target = 0
        self.cuts_left = cuts
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                ours, _ = self._listener.accept()
            except OSError:
                return
            try:
                theirs = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                ours.close()
                continue
            for source, sink, is_up in ((ours, theirs, True), (theirs, ours, False)):
                threading.Thread(
                    target=self._carry, args=(source, sink, is_up), daemon=True
                ).start()

    def _carry(self, source: socket.socket, sink: socket.socket, is_up: bool) -> None:
        carried = 0
        try:
            while data := source.recv(65536):
                sink.sendall(data)
                carried += len(data)
                if is_up and carried > PART_BYTES * 3 // 2 and self._cut():
                    break
        except OSError:
            return
        finally:
            for end in (source, sink):
                with_shutdown(end)

    def _cut(self) -> bool:
        with self._lock:
            self.cuts_left -= 1
            return self.cuts_left >= 0


def with_shutdown(end: socket.socket) -> None:
    """End both directions; the other thread's reading ends with it."""
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


class Counting(httpx2.HTTPTransport):
    """Counts the parts that are sent."""

    sent = 0

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self.sent += request.method == "PUT"
        return super().handle_request(request)


@pytest.fixture
def way() -> Iterator[CutWay]:
    way = CutWay(CUTS)
    yield way
    way.close()


def test_an_upload_arrives_whole_and_little_of_it_is_sent_twice(
    tmp_path: Path, guests: Path, way: CutWay
) -> None:
    bundle = tmp_path / "large.zip"
    bundle.write_bytes(np.random.default_rng(0).bytes(PARTS * PART_BYTES - 7))
    service = Service(tmp_path / "installation", guests)
    service.environment |= {"AUTODL_PART_BYTES": str(PART_BYTES)}
    service.start()
    way.target = service.port
    kills: list[int] = []

    def kill(sent: int, total: int) -> None:
        if len(kills) < KILLS and sent > (len(kills) + 1) * total // (KILLS + 1):
            kills.append(sent)
            service.stop(signal.SIGKILL)
            threading.Thread(target=service.start, daemon=True).start()

    token = (service.data / "token").read_text().strip()
    transport = Counting()
    with Client(f"http://127.0.0.1:{way.port}", token, transport=transport) as client:
        upload_id = client.upload(bundle, on_progress=kill)
        answer = client._http.get(f"/v1/uploads/{upload_id}")
    assert (way.cuts_left < 0, len(kills)) == (True, KILLS)
    assert answer.json()["state"] == "complete"
    assert answer.json()["sha256"] == hashlib.sha256(bundle.read_bytes()).hexdigest()
    assert transport.sent <= PARTS + CUTS + KILLS * PARALLEL
    assert service.stop() == 0
