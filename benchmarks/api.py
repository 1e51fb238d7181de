"""Time `GET` of a submission, and a page of the list, among 10^5 submissions.

    python benchmarks/api.py [--submissions 100000] [--rate 200] [--seconds 20] [--database URL]

Prints one JSON object. Requests leave at their time, whether or not those before were answered, and
their latency counts from that time. In the same run, with the same client: `/healthz`, which only
passes through the web framework, and so is the limit for anything behind it.
"""

import argparse
import asyncio
import json
import os
import random
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import uuid_utils
from sqlalchemy import insert, select
from uploads import serving

from service.db import Database
from service.models import Account, Run, RunKind, RunState, Submission, SubmissionState, Transition

CONNECTIONS = 16
BATCH = 5000
IDLE_SECONDS = 5.0
RESULT = {"alc": 0.7, "nauc": 0.8, "accuracy": 0.9, "points": 9, "first_prediction_seconds": 1.0}
RESULT |= {"duration_seconds": 60.0, "note": ""}


def fill(database: Database, count: int) -> list[str]:
    """Ended submissions of one account, each with a run and a history; their ids."""
    ids = []
    now = datetime.now(UTC)
    with database.write() as session:
        account_id = session.scalars(select(Account.id)).first()
        for start in range(0, count, BATCH):
            made = [(str(uuid_utils.uuid7()), str(uuid_utils.uuid7())) for _ in range(BATCH)]
            at = now - timedelta(seconds=count - start)
            common = {"created_at": at, "ended_at": at}
            submissions = [
                common
                | {"id": own, "account_id": account_id, "name": f"flowers {start + k}"}
                | {"state": SubmissionState.SUCCEEDED, "status_reason": "Done."}
                | {"budget_seconds": 60.0, "solution": "winner", "bundle_key": f"uploads/{own}/b"}
                | {"bundle_bytes": 10**6, "bundle_sha256": "0" * 64, "current_run_id": run}
                | {"result": RESULT, "cancel_wanted": False, "updated_at": at}
                for k, (own, run) in enumerate(made)
            ]
            runs = [
                common
                | {"id": run, "submission_id": own, "number": 1, "kind": RunKind.SOLVE}
                | {"executor": "local", "spec": {}, "state": RunState.ENDED, "fence": "0" * 64}
                | {"absences": 0}
                for own, run in made
            ]
            history = [
                {"submission_id": own, "at": at, "actor": "run 1", "cause": "Done."}
                | {"from_state": SubmissionState.SCORING, "to_state": SubmissionState.SUCCEEDED}
                for own, _ in made
            ]
            for table, rows in ((Submission, submissions), (Run, runs), (Transition, history)):
                session.execute(insert(table), rows)
            ids += [own for own, _ in made]
    return ids


async def fetch(link: tuple, path: str, token: str) -> None:
    reader, writer = link
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
    writer.write(request.encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    length = int(head.lower().partition(b"content-length:")[2].split()[0])
    await reader.readexactly(length)


async def load(url: str, token: str, paths: list[str], rate: float) -> list[float]:
    """The latency of each request, in seconds; one leaves every 1/rate."""
    place = urlsplit(url)
    free: asyncio.Queue = asyncio.Queue()
    for _ in range(CONNECTIONS):
        free.put_nowait(await asyncio.open_connection(place.hostname, place.port))
    begin = time.perf_counter() + 0.5
    latencies = []

    async def ask(number: int, path: str) -> None:
        due = begin + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        link = await free.get()
        await fetch(link, path, token)
        free.put_nowait(link)
        latencies.append(time.perf_counter() - due)

    await asyncio.gather(*(ask(n, path) for n, path in enumerate(paths)))
    return sorted(latencies)


def summarize(latencies: list[float]) -> dict:
    def at(share: float) -> float:
        return round(1000 * latencies[min(len(latencies) - 1, int(share * len(latencies)))], 2)

    return {"p50_ms": at(0.5), "p95_ms": at(0.95), "p99_ms": at(0.99), "max_ms": at(1.0)}


def measure(options: argparse.Namespace, folder: Path) -> dict:
    count = int(options.rate * options.seconds)
    address = options.database or f"sqlite:///{folder / 'autodl.db'}"
    with serving(folder, database=address) as (url, process):
        token = (folder / "token").read_text().strip()
        database = Database(address)
        ids = fill(database, options.submissions)
        database.close()
        asked = {
            "healthz": ["/healthz"] * count,
            "get": [f"/v1/submissions/{random.choice(ids)}" for _ in range(count)],
            "list": ["/v1/submissions?limit=20"] * (count // 10),
        }
        program = psutil.Process(process.pid)
        program.cpu_percent()
        time.sleep(IDLE_SECONDS)
        times = {"idle_cpu_percent": program.cpu_percent()}
        for name, paths in asked.items():
            rate = options.rate if name != "list" else options.rate / 10
            cpu = sum(program.cpu_times()[:2])
            times[name] = summarize(asyncio.run(load(url, token, paths, rate)))
            spent = sum(program.cpu_times()[:2]) - cpu
            times[name] |= {
                "per_second": rate,
                "server_cpu_ms": round(1000 * spent / len(paths), 2),
            }
    engine = database.url.get_backend_name()
    return {"database": engine, "submissions": len(ids)} | times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--submissions", type=int, default=100_000)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--database", default="", help="URL of an empty one; empty: SQLite")
    options = parser.parse_args()
    result = {"cpus": os.cpu_count(), "load_before": round(psutil.getloadavg()[0], 1)}
    with tempfile.TemporaryDirectory() as folder:
        result |= measure(options, Path(folder))
    print(json.dumps(result | {"load_after": round(psutil.getloadavg()[0], 1)}, indent=1))


if __name__ == "__main__":
    main()
