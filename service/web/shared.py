"""The page of a link: it hands the browser what opens one submission, and leads there.

So the token stands in one address only, which the browser passes on to nobody.
"""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from autodl.errors import UsageError
from service.context import ContextDep
from service.models import utc_now
from service.submissions import access, sharing

#: of every page that a link opens
PRIVATE = {"Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex"}

router = APIRouter(include_in_schema=False)


@router.get("/shared/{token}")
def open_link(request: Request, token: str, context: ContextDep) -> Response:
    """To the submission's page; `share-link-invalid` when the link opens nothing."""
    with context.database.write() as session:
        link = sharing.find_link(session, token)
        if link is None:
            raise UsageError(
                "share-link-invalid",
                "The link has expired or was revoked.",
                hint="Ask whoever gave it to you for a new one.",
            )
        sharing.note_used(session, link)
        submission_id, expires_at = link.submission_id, link.expires_at
    answer = RedirectResponse(f"/submissions/{submission_id}", 303, headers=PRIVATE)
    answer.set_cookie(
        access.cookie_name(submission_id),
        token,
        max_age=int((expires_at - utc_now()).total_seconds()),
        httponly=True,
        samesite="lax",  # a link in a mail is followed from another site
        secure=request.url.scheme == "https",
    )
    return answer
