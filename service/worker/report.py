"""How a run's own programs report: past the fence, into the database.

The only door from a run to the state. A program far from the database reports over HTTP with the
same calls (``remote.py``); the token and what it opens are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import BinaryIO, Protocol

from sqlalchemy.orm import Session

from service.db import Database
from service.storage import Storage, StoredObject, open_storage
from service.submissions import service
from service.worker.program import Json, patiently
from service.worker.remote import RemoteReporter
from service.worker.tasks import ReportTo


class Files(Protocol):
    """What a run's programs use of ``Storage``; ``service.storage`` says what they raise."""

    def put(self, key: str, chunks: Sequence[bytes] | BinaryIO) -> StoredObject:
        """Store the bytes."""

    def open(self, key: str) -> BinaryIO:
        """What was stored before."""


class Reporter(Protocol):
    """Reports of one run. Each call may be repeated without harm.

    Each raises ``PlatformError``: ``run-superseded`` when the run may no longer write,
    ``database-unavailable`` or ``service-unreachable`` when it could not for two minutes. So does
    ``storage`` with ``storage-unavailable``.
    """

    to: ReportTo
    storage: Files

    def key(self, path: str) -> str:
        """The storage key of one of the run's artefacts."""

    def point(self, point: Json) -> None:
        """A prediction was scored."""

    def steps(self, steps: Json) -> None:
        """When each program of the run began and ended, in seconds of Unix time."""

    def scoring(self) -> None:
        """The solution has stopped."""

    def check_ended(self, report: Json, error: Json | None, made: Json | None = None) -> None:
        """The data were checked, and a bundle made of raw ones (``made``); the run has ended."""

    def solve_ended(self, result: Json | None, error: Json | None) -> None:
        """The results are stored; the run has ended."""


def open_reporter(to: ReportTo) -> Reporter:
    """The way that is open to this run."""
    return RemoteReporter(to) if to.api_url else DirectReporter(to)


class DirectReporter:
    """See ``Reporter``."""

    def __init__(self, to: ReportTo) -> None:
        self.to = to
        self.storage: Files = PatientFiles(open_storage(to.storage))
        self._database = Database(to.database_url)

    def key(self, path: str) -> str:
        """See ``Reporter``."""
        return f"{self.to.prefix}/{path}"

    def point(self, point: Json) -> None:
        """See ``Reporter``."""
        self._write(lambda s: service.record_point(s, self.to.run_id, self.to.token, point))

    def steps(self, steps: Json) -> None:
        """See ``Reporter``."""
        self._write(lambda s: service.note_steps(s, self.to.run_id, self.to.token, steps))

    def scoring(self) -> None:
        """See ``Reporter``."""
        self._write(lambda s: service.begin_scoring(s, self.to.run_id, self.to.token))

    def check_ended(self, report: Json, error: Json | None, made: Json | None = None) -> None:
        """See ``Reporter``."""
        self._write(
            lambda s: service.finish_check(s, self.to.run_id, self.to.token, report, error, made)
        )

    def solve_ended(self, result: Json | None, error: Json | None) -> None:
        """See ``Reporter``."""
        self._write(
            lambda s: service.finish_solve(
                s, self.to.run_id, self.to.token, result=result, error=error
            )
        )

    def _write(self, change: Callable[[Session], None]) -> None:
        def write() -> None:
            with self._database.write() as session:
                change(session)

        patiently(write, "database-unavailable")


class PatientFiles:
    """See ``Files``; what is stored is a file, or can be read again."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def put(self, key: str, chunks: Sequence[bytes] | BinaryIO) -> StoredObject:
        """See ``Files``."""

        def put() -> StoredObject:
            if not isinstance(chunks, Sequence):
                chunks.seek(0)
            return self._storage.put(key, chunks)

        return patiently(put, "storage-unavailable")

    def open(self, key: str) -> BinaryIO:
        """See ``Files``."""
        return patiently(lambda: self._storage.open(key), "storage-unavailable")
