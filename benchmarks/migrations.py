"""Time each migration up and down with 10^6 submissions and runs, while somebody writes.

    python -m benchmarks.migrations [--rows 1000000] [--database URL] [--from 0003]

Prints one JSON object. The rows are made at the revision ``--from``, the newest that others have
run. Meanwhile a second process of the service notes what a submission waits for, every 50 ms: how
long it had to wait at most is what users notice of a migration. Without a URL on SQLite, where a
migration has the write lock from its start to its end.
"""

import argparse
import json
import os
import re
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from service.db import Database, migrate

BEAT_SECONDS = 0.05
COUNT = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :rows)",
    "postgresql": "WITH n(i) AS (SELECT generate_series(1, :rows))",
}
WORD = {"sqlite": "printf('%036d', i)", "postgresql": "lpad(i::text, 36, '0')"}
AT = "'2026-06-01 00:00:00'"
RESULT = '{"alc": 0.5, "nauc": 0.6, "points": 9, "duration_seconds": 1200.0, "note": ""}'
STATEMENTS = (
    "INSERT INTO account (id, name, role, locale, wants_mail, limits, weight, fair_tag, fair_clock,"
    " created_at) VALUES ('a', 'a', 'member', 'en', true, '{}', 1, 0, 0, AT)",
    "COUNT INSERT INTO submission (id, account_id, name, state, status_reason, budget_seconds,"
    " solution, bundle_key, bundle_bytes, bundle_sha256, cancel_wanted, created_at, updated_at,"
    " ended_at, current_run_id, result) SELECT WORD, 'a', 'flowers ' || i, 'succeeded', 'Done.',"
    f" 1200, 'winner', 'uploads/' || i, 1, '', false, AT, AT, AT, WORD, '{RESULT}' FROM n",
    "COUNT INSERT INTO run (id, submission_id, number, kind, executor, spec, state, fence,"
    " absences, outcome, created_at, started_at, ended_at) SELECT WORD, WORD, 1, 'solve', 'local',"
    """ '{}', 'ended', '', 0, '{"end": "ok", "message": "The run ended."}', AT, AT, AT FROM n""",
)


NOTE = text("UPDATE submission SET status_reason = :reason WHERE id = :id")


def fill(database: Database, rows: int) -> None:
    """Ended submissions of one account, each with a run."""
    kind = database.url.get_backend_name()
    with database.writers.begin() as connection:
        for statement in STATEMENTS:
            words = statement.replace("COUNT", COUNT[kind]).replace("WORD", WORD[kind])
            words = re.sub(r"\bAT\b", AT, words)
            connection.execute(text(words), {"rows": rows} if ":rows" in words else {})


class Writer:
    """Somebody who writes all the time, as the service does."""

    def __init__(self, url: str) -> None:
        self.database = Database(url)
        self.longest = 0.0
        self.refused = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write)

    @contextmanager
    def working(self):
        self.longest, self.refused = 0.0, 0
        self._stop.clear()
        self._thread = threading.Thread(target=self._write)
        self._thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._thread.join()

    def _write(self) -> None:
        number = 0
        while not self._stop.wait(BEAT_SECONDS):
            began = time.perf_counter()
            number += 1
            try:
                with self.database.writers.begin() as connection:
                    values = {"reason": f"{number} are ahead.", "id": f"{1:036}"}
                    connection.execute(NOTE, values)
            except OperationalError:  # it waited for the lock for as long as the service does
                self.refused += 1
            self.longest = max(self.longest, time.perf_counter() - began)


def measure(database: Database, writer: Writer, revision: str, *, down: bool) -> dict:
    began = time.perf_counter()
    with writer.working():
        migrate(database, revision, down=down)
        seconds = time.perf_counter() - began
    return {
        "to": revision,
        "seconds": round(seconds, 2),
        "longest_write_seconds": round(writer.longest, 2),
        "writes_refused": writer.refused,
    }


def run(options: argparse.Namespace, url: str) -> dict:
    database, writer = Database(url), Writer(url)
    migrate(database, options.start)
    began = time.perf_counter()
    fill(database, options.rows)
    filled = time.perf_counter() - began
    folder = Path(__file__).parents[1] / "service/migrations/versions"
    revisions = sorted(path.name[:4] for path in folder.glob("0*.py"))
    later = [revision for revision in revisions if revision > options.start]
    ups = [measure(database, writer, revision, down=False) for revision in later]
    before = [options.start, *later[:-1]]
    downs = [measure(database, writer, revision, down=True) for revision in reversed(before)]
    writer.database.close()
    database.close()
    return {"fill_seconds": round(filled, 1), "up": ups, "down": downs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--database", default="", help="the URL of an empty one")
    parser.add_argument("--from", dest="start", default="0003")
    options = parser.parse_args()
    load = psutil.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        url = options.database or f"sqlite:///{folder}/autodl.db"
        result = {"database": url.partition(":")[0], "rows": options.rows} | run(options, url)
    machine = f"{os.cpu_count()} processors, load {load:.1f} to {psutil.getloadavg()[0]:.1f}"
    print(json.dumps({"machine": machine} | result, indent=1))


if __name__ == "__main__":
    main()
