"""The API of submissions; every address below ``/v1`` needs a token or a page's session."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import PlainTextResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from sqlalchemy.orm import Session

from autodl.errors import UsageError
from service.accounts.quotas import tell_rate
from service.auth import authenticate
from service.context import ContextDep
from service.errors import PROBLEMS
from service.idempotency import KeyHeader
from service.models import Submission, SubmissionState
from service.submissions import (
    asking,
    events,
    holding,
    keeping,
    paging,
    receive,
    repository,
    results,
    service,
)
from service.submissions.access import Described, Found, ReaderDep, reading
from service.submissions.schemas import (
    CurveView,
    FileList,
    FileView,
    ReportView,
    RequestOptions,
    RerunRequest,
    SubmissionChange,
    SubmissionPage,
    SubmissionRequest,
    SubmissionView,
    describe_curve,
    describe_submission,
)
from service.web.curve import curve_svg

#: the two forms of a request
BODIES: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": SubmissionRequest.model_json_schema()},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "file": {
                            "type": "string",
                            "format": "binary",
                            "description": "the bundle as a zip; or raw data, as one zip or table",
                        },
                        "upload_id": {
                            "type": "string",
                            "description": "in place of a file: what was uploaded before",
                        },
                        "name": {"type": "string", "maxLength": asking.MAX_NAME_CHARACTERS},
                        "budget_seconds": {"type": "number", "minimum": 1},
                        "solution": {"type": "string"},
                        "sha256": {
                            "type": "string",
                            "pattern": "^[0-9a-fA-F]{64}$",
                            "description": "of the file, in hexadecimal",
                        },
                        **RequestOptions.model_json_schema()["properties"],
                    },
                }
            },
        },
    }
}

router = APIRouter(prefix="/v1/submissions", tags=["submissions"], responses=PROBLEMS)
AccountId = Annotated[str, Depends(authenticate)]
IfMatch = Annotated[str | None, Header(max_length=1000)]


async def read_event_id(
    last_event_id: Annotated[
        str | None, Header(json_schema_extra={"pattern": f"^{events.EVENT_ID.pattern}$"})
    ] = None,
) -> events.Cursor:
    """A dependency: how far the client has read the events."""
    return events.Cursor.parse(last_event_id)


@router.post("", status_code=202, response_model=SubmissionView, openapi_extra=BODIES)
def create_submission(
    request: Request, context: ContextDep, account_id: AccountId, key: KeyHeader
) -> Response:
    """Ask for a run of an upload, or of a bundle in a form; follow it at the address in `Location`.

    With an `Idempotency-Key` it can be sent again without making another one.
    """
    answer = receive.receive_submission(request, context, account_id, key)
    return tell_rate(answer, context, account_id)


@router.get("")
def list_submissions(
    context: ContextDep,
    account_id: AccountId,
    response: Response,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    *,
    state: Annotated[list[SubmissionState] | None, Query(description="one or more")] = None,
    name: Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$")] = "",
) -> SubmissionPage:
    """Your submissions, newest first; `next_cursor` leads on, as does the `Link` field."""
    with context.database.read() as session:
        found, following = paging.list_page(
            session, account_id, limit=limit, cursor=cursor, states=state or (), name=name
        )
    items = [describe_submission(s, is_over=s.state in service.ENDED) for s in found]
    if following:
        query = {"limit": limit, "state": [s.value for s in state or ()], "name": name}
        query = {k: v for k, v in query.items() if v} | {"cursor": following}
        response.headers["Link"] = f'</v1/submissions?{urlencode(query, doseq=True)}>; rel="next"'
    return SubmissionPage(items=items, next_cursor=following)


@router.get("/{submission_id}", response_model=SubmissionView)
def read_submission(
    request: Request,
    submission_id: str,
    context: ContextDep,
    _: Described = None,
    if_none_match: Annotated[str | None, Header(max_length=1000)] = None,
) -> Response:
    """One submission. With the last `ETag` as `If-None-Match`: 304 when nothing has changed."""
    # Asked for the most: one thread and one session for all of it, see access.get_submission.
    with reading(request, submission_id, context) as (session, submission):
        body, etag = _write(results.describe(session, submission))
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if submission.state not in service.ENDED:
        headers["Retry-After"] = "1"
    if if_none_match and etag in _read_etags(if_none_match):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


@router.patch("/{submission_id}", response_model=SubmissionView)
def change_submission(
    submission_id: str,
    asked: SubmissionChange,
    context: ContextDep,
    account_id: AccountId,
    if_match: IfMatch = None,
) -> Response:
    """Say until when it is kept. With an `ETag` as `If-Match`: 412 when it has changed since."""
    with context.database.write() as session:
        submission = repository.get_submission(session, account_id, submission_id)
        _check_match(session, submission, if_match)
        keeping.retain_until(context.settings, submission, asked.retained_until)
        session.flush()
        body, etag = _write(results.describe(session, submission))
    return Response(body, media_type="application/json", headers={"ETag": etag})


@router.delete("/{submission_id}", status_code=204)
def delete_submission(
    submission_id: str, context: ContextDep, account_id: AccountId, if_match: IfMatch = None
) -> None:
    """Delete it, its data and its results; what still runs is canceled. `410` from then on."""
    with context.database.write() as session:
        submission = repository.get_submission(session, account_id, submission_id)
        _check_match(session, submission, if_match)
        keeping.delete_submission(session, submission)


@router.post("/{submission_id}/start", status_code=202)
def start_submission(
    submission_id: str, context: ContextDep, account_id: AccountId
) -> SubmissionView:
    """Let a held submission run, once you have seen its report; again changes nothing."""
    with context.database.write() as session:
        submission = holding.start_submission(session, account_id, submission_id)
        session.flush()
        return results.describe(session, submission)


@router.post("/{submission_id}/cancel", status_code=202)
def cancel_submission(
    submission_id: str, context: ContextDep, account_id: AccountId
) -> SubmissionView:
    """Ask for an early end; what was predicted until then is kept."""
    with context.database.write() as session:
        submission = service.cancel_submission(session, account_id, submission_id)
        session.flush()
        return results.describe(session, submission)


@router.post(
    "/{submission_id}/rerun",
    status_code=202,
    response_model=SubmissionView,
    max_body_size=receive.MAX_JSON_BYTES,
)
def rerun_submission(
    submission_id: str,
    context: ContextDep,
    account_id: AccountId,
    key: KeyHeader,
    asked: RerunRequest | None = None,
) -> Response:
    """Run the same data again, as a new submission; nothing is sent again."""
    wanted = asked or RerunRequest()
    answer = receive.rerun_submission(context, account_id, key, submission_id, wanted)
    return tell_rate(answer, context, account_id)


@router.get("/{submission_id}/events", response_class=EventSourceResponse)
async def follow_submission(
    submission: Found,
    reader: ReaderDep,
    context: ContextDep,
    cursor: Annotated[events.Cursor, Depends(read_event_id)],
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events: `state`, `queue`, `point`, `log`, and `done` at the end.

    Each has an id; with the last one as `Last-Event-ID` the stream goes on where it was cut.
    """
    async for event in events.follow(context, reader, submission.id, cursor):
        yield event


