"""What can be read of a submission: its place in the queue, its curve, its log, its files."""

from __future__ import annotations

import functools
import hashlib
import json
import mimetypes
from pathlib import Path
from typing import BinaryIO

from sqlalchemy.orm import Session
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.types import Message, Receive, Scope, Send

from autodl.errors import UsageError
from service.body import format_digest
from service.context import Context
from service.models import CurvePoint, Json, Submission
from service.submissions import repository, service
from service.submissions.positions import POSITIONS
from service.submissions.schemas import SubmissionView, describe_submission

MANIFEST_NAME = "manifest.json"
MAX_LOG_BYTES = 4 * 1024 * 1024
MEDIA_TYPES = {
    ".txt": "text/plain; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".parquet": "application/vnd.apache.parquet",
}
# What a run made is never active content of ours.
FILE_HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox"}


def describe(session: Session, submission: Submission) -> SubmissionView:
    """The submission as the API shows it."""
    is_over = submission.state in service.ENDED
    position = POSITIONS.find(session, submission)
    return describe_submission(submission, is_over=is_over, queue_position=position)


def list_points(session: Session, submission: Submission) -> list[CurvePoint]:
    """The points of the current run, in order."""
    run_id = submission.current_run_id
    return [] if run_id is None else list(repository.list_points(session, run_id))


def read_log(context: Context, submission: Submission) -> bytes:
    """What the current run has written so far; empty before its first word."""
    run_id = submission.current_run_id
    if run_id is None:
        return b""
    key = f"{service.run_prefix(run_id)}/{service.LOG_NAME}"
    if context.storage.exists(key):
        return context.storage.read(key)[-MAX_LOG_BYTES:]
    return context.executor.logs(run_id, MAX_LOG_BYTES)


def open_file(context: Context, submission: Submission, path: str) -> BinaryIO | None:
    """One file of the current run's results as a stream, or ``None``."""
    if submission.current_run_id is None:
        return None
    key = f"{service.run_prefix(submission.current_run_id)}/{path}"
    return context.storage.open(key) if context.storage.exists(key) else None


def find_file(context: Context, submission: Submission, path: str) -> bytes | None:
    """One small file of the current run's results, or ``None``."""
    stored = open_file(context, submission, path)
    if stored is None:
        return None
    with stored:
        return stored.read()


def find_json(context: Context, submission: Submission, path: str) -> Json | None:
    """One small file of JSON of the current run's results, or ``None``."""
    content = find_file(context, submission, path)
    return None if content is None else json.loads(content)


def list_files(context: Context, submission: Submission) -> list[str]:
    """The paths of the current run's files, sorted."""
    if submission.current_run_id is None:
        return []
    prefix = service.run_prefix(submission.current_run_id)
    return [key.removeprefix(f"{prefix}/") for key in context.storage.list(prefix)]


def respond_with_file(context: Context, submission: Submission, path: str) -> Response:
    """One file of the results: with ranges and digests (RFC 9530), or where the store has it.

    Raises ``UsageError`` (``result-not-found``).
    """
    if path not in list_files(context, submission):
        raise UsageError(
            "result-not-found",
            f"The submission has no file {path!r}.",
            hint="See the list of its files; results appear when the run has ended.",
        )
    key = f"{service.run_prefix(submission.current_run_id or '')}/{path}"
    local = context.storage.path(key)
    if local is None:
        # The store gives ranges, but no digest that HTTP knows: the run's manifest has it.
        manifest = f"{service.run_prefix(submission.current_run_id or '')}/{MANIFEST_NAME}"
        known = None
        if context.storage.exists(manifest):
            known = json.loads(context.storage.read(manifest))["files"].get(path)
        headers = {} if known is None else {"Repr-Digest": format_digest(known)}
        return RedirectResponse(context.storage.url(key), headers=headers)
    return _ResultFile(local, path)


class _ResultFile(FileResponse):
    """A stored file; objects never change, so their digest is computed once."""

    def __init__(self, local: Path, path: str) -> None:
        stat = local.stat()
        digest = _digest(local, stat.st_mtime_ns, stat.st_size)
        suffix = local.suffix
        super().__init__(
            local,
            stat_result=stat,
            filename=path.rpartition("/")[2],
            media_type=MEDIA_TYPES.get(suffix)
            or mimetypes.types_map.get(suffix)
            or "application/octet-stream",
            headers=FILE_HEADERS
            | {"ETag": f'"{digest}"', "Repr-Digest": digest, "Cache-Control": "private, no-cache"},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_checked(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] in (400, 416):
                raise UsageError("range-not-satisfiable", "The file has no such range of bytes.")
            await send(message)

        await super().__call__(scope, receive, send_checked)


@functools.lru_cache(maxsize=1024)
def _digest(path: Path, _modified: int, _size: int) -> str:
    """The value of ``Repr-Digest``."""
    with path.open("rb") as file:
        return format_digest(hashlib.file_digest(file, "sha256").hexdigest())
