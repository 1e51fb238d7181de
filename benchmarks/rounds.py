"""What a round of the reconciler costs, by how much waits and how much runs.

    python -m benchmarks.rounds [--database URL]

Prints one JSON object. Times are the reconciler's own processor time, so that they hold where
others use the machine, too; a database server's are not among them. `idle`: nothing has happened
since the last round. `end`: one run has ended, and the next begins. `refresh`: that the runs are as
they were is noted, every ten seconds. `place`: a user asks for a place in the queue. `watch`: one
of a hundred asks that watch. `scrape`: Prometheus asks for everything.
"""

import argparse
import json
import logging
import os
import tempfile
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

import structlog
from sqlalchemy import insert, select

from service.accounts.tokens import hash_secret
from service.db import Database, migrate
from service.executors.base import Capabilities, Observation, Phase, RunKind
from service.metrics import Figures
from service.models import Account, Run, RunState, Submission, SubmissionState, new_id, utc_now
from service.reconciler import Reconciler
from service.settings import Settings
from service.storage import FileStorage
from service.submissions import repository, service
from service.submissions.positions import Positions
from tests.clock import simulated

SIZES = ((64, 100), (64, 10_000), (1_000, 10_000), (10_000, 10_000))  # at work, waiting
ACCOUNTS = 500
ROUNDS = 5
WATCHERS = 100
SECRET = "of the rounds of this benchmark"


class Held:
    """An executor whose runs are at work, each of them."""

    name = "held"

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.held: set[str] = set()

    def capabilities(self) -> Capabilities:
        slots = dict.fromkeys(RunKind, self.slots)
        return Capabilities(slots=slots, isolation="none", gpus=0, enforced=frozenset())

    def ensure(self, spec: Any) -> None:
        self.held.add(spec.run_id)

    def observe(self, run_ids: Collection[str]) -> list[Observation]:
        message = "The solution is at work."
        return [Observation(run_id=i, phase=Phase.RUNNING, message=message) for i in self.held]

    def cancel(self, run_id: str) -> None:
        self.forget(run_id)

    def forget(self, run_id: str) -> None:
        self.held.discard(run_id)

    def logs(self, run_id: str, tail_bytes: int) -> bytes:
        return b""


@dataclass
class Context:
    """As much as the metrics ask for."""

    settings: Settings
    database: Database


def fill(database: Database, live: int, waiting: int) -> list[str]:
    """Accounts, and submissions that have been checked; the ids of the runs of the first ones."""
    now = utc_now()
    common = {"status_reason": "Waiting.", "solution": "winner", "name": "n"}
    common |= {"budget_seconds": 1200.0, "bundle_bytes": 1, "bundle_sha256": ""}
    run = {"number": 1, "kind": RunKind.SOLVE, "executor": "held", "state": RunState.RUNNING}
    run |= {"spec": {"backstop_seconds": 9e3}, "deadline": now + timedelta(hours=9)}
    run |= {"started_at": now, "observed_at": now, "created_at": now}
    accounts = [{"id": new_id(), "name": f"user {n}"} for n in range(ACCOUNTS)]
    submissions, runs = [], []
    for number in range(live + waiting):
        own, run_id = new_id(), new_id() if number < live else None
        state = SubmissionState.RUNNING if run_id else SubmissionState.QUEUED
        row = common | {"id": own, "state": state, "current_run_id": run_id}
        row |= {"account_id": accounts[number % ACCOUNTS]["id"]}
        submissions.append(row | {"bundle_key": f"uploads/{number}/bundle.zip"})
        if run_id:
            fence = hash_secret(repository.make_token(SECRET, run_id))
            runs.append(run | {"id": run_id, "submission_id": own, "fence": fence})
    with database.write() as session:
        for table, rows in ((Account, accounts), (Submission, submissions), (Run, runs)):
            session.execute(insert(table), rows)
    return [row["id"] for row in runs]


def measure(act: Any) -> float:
    began = time.process_time()
    act()
    return 1000 * (time.process_time() - began)


def play(url: str, folder: Path, live: int, waiting: int) -> dict:
    settings = Settings(data=folder, database_url=url, gpus=(), secret=SECRET)
    database = Database(settings.effective_database_url)
    migrate(database)
    executor = Held(live)
    with simulated() as clock:
        executor.held = set(fill(database, live, waiting))
        reconciler = Reconciler(settings, database, FileStorage(folder / "storage"), executor)
        context: Any = Context(settings, database)
        first = measure(reconciler.tick)
        clock.advance(seconds=11)
        refresh = measure(reconciler.tick)
        idle = [measure(reconciler.tick) for _ in range(ROUNDS)]
        ends = []
        for _ in range(ROUNDS):
            end_one(database, executor)
            clock.advance(seconds=1)
            ends.append(measure(reconciler.tick))
        place = [measure(lambda: list_waiting(database)) for _ in range(ROUNDS)]
        watch = measure(lambda: watch_all(database)) / WATCHERS
        scrape = [measure(lambda: list(Figures(context).collect())) for _ in range(ROUNDS)]
    with database.read() as session:
        assert repository.count_live_runs(session, RunKind.SOLVE) == live
    database.close()
    return {
        "at_work": live,
        "waiting": waiting,
        "idle_ms": round(median(idle), 1),
        "end_ms": round(median(ends), 1),
        "refresh_ms": round(refresh, 1),
        "after_a_restart_ms": round(first, 1),
        "place_ms": round(median(place), 1),
        "watch_ms": round(watch, 2),
        "scrape_ms": round(median(scrape), 1),
    }


def list_waiting(database: Database) -> None:
    with database.read() as session:
        repository.list_waiting(session, RunKind.SOLVE)


def watch_all(database: Database) -> None:
    """Each in a session of its own, as streams of events do."""
    with database.read() as session:
        waiting = select(Submission).where(Submission.state == SubmissionState.QUEUED)
        watched = session.scalars(waiting.limit(WATCHERS)).all()
    positions = Positions()
    for submission in watched:
        with database.read() as session:
            positions.find(session, submission)


def end_one(database: Database, executor: Held) -> None:
    run_id = executor.held.pop()
    with database.write() as session:
        result = {"alc": 0.5, "note": "", "duration_seconds": 1200.0}
        token = repository.make_token(SECRET, run_id)
        service.finish_solve(session, run_id, token, result=result, error=None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--database", default="", help="URL of an empty one, for the first size")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    sizes = []
    for live, waiting in SIZES[: 1 if options.database else None]:
        with tempfile.TemporaryDirectory() as folder:
            sizes.append(play(options.database, Path(folder) / "data", live, waiting))
    print(json.dumps({"processors": os.cpu_count(), "sizes": sizes}, indent=1))


if __name__ == "__main__":
    main()
