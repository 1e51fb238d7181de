"""Collects what nobody needs any more: deleted submissions, old ones, and bytes without rows.

It is called by the reconciler, so there is one of it at a time; each step may be cut off anywhere
and is taken again. Rows go before the bytes they name only where a later look finds such bytes.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from service import idempotency, log
from service.db import Database
from service.executors.base import Executor, Phase
from service.models import Run, ShareLink, Submission, utc_now
from service.settings import Settings
from service.storage import Storage
from service.submissions import keeping, repository
from service.submissions.service import run_prefix
from service.uploads import repository as uploads_repository
from service.uploads import service as uploads

ORPHAN_SECONDS = 86400.0  # bytes this old whose row has not come will not get one
BATCH = 500

logger = log.get_logger()
Step = Callable[[], None]


class Collector:
    """See the module. ``list_steps`` are independent: one's trouble is no other's."""

    def __init__(
        self, settings: Settings, database: Database, storage: Storage, executor: Executor
    ) -> None:
        self.settings = settings
        self.database = database
        self.storage = storage
        self.executor = executor
        self._next_sweep = 0.0

    def list_steps(self) -> Iterator[Step]:
        """What is to be done now; the sweeps, which look at everything, only now and then."""
        with self.database.read() as session:
            deleted = repository.list_deleted(session, BATCH)
        for submission in deleted:
            yield lambda submission=submission: self._purge(submission)  # type: ignore[misc]
        if time.monotonic() >= self._next_sweep:
            self._next_sweep = time.monotonic() + self.settings.sweep_seconds
            yield from (
                self._retire,
                self._expire_uploads,
                self._forget,
                self._sweep_uploads,
                self._sweep_parts,
                self._sweep_runs,
                lambda: self.storage.remove_leftovers(_orphaned()),
            )

    def _purge(self, submission: Submission) -> None:
        """Everything of a deleted submission, once none of its programs is at work."""
        with self.database.read() as session:
            run_ids = [run.id for run in repository.list_runs(session, submission.id)]
        for run_id in run_ids:
            self.executor.forget(run_id)
        seen = {o.run_id: o.phase for o in self.executor.observe(run_ids)}
        if any(seen[run_id] is not Phase.ABSENT for run_id in run_ids):
            return  # it is ended by force, and gone in a later round
        for run_id in run_ids:
            self.storage.delete(run_prefix(run_id))
        with self.database.write() as session:
            row = repository.lock_submission(session, submission.id)
            upload, keys = keeping.purge_rows(session, row)
        if upload is not None:
            uploads.remove_bytes(self.storage, upload, keys)
        logger.info("submission.purged", submission_id=submission.id)

    def _retire(self) -> None:
        """Delete what has been kept for as long as it was to be."""
        with self.database.write() as session:
            for submission in repository.list_outlived(session, utc_now(), BATCH):
                keeping.delete_submission(session, submission)

    def _expire_uploads(self) -> None:
        """Remove what was begun and left, and what no submission has used in time."""
        with self.database.read() as session:
            expired = uploads_repository.list_expired(session, utc_now(), BATCH)
        for upload in expired:
            with self.database.write() as session:
                row = uploads_repository.find_upload(session, upload.id)
                used = uploads_repository.is_used(session, upload.id)
                if row is None or used or row.expires_at > utc_now():
                    continue
                keys = uploads.release(session, row)
            uploads.remove_bytes(self.storage, upload, keys)

    def _forget(self) -> None:
        """Rows that have had their time."""
        with self.database.write() as session:
            idempotency.forget_old(session)
            session.execute(delete(ShareLink).where(ShareLink.expires_at < utc_now()))

    def _sweep_uploads(self) -> None:
        keys = {uploads.upload_key(name): name for name in self._list_old("uploads")}
        for key in self._find_unknown(list(keys), uploads_repository.list_known_keys):
            self.storage.delete(uploads.upload_prefix(keys[key]))

    def _sweep_parts(self) -> None:
        ids = {
            key: id_ for key, id_ in self.storage.list_multiparts() if _is_old(key.split("/")[1])
        }
        for key in self._find_unknown(list(ids), uploads_repository.list_known_keys):
            self.storage.abort_multipart(key, ids[key])

    def _sweep_runs(self) -> None:
        for run_id in self._find_unknown(self._list_old("runs"), _list_known_runs):
            self.storage.delete(run_prefix(run_id))

    def _list_old(self, prefix: str) -> list[str]:
        return [name for name in self.storage.list_folders(prefix) if _is_old(name)]

    def _find_unknown(
        self, names: Sequence[str], list_known: Callable[[Session, Sequence[str]], set[str]]
    ) -> Iterable[str]:
        for start in range(0, len(names), BATCH):
            batch = names[start : start + BATCH]
            with self.database.read() as session:
                known = list_known(session, batch)
            unknown = [name for name in batch if name not in known]
            for name in unknown:
                logger.warning("storage.orphan", name=name)
            yield from unknown


def _list_known_runs(session: Session, run_ids: Sequence[str]) -> set[str]:
    return set(session.scalars(select(Run.id).where(Run.id.in_(run_ids))))


def _orphaned() -> datetime:
    return utc_now() - timedelta(seconds=ORPHAN_SECONDS)


def _is_old(name: str) -> bool:
    """Whether the UUIDv7 was made so long ago; what is none is not ours to judge."""
    try:
        made = uuid.UUID(name)
    except ValueError:
        return False
    return datetime.fromtimestamp((made.int >> 80) / 1000, UTC) < _orphaned()
