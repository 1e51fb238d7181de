"""How pages are made of templates: their filters, and what each of them knows."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from service import auth
from service.envelope import get_request_id
from service.errors import Problem
from service.web.language import N_, find_plural, find_text

#: a sign and a word for each state: never told by colour alone
STATES = {
    "uploading": ("↑", N_("Uploading")),
    "validating": ("…", N_("Checking the data")),
    "queued": ("…", N_("Waiting for a slot")),
    "running": ("▶", N_("Learning")),
    "scoring": ("▶", N_("Scoring")),
    "succeeded": ("✓", N_("Done")),
    "rejected": ("✗", N_("Data refused")),
    "failed": ("✗", N_("Failed")),
    "canceled": ("■", N_("Canceled")),
    "expired": ("■", N_("Expired")),
}

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


def _format_number(value: float | None, digits: int | None = None) -> str:
    """With so many digits after the point, else as many as it has; a dash where there is none."""
    if value is None:
        return "–"
    return f"{value:.4g}" if digits is None else f"{value:.{digits}f}"


def _format_percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"


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


def _format_duration(value: float) -> str:
    """Coarse, for an estimate."""
    return f"{max(0, round(value / 60))} min" if value < 5400 else f"{value / 3600:.1f} h"


def _mark_code(text: str) -> Markup:
    """What stands between backquotes as code; everything escaped."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    marked = [f"<code>{escape(p)}</code>" if i % 2 else escape(p) for i, p in enumerate(parts)]
    return Markup("".join(marked))  # noqa: S704 each part is escaped


templates.filters |= {
    "translated": find_text,
    "code": _mark_code,
    "number": _format_number,
    "percent": _format_percent,
    "time": _format_time,
    "bytes": _format_bytes,
    "seconds": _format_seconds,
    "duration": _format_duration,
}
templates.globals |= {"states": STATES}


def render(request: Request, name: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A template as an answer; nothing a user gave is left unescaped by it."""
    page = templates.get_template(name).render(
        path=request.url.path, form_token=auth.form_token(request), **values
    )
    return HTMLResponse(page, status, {"Cache-Control": "private, no-store"})


def render_problem(request: Request, problem: Problem) -> Response:
    """A failure as a page; for a missing session that is the login."""
    if problem.code == "authentication-required":
        following = request.url.path if request.method == "GET" else "/"
        return render_login(request, problem.status, following=following)
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


def render_login(
    request: Request, status: int = 200, *, error: str | None = None, following: str = "/"
) -> HTMLResponse:
    """The page to sign in; ``following`` is where one goes from there."""
    settings = request.app.state.context.settings
    return render(
        request, "login.html", status, error=error, following=following, settings=settings
    )
