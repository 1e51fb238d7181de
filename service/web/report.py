"""A run as one self-contained HTML file: the figures of its page, and nothing to be fetched."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from markupsafe import Markup

from service.context import ContextDep
from service.models import utc_now
from service.submissions import results
from service.submissions.access import Found, ReaderDep
from service.web.rendering import render
from service.web.shared import PRIVATE
from service.web.submission import describe

STYLES = Path(__file__).parent / "static"
#: nothing is loaded, nothing runs; the styles stand in the file itself
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:; sandbox"

router = APIRouter(include_in_schema=False)


@router.get("/submissions/{submission_id}/report")
def show_report(
    request: Request,
    submission: Found,
    reader: ReaderDep,
    context: ContextDep,
    *,
    download: Annotated[bool, Query()] = False,
) -> Response:
    """The report, to read here or to keep."""
    is_owner = reader.account_id is not None
    page = render(
        request,
        "report.html",
        **describe(context, submission, is_owner=is_owner),
        offline=True,
        manifest=results.find_json(context, submission, results.MANIFEST_NAME),
        style=read_style(),
        now=utc_now(),
    )
    page.headers["Content-Security-Policy"] = POLICY
    if download:
        name = quote(f"{submission.name}.html", safe="")
        page.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{name}"
    if not is_owner:
        page.headers.update(PRIVATE)
    return page


@cache
def read_style() -> Markup:
    """The styles of the pages, and those of print."""
    return Markup((STYLES / "site.css").read_text(encoding="utf-8"))  # noqa: S704 our own file
