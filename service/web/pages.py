"""The pages: what the API knows, for people. Each works without JavaScript."""

from __future__ import annotations

import itertools
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markdown_it import MarkdownIt
from markupsafe import Markup, escape

from autodl.errors import UsageError
from service import auth
from service.auth import authenticate, check_same_origin
from service.context import ContextDep
from service.envelope import get_request_id
from service.errors import Problem
from service.models import Json, Submission
from service.submissions import paging, receive, repository, results, service
from service.submissions.form import read_parts
from service.web.curve import curve_svg

LISTED = 50
LOG_TAIL_BYTES = 16 * 1024
ERRORS_DOCUMENT = Path(__file__).parent / "errors.md"  # a link to that of docs/
#: a sign and a word for each state: never told by colour alone
STATES = {
    "uploading": ("↑", "Uploading"),
    "validating": ("…", "Checking the data"),
    "queued": ("…", "Waiting for a slot"),
    "running": ("▶", "Learning"),
    "scoring": ("▶", "Scoring"),
    "succeeded": ("✓", "Done"),
    "rejected": ("✗", "Data refused"),
    "failed": ("✗", "Failed"),
    "canceled": ("■", "Canceled"),
    "expired": ("■", "Expired"),
}
#: what a file of the results is, where its name does not say it
FILES = {
    "predictions.csv": "predictions by item and class",
    "predictions.parquet": "the same, for programs",
    "predictions.json": "the same",
    "labelled/dataset.predict": "predictions for the unlabelled part, in the challenge's format",
    "metrics.json": "classes, confusion, calibration, intervals, the surest mistakes",
    "curve.svg": "the learning curve as a picture",
    "curve.png": "the same, as the challenge drew it",
    "curve.json": "the learning curve as data",
    "model.zip": "the trained model",
    "results.zip": "every prediction and score, in the challenge's layout",
    "scores.txt": "the scores in the challenge's format",
    "report.json": "what the check found",
    "result.json": "the figures",
    "manifest.json": "what the run was made of: digests, machine, versions",
    "log.txt": "what the run wrote",
}

