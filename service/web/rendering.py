"""How pages are made of templates: their filters, and what each of them knows."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from service import auth
from service.envelope import get_request_id
from service.errors import Problem
from service.web import formats
from service.web.explanations import explain
from service.web.language import LANGUAGES, N_, find_plural, find_text, get_language
from service.web.reasons import say_reason

#: of a problem's page, by the status
TITLES = {
    400: N_("The request is not right"),
    401: N_("Please sign in"),
    403: N_("Not allowed"),
    404: N_("Not found"),
    405: N_("The request is not right"),
    408: N_("It took too long"),
    409: N_("Not possible now"),
    410: N_("Gone"),
    412: N_("It has changed meanwhile"),
    413: N_("Too large"),
    415: N_("Of another kind than expected"),
    416: N_("There is no such part"),
    422: N_("Something in it is not right"),
    429: N_("Too much at once"),
    500: N_("A fault of ours"),
    503: N_("Not available just now"),
}
#: a sign and a word for each state: never told by colour alone
STATES = {
    "uploading": ("↑", N_("Uploading")),
    "validating": ("…", N_("Checking the data")),
    "held": ("?", N_("Waiting for you")),
    "queued": ("…", N_("Waiting for a slot")),
    "running": ("▶", N_("Learning")),
    "scoring": ("▶", N_("Scoring")),
    "succeeded": ("✓", N_("Done")),
    "rejected": ("✗", N_("Data refused")),
    "failed": ("✗", N_("Failed")),
    "canceled": ("■", N_("Canceled")),
    "expired": ("■", N_("Expired")),
}

#: words of the service itself that pages show, by the filter ``translated``
WORDS = (
    *(N_("image"), N_("video"), N_("tabular"), N_("text"), N_("speech"), N_("series")),
    *(N_("disk"), N_("memory"), N_("network"), N_("processes"), N_("time")),
    *(N_("none"), N_("process"), N_("sandbox")),
)

templates = Environment(
    loader=PackageLoader("service.web"),
    extensions=["jinja2.ext.i18n"],
    autoescape=select_autoescape(default=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


templates.policies["ext.i18n.trimmed"] = True
templates.install_gettext_callables(  # type: ignore[attr-defined]  # the extension's
    find_text, find_plural, newstyle=True
)


templates.filters |= {
    "code": formats.mark_code,
    "said": say_reason,
    "translated": find_text,
    "number": formats.format_number,
    "percent": formats.format_percent,
    "time": formats.format_time,
    "bytes": formats.format_bytes,
    "seconds": formats.format_seconds,
    "duration": formats.format_duration,
}
templates.globals |= {
    "states": STATES,
    "languages": LANGUAGES,
    "get_language": get_language,
    "explain": explain,
}


def render(request: Request, name: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A template as an answer; nothing a user gave is left unescaped by it."""
    page = templates.get_template(name).render(
        path=request.url.path,
        here=find_here(request),
        form_token=auth.form_token(request),
        **values,
    )
    return HTMLResponse(page, status, {"Cache-Control": "private, no-store"})


def find_here(request: Request) -> str:
    """The page that a browser looks at: of an answer to a form, the one with the form."""
    address = str(request.url) if request.method == "GET" else request.headers.get("referer", "/")
    parts = urlsplit(address)
    return parts.path + (f"?{parts.query}" if parts.query else "")


def find_zoom(request: Request, *, near: bool) -> str:
    """A query: the same page with its curves as a whole where they are ``near``, else from near."""
    url = request.url
    other = url.remove_query_params("near") if near else url.include_query_params(near=1)
    return f"?{other.query}"


def keep_local(place: str) -> str:
    """A path of this site as it is; the start for what leads, or may lead, to another one."""
    return place if place.startswith("/") and not place.startswith(("//", "/\\")) else "/"


def render_problem(request: Request, problem: Problem) -> Response:
    """A failure as a page; for a missing session that is the login."""
    if problem.code == "authentication-required":
        following = request.url.path if request.method == "GET" else "/"
        return render_login(request, problem.status, following=following)
    page = render(
        request,
        "problem.html",
        problem.status,
        title=TITLES.get(problem.status, TITLES[400]),
        problem=problem,
        hint=problem.extra.get("hint"),
        request_id=get_request_id(request),
    )
    page.headers.update(problem.headers)
    return page


def render_login(
    request: Request, status: int = 200, *, error: str | None = None, following: str = "/"
) -> HTMLResponse:
    """The page to sign in; ``following`` is where one goes from there."""
    settings = request.app.state.context.settings
    return render(
        request, "login.html", status, error=error, following=following, settings=settings
    )
