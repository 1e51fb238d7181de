"""From errors to HTTP: the only place that knows statuses, and the one handler of each kind.

Every answer that is not a success is an ``application/problem+json`` (RFC 9457) with our ``code``,
the log's ``request_id``, and where it helps ``hint``, ``file``, ``record``, ``line`` or ``errors``.
A browser that asks for a page gets the same problem as a page.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from sqlalchemy.exc import DataError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from autodl.errors import AutoDLError, BundleError, PlatformError, SolutionError, UsageError
from service.accounts.limits import LimitError
from service.envelope import get_request_id, make_headers
from service.log import get_logger

PROBLEM_TYPE = "application/problem+json"
STATUSES = {
    "authentication-required": 401,
    "token-invalid": 401,
    "login-failed": 401,
    "sign-in-failed": 401,
    "provider-refused": 401,
    "cross-site-request": 403,
    "part-url-invalid": 403,
    "part-url-expired": 403,
    "share-link-invalid": 403,
    "account-disabled": 403,
    "scope-missing": 403,
    "administrators-only": 403,
    "registration-closed": 403,
    "invitation-invalid": 403,
    "submission-not-found": 404,
    "upload-not-found": 404,
    "share-link-not-found": 404,
    "result-not-found": 404,
    "object-not-found": 404,
    "resource-not-found": 404,
    "token-unknown": 404,
    "account-not-found": 404,
    "webhook-not-found": 404,
    "submission-ended": 409,
    "submission-not-checked": 409,
    "run-superseded": 409,
    "part-superseded": 409,
    "upload-ended": 409,
    "upload-incomplete": 409,
    "upload-in-use": 409,
    "name-taken": 409,
    "tokens-too-many": 409,
    "webhooks-too-many": 409,
    "administrator-needed": 409,
    "submission-deleted": 410,
    "link-invalid": 410,
    "precondition-failed": 412,
    "upload-too-large": 413,
    "media-type-unsupported": 415,
    "range-not-satisfiable": 416,
    "budget-out-of-range": 422,
    "solution-unknown": 422,
    "submission-name-invalid": 422,
    "field-invalid": 422,
    "field-missing": 422,
    "digest-mismatch": 422,
    "idempotency-key-reused": 422,
    "part-number-invalid": 422,
    "part-size-wrong": 422,
    "retention-out-of-range": 422,
    "upload-empty": 422,
    "name-invalid": 422,
    "password-weak": 422,
    "webhook-url-refused": 422,
    "quota-exceeded": 429,
    "uploads-too-many": 429,
    "too-many-requests": 429,
    "database-unavailable": 503,
    "storage-unavailable": 503,
    "provider-unavailable": 503,
}
FAMILIES: tuple[tuple[type[AutoDLError], int], ...] = (
    (UsageError, 400),
    (BundleError, 422),
    (SolutionError, 422),
    (PlatformError, 500),
)
#: what the framework itself refuses, by status
FRAMEWORK_CODES = {
    404: ("resource-not-found", "There is nothing at this address."),
    405: ("method-not-allowed", "This address does not take that method."),
    408: ("upload-stalled", "Too little of the request's body has arrived for a minute."),
    413: ("upload-too-large", "The request is larger than the service takes."),
}
RETRY_AFTER_SECONDS = 5


class StalledError(HTTPException):
    """A body does not come. Of the framework's own kind: any other it takes for malformed JSON."""

    def __init__(self) -> None:
        super().__init__(408, headers={"Connection": "close"})


#: for the routers' ``responses``
PROBLEM: dict[str, Any] = {
    "description": "A problem (RFC 9457); its `code` is explained in docs/errors.md.",
    "content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemView"}}},
}
PROBLEMS: dict[int | str, dict[str, Any]] = {"4XX": PROBLEM, "5XX": PROBLEM}

log = get_logger()


