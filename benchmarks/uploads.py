"""Time an upload in parts against copying the file with a SHA-256; measure the server's memory.

    python benchmarks/uploads.py [--megabytes 256 1024] [--rounds 3] [--connections 4]

Prints one JSON object. Both work on the same disk and take turns; both end with the bytes durable
(fsync) and their SHA-256 known. The upload goes to `autodl serve` in a process of its own over
loopback: each part hashed by the client, and again by the server, which then hashes the whole.
"""

import argparse
import hashlib
import http.client
import json
import mmap
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from urllib.parse import urlsplit

import psutil

CHUNK = 1024 * 1024


def copy_with_digest(source: Path, target: Path) -> str:
    digest = hashlib.sha256()
    with source.open("rb") as reading, target.open("wb") as writing:
        while chunk := reading.read(CHUNK):
            digest.update(chunk)
            writing.write(chunk)
        writing.flush()
        os.fsync(writing.fileno())
    return digest.hexdigest()


@contextmanager
def serving(folder: Path, port: int = 0, database: str = ""):
    """`autodl serve` over a data directory; its address and its process."""
    program = [sys.executable, "-c", "from cli.main import main; main()"]
    command = ["env", f"AUTODL_DATABASE_URL={database}", *program, "serve", "--json"]
    command += ["--port", str(port), "--data", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["url"], process
        finally:
            process.terminate()
            process.wait(30)


def find_peak(pid: int) -> float:
    """The most memory that the process has had, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return round(int(status.partition("VmHWM:")[2].split()[0]) / 1024, 1)


class Client:
    """One connection that is kept."""

    def __init__(self, url: str, token: str) -> None:
        self.link = http.client.HTTPConnection(urlsplit(url).netloc, timeout=600)
        self.link.connect()
        self.token = token

    def ask(self, method: str, path: str, body: object = None, headers: dict | None = None) -> dict:
        if headers is None:
            headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
            body = None if body is None else json.dumps(body)
        self.link.request(method, path, body=body, headers=headers)
        answer = self.link.getresponse()
        text = answer.read()
        assert answer.status < 300, text
        return json.loads(text) if text else {}


def upload(url: str, token: str, source: Path, connections: int) -> str:
    """Send the file in parts, and complete it; the upload's own address."""
    first = Client(url, token)
    size = source.stat().st_size
    begun = first.ask("POST", "/v1/uploads", {"size_bytes": size})
    step, own = begun["part_bytes"], begun["links"]["self"]
    with source.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:

        def send(number: int) -> None:
            client = clients.get()
            with memoryview(data)[(number - 1) * step : number * step] as part:
                digest = hashlib.sha256(part)
                wanted = {"parts": [{"number": number, "sha256": digest.hexdigest()}]}
                signed = client.ask("POST", f"{own}/parts", wanted)["parts"][0]
                headers = signed["headers"] | {"Content-Length": str(len(part))}
                client.ask("PUT", signed["url"], part, headers)
            clients.put(client)

        clients: SimpleQueue[Client] = SimpleQueue()
        for _ in range(connections):
            clients.put(Client(url, token))
        with ThreadPoolExecutor(connections) as pool:
            list(pool.map(send, range(1, begun["parts_total"] + 1)))
    last = Client(url, token)  # the first one was idle for too long
    assert last.ask("POST", f"{own}/complete")["state"] == "complete"
    return str(own)


def measure(folder: Path, megabytes: int, rounds: int, connections: int) -> dict:
    source, target = folder / "source", folder / "copy"
    with source.open("wb") as file:
        for _ in range(megabytes):
            file.write(os.urandom(CHUNK))
    data = folder / "data"
    copies, uploads = [], []
    with serving(data) as (url, process):
        token = (data / "token").read_text().strip()
        for _ in range(rounds):
            start = time.perf_counter()
            copy_with_digest(source, target)
            copies.append(time.perf_counter() - start)
            target.unlink()
            start = time.perf_counter()
            own = upload(url, token, source, connections)
            uploads.append(time.perf_counter() - start)
            Client(url, token).ask("DELETE", own)
        peak = find_peak(process.pid)
    shutil.rmtree(data)
    ratios = [c / u for c, u in zip(copies, uploads, strict=True)]
    return {
        "megabytes": megabytes,
        "copy_megabytes_per_second": round(megabytes / min(copies), 1),
        "upload_megabytes_per_second": round(megabytes / min(uploads), 1),
        "upload_over_copy_best": round(min(copies) / min(uploads), 3),
        "upload_over_copy_median": round(statistics.median(ratios), 3),
        "server_peak_mebibytes": peak,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, nargs="+", default=[256, 1024])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--folder", type=Path, help="where the files lie; not a memory disk")
    options = parser.parse_args()
    result = {"cpus": os.cpu_count(), "load_before": round(psutil.getloadavg()[0], 1)}
    sizes = []
    for megabytes in options.megabytes:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            sizes.append(measure(Path(folder), megabytes, options.rounds, options.connections))
    result |= {"sizes": sizes, "load_after": round(psutil.getloadavg()[0], 1)}
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
