"""The database: an engine, one transaction per unit of work, and the migrations.

SQLite by default (WAL, every commit on disk), PostgreSQL by its URL. A unit of work that will write
takes the write lock at its start, so that what it read is still true when it commits: SQLite's own
on SQLite, an advisory lock on PostgreSQL (``docs/decisions/0015``).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session

from autodl.errors import PlatformError

if TYPE_CHECKING:
    from alembic.config import Config

BUSY_MILLISECONDS = 15_000
# PostgreSQL's advisory locks are numbers of a database's own; see also leader.py
WRITE_LOCK, MIGRATION_LOCK = 1, 3
PAUSE_SECONDS = 0.1  # between two looks whether another migration has ended
# Sent with each connection. A peer that vanished holds no lock for long: not one that is cut off
# (keep-alives), nor one that is alive and stuck in the middle of a unit of work.
POSTGRESQL_OPTIONS = {
    "lock_timeout": BUSY_MILLISECONDS,
    "idle_in_transaction_session_timeout": 60_000,
    "tcp_keepalives_idle": 10,
    "tcp_keepalives_interval": 3,
    "tcp_keepalives_count": 3,
    "timezone": "UTC",
}


class Database:
    """An engine and its two kinds of session.

    Both raise ``PlatformError`` (``database-unavailable``) when the database cannot be reached.
    """

    def __init__(self, url: str) -> None:
        self.url = make_url(url)
        self.engine = (_create_sqlite if self.is_sqlite else _create_postgresql)(self.url)
        self.writers = self.engine.execution_options(writes=True)
        self.readers = self.engine
        if not self.is_sqlite:  # there, a reading transaction is a snapshot by itself
            self.readers = self.engine.execution_options(isolation_level="REPEATABLE READ")

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a file of this machine."""
        return self.url.get_backend_name() == "sqlite"

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session for reading one state of everything; what it changes is not kept."""
        with translated(), Session(self.readers, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One transaction: committed when the block ends, rolled back when it raises."""
        with (
            translated(),
            Session(self.writers, expire_on_commit=False) as session,
            session.begin(),
        ):
            session.connection()  # take the lock now, not at the first statement
            yield session

    def close(self) -> None:
        """Release every connection."""
        self.engine.dispose()


def migrate(database: Database, revision: str = "head", *, down: bool = False) -> None:
    """Bring the schema up (or down) to ``revision``.

    Several processes may start at once: one does it, the others find the work done.
    """
    from alembic import command  # loaded where tables change: a run's programs only write rows

    config = _configure()
    with translated(), _migrating(database) as connection:
        config.attributes["connection"] = connection
        (command.downgrade if down else command.upgrade)(config, revision)


def read_revision(session: Session) -> str:
    """Of the schema that is there."""
    return str(session.scalar(text("SELECT version_num FROM alembic_version")))


def read_head() -> str:
    """The revision of the schema that this program knows."""
    from alembic.script import ScriptDirectory

    return str(ScriptDirectory.from_config(_configure()).get_current_head())


def _configure() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


@contextmanager
def _migrating(database: Database) -> Iterator[Connection]:
    """The one connection that changes the schema now.

    On SQLite in one transaction, with the write lock. On PostgreSQL in one a migration, and without
    it, so that others write meanwhile; a lock of its own keeps other migrations away. It is tried,
    not waited for: who waits inside a statement keeps an index from being made concurrently.
    """
    if database.is_sqlite:
        with database.writers.begin() as connection:
            yield connection
        return
    with database.engine.connect() as holder, database.engine.connect() as connection:
        holder = holder.execution_options(isolation_level="AUTOCOMMIT")
        lock = {"lock": MIGRATION_LOCK}
        while not holder.scalar(text("SELECT pg_try_advisory_lock(:lock)"), lock):
            time.sleep(PAUSE_SECONDS)
        yield connection
        holder.execute(text("SELECT pg_advisory_unlock(:lock)"), lock)


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's words for an absent database into ours."""
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        raise PlatformError(
            "database-unavailable",
            "The database did not answer.",
            hint="It is tried again; if it lasts, see the service's log.",
        ) from error


def _create_sqlite(url: URL) -> Engine:
    if url.database and url.database != ":memory:":
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, connect_args={"timeout": BUSY_MILLISECONDS / 1000})
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _create_postgresql(url: URL) -> Engine:
    options = " ".join(f"-c {name}={value}" for name, value in POSTGRESQL_OPTIONS.items())
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_pre_ping=True,  # a restarted database is met again without an error
        connect_args={"options": options, "connect_timeout": BUSY_MILLISECONDS // 1000},
    )
    event.listen(engine, "begin", _begin_postgresql)
    return engine


def _configure_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # we send BEGIN ourselves, see below
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")  # an acknowledged submission survives power loss
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute(f"PRAGMA busy_timeout={BUSY_MILLISECONDS}")


def _begin_sqlite(connection: Connection) -> None:
    # A deferred transaction that turns writer half-way fails at once when another one wrote.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _begin_postgresql(connection: Connection) -> None:
    if connection.get_execution_options().get("writes", False):
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": WRITE_LOCK})