@dataclass(frozen=True)
class Problem:
    """A failure as the client sees it."""

    status: int
    code: str
    detail: str
    extra: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The status in words."""
        return HTTPStatus(self.status).phrase.replace("Entity", "Content")  # RFC 9110

    def to_json(self, request: Request) -> dict[str, Any]:
        """The members of RFC 9457 and ours; ``type`` points to the explanation of the code."""
        return {
            "type": f"/errors#{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": request.url.path,
            "code": self.code,
            "request_id": get_request_id(request),
            **self.extra,
        }


#: what the layers below us raise that is the request's doing
FIXED: dict[type[Exception], Problem] = {
    ClientDisconnect: Problem(
        400, "upload-interrupted", "The connection ended before the upload did."
    ),
    DataError: Problem(
        422, "field-invalid", "A value holds a character that cannot be kept, such as NUL."
    ),
}


def describe(error: AutoDLError) -> Problem:
    """The problem that an error of ours is to a client."""
    family = next((status for kind, status in FAMILIES if isinstance(error, kind)), 500)
    status = STATUSES.get(error.code, family)
    places = {"hint": error.hint, "file": error.file, "record": error.record, "line": error.line}
    headers = {}
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="autodl"'
    if status == 503:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    extra = {k: v for k, v in places.items() if v not in (None, "")}
    if isinstance(error, LimitError):
        extra |= error.extra
        headers |= error.headers
    return Problem(status, error.code, error.message, extra, headers)


def respond(request: Request, problem: Problem) -> Response:
    """The problem as JSON."""
    return JSONResponse(
        problem.to_json(request), problem.status, problem.headers, media_type=PROBLEM_TYPE
    )


def install(app: FastAPI, render_page: Callable[[Request, Problem], Response]) -> None:
    """Give the application its handlers; ``render_page`` makes the page of a problem."""

    def answer(request: Request, problem: Problem) -> Response:
        wants_page = "text/html" in request.headers.get("accept", "")
        if wants_page and not request.url.path.startswith("/v1/"):
            return render_page(request, problem)
        return respond(request, problem)

    def handle_ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, AutoDLError)
        problem = describe(error)
        if problem.status >= 500:
            log.error("request.failed", code=error.code, request_id=get_request_id(request))
        return answer(request, problem)

    def handle_validation(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        errors = [
            {"pointer": "/" + "/".join(str(p) for p in e["loc"]), "detail": e["msg"]}
            for e in error.errors()
        ]
        detail = "; ".join(f"{e['pointer'].rpartition('/')[2]}: {e['detail']}" for e in errors)
        return answer(request, Problem(422, "field-invalid", detail, {"errors": errors}))

    def handle_framework(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        code, detail = FRAMEWORK_CODES.get(
            error.status_code, ("request-malformed", str(error.detail))
        )
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = ", ".join(_find_methods(app, request))
        return answer(request, Problem(error.status_code, code, detail, headers=headers))

    def handle_fixed(request: Request, error: Exception) -> Response:
        return answer(request, next(p for kind, p in FIXED.items() if isinstance(error, kind)))

    def handle_unexpected(request: Request, error: Exception) -> Response:
        request_id = get_request_id(request)
        log.error("request.crashed", error=type(error).__name__, request_id=request_id)
        detail = "The service failed. Please try again, and report it with the request's id."
        headers = make_headers(request_id)  # this handler answers from outside of the envelope
        return answer(request, Problem(500, "internal-error", detail, headers=headers))

    app.add_exception_handler(AutoDLError, handle_ours)
    app.add_exception_handler(RequestValidationError, handle_validation)
    app.add_exception_handler(HTTPException, handle_framework)
    app.add_exception_handler(ClientDisconnect, handle_fixed)
    app.add_exception_handler(DataError, handle_fixed)
    app.add_exception_handler(Exception, handle_unexpected)


def _find_methods(app: FastAPI, request: Request) -> list[str]:
    """Every method that the address takes; the framework names those of one route only."""
    return [
        method
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
        for route in app.routes
        if route.matches({**request.scope, "method": method})[0] is Match.FULL
    ]