router = APIRouter(include_in_schema=False)
AccountId = Annotated[str, Depends(authenticate)]
templates = Environment(
    loader=PackageLoader("service.web"),
    autoescape=select_autoescape(default=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def _format_time(value: datetime) -> str:
    return f"{value:%Y-%m-%d %H:%M} UTC"


def _format_bytes(value: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} GB"


def _format_seconds(value: float) -> str:
    return f"{value / 60:g} min" if value >= 60 and value % 30 == 0 else f"{value:.3g} s"


def _mark_code(text: str) -> Markup:
    """What stands between backquotes as code; everything escaped."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    marked = [f"<code>{escape(p)}</code>" if i % 2 else escape(p) for i, p in enumerate(parts)]
    return Markup("".join(marked))  # noqa: S704 each part is escaped


templates.filters |= {
    "code": _mark_code,
    "time": _format_time,
    "bytes": _format_bytes,
    "seconds": _format_seconds,
}
templates.globals |= {"states": STATES, "files_meaning": FILES}


def render(request: Request, name: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A template as an answer; nothing a user gave is left unescaped by it."""
    page = templates.get_template(name).render(path=request.url.path, **values)
    return HTMLResponse(page, status, {"Cache-Control": "private, no-store"})


def render_problem(request: Request, problem: Problem) -> Response:
    """A failure as a page; for a missing session that is the login."""
    if problem.code == "authentication-required":
        following = request.url.path if request.method == "GET" else "/"
        return render(request, "login.html", problem.status, error=None, following=following)
    page = render(
        request,
        "problem.html",
        problem.status,
        problem=problem,
        hint=problem.extra.get("hint"),
        request_id=get_request_id(request),
    )
    page.headers.update(problem.headers)
    return page


@router.get("/")
def show_start(
    request: Request,
    context: ContextDep,
    account_id: AccountId,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """The form, and what was submitted before."""
    with context.database.read() as session:
        found, following = paging.list_page(session, account_id, limit=LISTED, cursor=cursor)
    return render(
        request,
        "start.html",
        submissions=found,
        next_cursor=following,
        settings=context.settings,
        solutions=["winner", *sorted(context.settings.solutions)],
    )


@router.post("/submissions")
def submit(request: Request, context: ContextDep, account_id: AccountId) -> Response:
    """The form's target: the same as the API's, answered with the submission's page."""
    answer = receive.receive_form(request, context, account_id)
    return RedirectResponse(answer.headers["Location"].removeprefix("/v1"), 303)


@router.get("/submissions/{submission_id}")
def show_submission(
    request: Request, submission_id: str, context: ContextDep, account_id: AccountId
) -> Response:
    """Everything that is known of one submission."""
    with context.database.read() as session:
        submission = repository.get_submission(session, account_id, submission_id)
        points = results.list_points(session, submission)
        position = results.find_queue_position(session, submission)
        steps = repository.list_transitions(session, submission_id)
    log = results.read_log(context, submission)[-LOG_TAIL_BYTES:].decode(errors="replace")
    return render(
        request,
        "submission.html",
        submission=submission,
        is_over=submission.state in service.ENDED,
        queue_position=position,
        points=points,
        curve=Markup(curve_svg(points, submission.budget_seconds, inline=True)),  # noqa: S704 numbers only
        steps=steps,
        log=log,
        files=_list_downloads(context, submission),
        class_counts=_count_classes(submission.report),
    )


def _list_downloads(context: ContextDep, submission: Submission) -> list[str]:
    """The files worth a user's while first."""
    order = list(FILES)
    paths = results.list_files(context, submission)
    return sorted(paths, key=lambda p: (order.index(p) if p in order else len(order), p))


def _count_classes(report: Json | None) -> dict[str, list[int]]:
    """By subset, the examples of each class in the order of ``label_names``; where counted."""
    summary = (report or {}).get("summary", {})
    names = summary.get("label_names", [])
    counts = {
        name: subset.get("class_counts") for name, subset in summary.get("subsets", {}).items()
    }
    return {name: found for name, found in counts.items() if found and len(found) == len(names)}


@router.post("/submissions/{submission_id}/cancel")
def cancel(submission_id: str, context: ContextDep, account_id: AccountId) -> Response:
    """The button's target."""
    with context.database.write() as session:
        service.cancel_submission(session, account_id, submission_id)
    return RedirectResponse(f"/submissions/{submission_id}", 303)


@router.get("/login")
def show_login(
    request: Request, context: ContextDep, code: Annotated[str | None, Query()] = None
) -> Response:
    """Ask for the token; or, with a login link's code, be done with it."""
    if code is None:
        return render(request, "login.html", error=None, following="/")
    token_id = context.sessions.read("login", code)
    if token_id is None:
        raise UsageError(
            "login-failed",
            "The login link is not valid or its time is over.",
            hint="Log in with the token, or restart the service for a new link.",
        )
    return _begin_session(request, context, token_id, "/")


@router.post("/login")
def login(request: Request, context: ContextDep) -> Response:
    """Exchange the token for a session."""
    check_same_origin(request)
    fields = {part.name: part.read_text().strip() for part in read_parts(request)}
    following = fields.get("following", "/")
    if not following.startswith("/") or following.startswith(("//", "/\\")):
        following = "/"  # never to another site
    with context.database.read() as session:
        token = auth.find_token(session, fields.get("token", ""))
    if token is None:
        error = "This is not a token of this service."
        return render(request, "login.html", 401, error=error, following=following)
    return _begin_session(request, context, token.id, following)


@router.post("/logout")
def logout(account_id: AccountId) -> Response:
    """End the browser's session."""
    response = RedirectResponse("/login", 303)
    response.delete_cookie(auth.COOKIE, httponly=True, samesite="strict")
    return response


@router.get("/errors")
def explain_errors(request: Request) -> Response:
    """What each code means; problems' ``type`` points here. Open to all."""
    markdown = MarkdownIt("commonmark")
    tokens = markdown.parse(ERRORS_DOCUMENT.read_text(encoding="utf-8"))
    for heading, content in itertools.pairwise(tokens):
        if heading.type == "heading_open":
            heading.attrSet("id", content.content.strip("`"))
    html = markdown.renderer.render(tokens, markdown.options, {})
    return render(request, "errors.html", document=Markup(html))  # noqa: S704 our own document


def _begin_session(
    request: Request, context: ContextDep, token_id: str, following: str
) -> Response:
    response = RedirectResponse(following, 303)
    response.set_cookie(
        auth.COOKIE,
        context.sessions.sign("session", token_id, auth.SESSION_SECONDS),
        max_age=auth.SESSION_SECONDS,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response
