"""Which language a request is answered in, and the switch of it at the foot of each page."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from autodl.errors import UsageError
from service.accounts.tokens import find_session
from service.auth import check_same_origin, read_cookie, set_cookie
from service.context import ContextDep
from service.models import Account
from service.web.accounts import read_form
from service.web.language import LANGUAGES, choose_language, get_locale, use_language
from service.web.rendering import keep_local

LANGUAGE_COOKIE = "autodl_language"
COOKIE_SECONDS = 366 * 86400.0

router = APIRouter(include_in_schema=False)


class LanguageOfRequest:
    """Middleware: what a page is made in is known before anything makes it; the API is English."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http" and not scope["path"].startswith("/v1/"):
            request = Request(scope)
            accepted = request.headers.get("accept-language", "")
            use_language(choose_language(read_cookie(request, LANGUAGE_COOKIE), accepted))
        await self.app(scope, receive, send)


@router.post("/language")
def choose(request: Request, context: ContextDep) -> Response:
    """Keep the choice, with the account if there is one, and lead back to where it was made."""
    check_same_origin(request)
    form = read_form(request)
    if (language := form.get("language")) not in LANGUAGES:
        raise UsageError(
            "field-invalid", "The service does not speak this language.", hint="Choose another."
        )
    use_language(language)
    if cookie := read_cookie(request):
        with context.database.write() as session:
            if found := find_session(session, cookie):
                session.get_one(Account, found[0].account_id).locale = get_locale()
    response = RedirectResponse(keep_local(form.get("following", "")), 303)
    set_cookie(request, response, language, COOKIE_SECONDS, LANGUAGE_COOKIE)
    return response
