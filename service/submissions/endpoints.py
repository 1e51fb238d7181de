"""The API of submissions; every address below ``/v1`` needs a token or a page's session."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import PlainTextResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent

from autodl.errors import UsageError
from service.auth import authenticate
from service.context import Context, ContextDep
from service.errors import PROBLEM_TYPE
from service.models import Submission
from service.submissions import events, paging, receive, repository, results, service
from service.submissions.schemas import (
    CurveView,
    FileList,
    FileView,
    ReportView,
    SubmissionPage,
    SubmissionView,
    describe_curve,
    describe_submission,
)
from service.web.curve import curve_svg

PROBLEM = {
    "description": "A problem (RFC 9457); its `code` is explained in docs/errors.md.",
    "content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemView"}}},
}
FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {
                            "type": "string",
                            "format": "binary",
                            "description": "the bundle as a zip",
                        },
                        "name": {"type": "string", "maxLength": service.MAX_NAME_CHARACTERS},
                        "budget_seconds": {"type": "number", "minimum": 1},
                        "solution": {"type": "string"},
                        "sha256": {
                            "type": "string",
                            "pattern": "^[0-9a-fA-F]{64}$",
                            "description": "of the file, in hexadecimal",
                        },
                    },
                }
            }
        },
    }
}

router = APIRouter(
    prefix="/v1/submissions",
    tags=["submissions"],
    responses={"4XX": PROBLEM, "5XX": PROBLEM},
)
AccountId = Annotated[str, Depends(authenticate)]


def get_submission(submission_id: str, context: ContextDep, account_id: AccountId) -> Submission:
    """A dependency: the caller's submission; ``UsageError`` (``submission-not-found``)."""
    with context.database.read() as session:
        return repository.get_submission(session, account_id, submission_id)


def read_event_id(
    last_event_id: Annotated[
        str | None, Header(json_schema_extra={"pattern": f"^{events.EVENT_ID.pattern}$"})
    ] = None,
) -> events.Cursor:
    """A dependency: how far the client has read the events."""
    return events.Cursor.parse(last_event_id)


Found = Annotated[Submission, Depends(get_submission)]


@router.post("", status_code=202, openapi_extra=FORM)
def create_submission(
    request: Request, response: Response, context: ContextDep, account_id: AccountId
) -> SubmissionView:
    """Upload a bundle and ask for a run; follow it at the address in `Location`."""
    submission = receive.receive_submission(request, context, account_id)
    response.headers["Location"] = f"/v1/submissions/{submission.id}"
    response.headers["Retry-After"] = "1"
    return _describe(context, submission)


@router.get("")
def list_submissions(
    context: ContextDep,
    account_id: AccountId,
    response: Response,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> SubmissionPage:
    """Your submissions, newest first; `next_cursor` leads on, as does the `Link` field."""
    with context.database.read() as session:
        found, following = paging.list_page(session, account_id, limit=limit, cursor=cursor)
    items = [describe_submission(s, is_over=s.state in service.ENDED) for s in found]
    if following:
        response.headers["Link"] = f'</v1/submissions?limit={limit}&cursor={following}>; rel="next"'
    return SubmissionPage(items=items, next_cursor=following)


@router.get("/{submission_id}", response_model=SubmissionView)
def read_submission(
    submission: Found,
    context: ContextDep,
    if_none_match: Annotated[str | None, Header(max_length=1000)] = None,
) -> Response:
    """One submission. With the last `ETag` as `If-None-Match`: 304 when nothing has changed."""
    body = _describe(context, submission).model_dump_json()
    etag = f'"{hashlib.sha256(body.encode()).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if submission.state not in service.ENDED:
        headers["Retry-After"] = "1"
    if if_none_match and etag in (t.strip().removeprefix("W/") for t in if_none_match.split(",")):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


@router.post("/{submission_id}/cancel", status_code=202)
def cancel_submission(
    submission_id: str, context: ContextDep, account_id: AccountId
) -> SubmissionView:
    """Ask for an early end; what was predicted until then is kept."""
    with context.database.write() as session:
        submission = service.cancel_submission(session, account_id, submission_id)
    return _describe(context, submission)


@router.get("/{submission_id}/events", response_class=EventSourceResponse)
async def follow_submission(
    submission: Found,
    context: ContextDep,
    account_id: AccountId,
    cursor: Annotated[events.Cursor, Depends(read_event_id)],
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events: `state`, `queue`, `point`, `log`, and `done` at the end.

    Each has an id; with the last one as `Last-Event-ID` the stream goes on where it was cut.
    """
    async for event in events.follow(context, account_id, submission.id, cursor):
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


def _describe(context: Context, submission: Submission) -> SubmissionView:
    with context.database.read() as session:
        position = results.find_queue_position(session, submission)
    is_over = submission.state in service.ENDED
    return describe_submission(submission, is_over=is_over, queue_position=position)
