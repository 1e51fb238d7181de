"""How a run on another machine reports: the calls of ``service.worker.report``, over HTTP.

Not part of the public API, and not to be reached from outside the cluster. The bearer token is the
run's own; each call is fenced by it in the transaction of its write, as it is for a local run.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from autodl.errors import PlatformError
from service.body import read_body
from service.context import Context, ContextDep
from service.internal import check_port
from service.storage.base import CHUNK_BYTES
from service.submissions import repository, service

MAX_FILE_BYTES = 4 * 1024**3
MAX_JSON_BYTES = 64 * 1024 * 1024  # a report of a check may be long

Json = dict[str, Any]
Steps = dict[str, tuple[float, float | None]]

router = APIRouter(
    prefix="/internal/runs/{run_id}", include_in_schema=False, dependencies=[Depends(check_port)]
)
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))]


def get_token(credentials: Credentials) -> str:
    """The run's token. An absent one opens nothing, like a wrong one."""
    return credentials.credentials if credentials is not None else ""


Token = Annotated[str, Depends(get_token)]


@router.post("/points", status_code=204, max_body_size=MAX_JSON_BYTES)
def add_point(
    run_id: str, token: Token, context: ContextDep, point: Annotated[Json, Body()]
) -> None:
    """A prediction was scored."""
    with context.database.write() as session:
        service.record_point(session, run_id, token, point)


@router.post("/steps", status_code=204)
def note_steps(
    run_id: str, token: Token, context: ContextDep, steps: Annotated[Steps, Body()]
) -> None:
    """When the run's programs began and ended."""
    with context.database.write() as session:
        service.note_steps(session, run_id, token, steps)


@router.post("/scoring", status_code=204)
def begin_scoring(run_id: str, token: Token, context: ContextDep) -> None:
    """The solution has stopped."""
    with context.database.write() as session:
        service.begin_scoring(session, run_id, token)


@router.post("/check", status_code=204, max_body_size=MAX_JSON_BYTES)
def end_check(
    run_id: str,
    token: Token,
    context: ContextDep,
    *,
    report: Annotated[Json, Body()],
    error: Annotated[Json | None, Body()] = None,
    made: Annotated[Json | None, Body()] = None,
) -> None:
    """The data were checked, and a bundle was made of raw ones."""
    with context.database.write() as session:
        service.finish_check(session, run_id, token, report, error, made)


@router.post("/solve", status_code=204, max_body_size=MAX_JSON_BYTES)
def end_solve(
    run_id: str,
    token: Token,
    context: ContextDep,
    result: Annotated[Json | None, Body()] = None,
    error: Annotated[Json | None, Body()] = None,
) -> None:
    """The results are stored."""
    with context.database.write() as session:
        service.finish_solve(session, run_id, token, result=result, error=error)


@router.put("/files/{path:path}")
def put_file(run_id: str, path: str, token: Token, context: ContextDep, request: Request) -> Json:
    """Store one of the run's artefacts."""
    key = _open_door(context, run_id, token, path)
    stored = context.storage.put(key, read_body(request), max_bytes=MAX_FILE_BYTES)
    return {"size_bytes": stored.size_bytes, "sha256": stored.sha256}


@router.get("/files/{path:path}")
def get_file(run_id: str, path: str, token: Token, context: ContextDep) -> Response:
    """Give back one of them."""
    file = context.storage.open(_open_door(context, run_id, token, path))
    chunks = iter(lambda: file.read(CHUNK_BYTES), b"")
    return StreamingResponse(chunks, media_type="application/octet-stream")


def _open_door(context: Context, run_id: str, token: str, path: str) -> str:
    """The key of the artefact, if the run may still write.

    Raises ``PlatformError``: ``run-superseded``, or ``object-key-invalid`` for a path that is none.
    """
    with context.database.read() as session:
        repository.get_current_run(session, run_id, token)
    if not path.isascii():
        raise PlatformError("object-key-invalid", f"{path!r} is not a storage key.")
    return f"{service.run_prefix(run_id)}/{path}"