@router.get("/{submission_id}/curve")
def read_curve(submission: Found, context: ContextDep) -> CurveView:
    """The learning curve so far."""
    with context.database.read() as session:
        return describe_curve(submission, results.list_points(session, submission))


@router.get("/{submission_id}/curve.svg", response_class=Response)
def draw_curve(submission: Found, context: ContextDep) -> Response:
    """The learning curve so far as a picture."""
    with context.database.read() as session:
        points = results.list_points(session, submission)
    svg = curve_svg(points, submission.budget_seconds)
    headers = results.FILE_HEADERS | {"Cache-Control": "private, no-cache"}
    return Response(svg, media_type="image/svg+xml", headers=headers)


@router.get("/{submission_id}/report")
def read_report(submission: Found) -> ReportView:
    """What the check of the data found; `result-not-found` before it has ended."""
    if submission.report is None:
        raise UsageError(
            "result-not-found",
            "The data have not been checked yet.",
            hint="Wait until the submission's state is no longer `validating`.",
        )
    return ReportView.model_validate(submission.report)


@router.get("/{submission_id}/log", response_class=PlainTextResponse)
def read_log(
    submission: Found,
    context: ContextDep,
    tail_bytes: Annotated[int, Query(ge=1, le=results.MAX_LOG_BYTES)] = results.MAX_LOG_BYTES,
) -> PlainTextResponse:
    """The end of what the run's programs have written so far."""
    text = results.read_log(context, submission)[-tail_bytes:]
    return PlainTextResponse(text.decode(errors="replace"))


@router.get("/{submission_id}/files")
def list_files(submission: Found, context: ContextDep) -> FileList:
    """The files of the results."""
    base = f"/v1/submissions/{submission.id}/files"
    paths = results.list_files(context, submission)
    return FileList(items=[FileView(path=path, href=f"{base}/{path}") for path in paths])


@router.head("/{submission_id}/files/{path:path}", include_in_schema=False)
@router.get("/{submission_id}/files/{path:path}", response_class=Response)
def read_file(submission: Found, context: ContextDep, path: str) -> Response:
    """One file of the results, whole or a `Range` of it, with its `Repr-Digest` (RFC 9530)."""
    return results.respond_with_file(context, submission, path)


def _write(view: SubmissionView) -> tuple[str, str]:
    """The body of an answer and its entity tag."""
    body = view.model_dump_json()
    return body, f'"{hashlib.sha256(body.encode()).hexdigest()[:32]}"'


def _read_etags(field: str) -> list[str]:
    return [tag.strip().removeprefix("W/") for tag in field.split(",")]


def _check_match(session: Session, submission: Submission, if_match: str | None) -> None:
    """The change is to the state that its sender has seen (RFC 9110, 13.1.1)."""
    if if_match is None or if_match.strip() == "*":
        return
    if _write(results.describe(session, submission))[1] not in _read_etags(if_match):
        raise UsageError(
            "precondition-failed",
            "The submission is no longer as it was when you read it.",
            hint="Read it again, and send its new ETag.",
        )
