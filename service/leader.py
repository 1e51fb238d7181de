"""One leader at a time: whoever holds the lock decides, whoever waits takes over.

With SQLite the lock is a file of the data directory, with PostgreSQL an advisory lock of a session
(PostgreSQL's manual, 13.3.5). Both are given up by the system when their holder dies: the file at
once, the session when the server notices, within 20 s where even the machine is gone.
"""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import text

from service.db import Database, translated

LEADER_LOCK = 2  # see db.WRITE_LOCK
LOCK_FILE = "service.lock"
PAUSE_SECONDS = 1.0


@contextmanager
def leading(
    database: Database, folder: Path, stop: threading.Event
) -> Iterator[Callable[[], None]]:
    """Wait for the lock, or for ``stop``; hold it for the length of the block.

    Gives a function that raises ``PlatformError`` (``database-unavailable``) once the lock is lost.
    """
    if database.is_sqlite:
        held = _lead_by_file(folder, stop)
    else:
        held = _lead_by_session(database, stop)
    with held as check:
        yield check


@contextmanager
def _lead_by_file(folder: Path, stop: threading.Event) -> Iterator[Callable[[], None]]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK_FILE).open("wb") as lock:
        while not stop.is_set():
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                stop.wait(PAUSE_SECONDS)
        yield lambda: None  # a held file lock is not lost


@contextmanager
def _lead_by_session(database: Database, stop: threading.Event) -> Iterator[Callable[[], None]]:
    # Outside any transaction, so that neither the lock nor the check leaves one open.
    with translated(), database.engine.connect() as connection:
        connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        query = text("SELECT pg_try_advisory_lock(:lock)")
        while not stop.is_set() and not connection.scalar(query, {"lock": LEADER_LOCK}):
            stop.wait(PAUSE_SECONDS)

        def check() -> None:
            with translated():
                connection.execute(text("SELECT 1"))

        try:
            yield check
        finally:
            connection.invalidate()  # closes the session, and with it the lock


def is_led(database: Database, folder: Path) -> bool:
    """Whether some process leads at this moment."""
    if not database.is_sqlite:
        query = "SELECT 1 FROM pg_locks JOIN pg_database AS d ON d.oid = database WHERE granted"
        query += " AND locktype = 'advisory' AND objid = :lock AND datname = current_database()"
        with database.read() as session:
            return session.scalar(text(query), {"lock": LEADER_LOCK}) is not None
    path = folder / LOCK_FILE
    if not path.exists():
        return False
    with path.open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False
