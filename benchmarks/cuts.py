"""Send a large file through a link that is cut, to a server that is killed; count what goes twice.

    python benchmarks/cuts.py [--megabytes 4096] [--cuts 50] [--kills 10]

Prints one JSON object. The Python client sends the file in parts, four at once. A cut ends the
connection in the middle of a part; a kill (SIGKILL) ends the server, and with it up to four parts
that are under way. At most one part is to be sent again for each connection that breaks so.
"""

import argparse
import hashlib
import json
import os
import random
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import psutil
from uploads import CHUNK, find_peak, serving

from client import Client
from client.transfer import PARALLEL


class CutLink(httpx2.HTTPTransport):
    """Counts the parts that are sent, and breaks off some of them in the middle."""

    def __init__(self, cut: set[int]) -> None:
        super().__init__()
        self.cut = cut
        self.sent = 0
        self._lock = threading.Lock()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "PUT":
            with self._lock:
                self.sent += 1
                is_cut = self.sent in self.cut
            if is_cut:
                request.stream = Half(request.read())
        return super().handle_request(request)


class Half(httpx2.SyncByteStream):
    """The first half of some bytes, and then no link any more."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def __iter__(self) -> Iterator[bytes]:
        yield self.content[: len(self.content) // 2]
        raise httpx2.WriteError("The link was cut.")


class Service:
    """A server that can be killed, and comes back at the same address by itself."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.url, self.port = folder, "", 0
        self.kills, self.peaks = 0, [0.0]
        self._ready = threading.Event()
        self._over = False
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> "Service":
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        self.process.terminate()
        self._thread.join()

    def _serve(self) -> None:
        while not self._over:
            with serving(self.folder, self.port) as (url, self.process):
                self.url, self.port = url, urlsplit(url).port
                self._ready.set()
                self.process.wait()
                self._ready.clear()

    def kill(self) -> None:
        self._ready.wait()
        self.note_peak()
        self._ready.clear()
        self.process.kill()
        self.kills += 1

    def note_peak(self) -> None:
        self.peaks.append(find_peak(self.process.pid))


def measure(folder: Path, megabytes: int, cuts: int, kills: int) -> dict:
    source, digest = folder / "source", hashlib.sha256()
    with source.open("wb") as file:
        for _ in range(megabytes):
            digest.update(chunk := os.urandom(CHUNK))
            file.write(chunk)
    with Service(folder / "data") as service:
        token = (folder / "data/token").read_text().strip()
        parts = -(-megabytes // 16)
        link = CutLink(set(random.sample(range(1, parts + 1), cuts)))

        def watch(sent: int, total: int) -> None:
            if service.kills < kills and sent * (kills + 1) > (service.kills + 1) * total:
                service.kill()

        start = time.perf_counter()
        with Client(service.url, token, transport=link) as client:
            upload_id = client.upload(source, on_progress=watch)
            seconds = time.perf_counter() - start
            view = client._http.get(f"/v1/uploads/{upload_id}").json()
        service.note_peak()
    return {
        "megabytes": megabytes,
        "cuts": cuts,
        "kills": service.kills,
        "whole": (view["state"], view["sha256"]) == ("complete", digest.hexdigest()),
        "seconds": round(seconds, 1),
        "parts": view["parts_total"],
        "parts_sent_again": link.sent - view["parts_total"],
        "connections_broken": f"{cuts} by cuts, up to {kills * PARALLEL} by kills",
        "server_peak_mebibytes": max(service.peaks),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=4096)
    parser.add_argument("--cuts", type=int, default=50)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--folder", type=Path, help="where the files lie; not a memory disk")
    options = parser.parse_args()
    result = {"cpus": os.cpu_count(), "load_before": round(psutil.getloadavg()[0], 1)}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        result |= measure(Path(folder), options.megabytes, options.cuts, options.kills)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
