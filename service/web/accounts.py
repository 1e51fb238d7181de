"""The pages of signing up and in, and of one's account. Each works without JavaScript."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import ValidationError

from autodl.errors import UsageError
from service import auth
from service.accounts import quotas, removal, repository, service, tokens
from service.accounts.limits import Limits
from service.accounts.oidc import ASK_SECONDS, CALLBACK, sign_in_person
from service.accounts.schemas import NewTokenView, TokenRequest, describe_quota, describe_token
from service.auth import Caller, check_form, check_same_origin, identify
from service.context import Context, ContextDep
from service.errors import describe
from service.models import Token
from service.notifications import outbox
from service.notifications import service as notifications
from service.submissions import keeping
from service.submissions.form import read_parts
from service.web.explanations import put_in_words
from service.web.language import N_, get_locale, gettext
from service.web.rendering import keep_local, render, render_login

OIDC_COOKIE = "autodl_oidc"
LISTED = 30
#: why the ledger has an entry; others are states
CAUSES = {
    "accepted": N_("accepted: the most that it can cost"),
    "the data were rejected": N_("the data were rejected"),
    "it expired before it began": N_("it expired before it began"),
    "the solution failed": N_("the solution failed"),
    "the platform failed": N_("the platform failed"),
    "canceled before it began": N_("canceled before it began"),
}
#: what a token may do
SCOPES = {"read": N_("read"), "submit": N_("submit"), "admin": N_("manage the account")}

router = APIRouter(include_in_schema=False)
Signed = Annotated[Caller, Depends(identify)]


def read_form(request: Request) -> dict[str, str]:
    """The fields of a form of text fields only."""
    return {part.name: part.read_text() for part in read_parts(request)}


def count_attempt(request: Request, context: Context, whose: str) -> dict[str, str]:
    """An attempt from this address and at this account; returns the answer's RateLimit fields."""
    address = request.client.host if request.client else "unknown"
    return context.rates.hit(f"from {address}", f"at {service.normalize_identifier(whose)}")


def go_on(
    request: Request, context: Context, account_id: str, following: str, token_id: str | None = None
) -> Response:
    """Sign the browser in, and lead it on."""
    with context.database.write() as session:
        if before := auth.read_cookie(request):
            tokens.end_session(session, before)  # a session is never taken over by another account
        seconds = context.settings.session_seconds
        cookie = tokens.create_session(session, account_id, seconds, token_id)
    response = RedirectResponse(keep_local(following), 303)
    auth.set_cookie(request, response, cookie, seconds)
    return response


def tell(request: Request, title: str, text: str, status: int = 200) -> HTMLResponse:
    """A page with a sentence."""
    return render(request, "message.html", status, title=title, text=text)


@router.get("/login")
def show_login(
    request: Request, context: ContextDep, code: Annotated[str | None, Query()] = None
) -> Response:
    """Ask for a password or a token; or, with a login link's code, be done with it."""
    if code is None:
        return render_login(request)
    token_id = context.signer.read("login", code)
    with context.database.read() as session:
        token = session.get(Token, token_id) if token_id else None
    if token is None:
        raise UsageError(
            "login-failed",
            "The login link is not valid or its time is over.",
            hint="Log in with the token, or restart the service for a new link.",
        )
    return go_on(request, context, token.account_id, "/", token.id)


@router.post("/login")
def login(request: Request, context: ContextDep) -> Response:
    """Exchange a password or a token for a session."""
    check_same_origin(request)
    form = read_form(request)
    following = form.get("following", "/")
    if secret := form.get("token", "").strip():
        with context.database.read() as session:
            token = tokens.find_token(session, secret)
        if token is None:
            error = gettext("This is not a token of this service.")
            return render_login(request, 401, error=error, following=following)
        return go_on(request, context, token.account_id, following, token.id)
    identifier = form.get("identifier", "")
    try:
        fields = count_attempt(request, context, identifier)
        account_id = service.sign_in(context.database, identifier, form.get("password", ""))
    except UsageError as error:
        problem = describe(error)
        page = render_login(request, problem.status, error=put_in_words(error), following=following)
        page.headers.update(problem.headers)
        return page
    response = go_on(request, context, account_id, following)
    response.headers.update(fields)
    return response


@router.post("/logout")
def logout(request: Request, context: ContextDep, _: Signed) -> Response:
    """End the browser's session."""
    with context.database.write() as session:
        tokens.end_session(session, auth.read_cookie(request) or "")
    response = RedirectResponse("/login", 303)
    auth.drop_cookie(request, response)
    return response


@router.get("/login/oidc")
def ask_provider(request: Request, context: ContextDep) -> Response:
    """Send the browser to the identity provider."""
    if context.provider is None:
        raise UsageError("resource-not-found", "There is no identity provider here.")
    url, kept = context.provider.begin()
    response = RedirectResponse(url, 303)
    signed = context.signer.sign("oidc", kept.encode().hex(), ASK_SECONDS)
    auth.set_cookie(request, response, signed, ASK_SECONDS, OIDC_COOKIE)
    return response


@router.get(CALLBACK)
def hear_provider(request: Request, context: ContextDep) -> Response:
    """The browser comes back from the identity provider."""
    kept = context.signer.read("oidc", auth.read_cookie(request, OIDC_COOKIE) or "")
    if context.provider is None or kept is None:
        raise UsageError(
            "provider-refused",
            "Signing in was not begun here, or its time is over.",
            hint="Try again.",
        )
    person = context.provider.finish(bytes.fromhex(kept).decode(), request.query_params)
    account_id = sign_in_person(context.database, person, get_locale())
    response = go_on(request, context, account_id, "/")
    auth.drop_cookie(request, response, OIDC_COOKIE)
    return response


@router.get("/sign-up")
def show_sign_up(
    request: Request,
    context: ContextDep,
    invitation: Annotated[str, Query(max_length=100)] = "",
) -> Response:
    """Ask for a name and a password."""
    return _render_sign_up(request, context, invitation=invitation)


@router.post("/sign-up")
def sign_up(request: Request, context: ContextDep) -> Response:
    """Make an account."""
    check_same_origin(request)
    form = read_form(request)
    identifier, invitation = form.get("identifier", ""), form.get("invitation", "")
    try:
        fields = count_attempt(request, context, identifier)
        account_id = service.sign_up(
            context.database,
            context.settings,
            identifier,
            form.get("password", ""),
            invitation,
            get_locale(),
        )
    except UsageError as error:
        return _render_sign_up(
            request, context, error, invitation=invitation, identifier=identifier
        )
    if account_id is None:
        text = gettext("A mail is on its way to the address. Open the link in it to go on.")
        response: Response = tell(request, gettext("Look at your mail"), text)
    else:
        response = go_on(request, context, account_id, "/")
    response.headers.update(fields)
    return response


def _render_sign_up(
    request: Request,
    context: Context,
    error: UsageError | None = None,
    *,
    invitation: str = "",
    identifier: str = "",
) -> Response:
    problem = describe(error) if error else None
    page = render(
        request,
        "sign_up.html",
        problem.status if problem else 200,
        error=put_in_words(error) if error else None,
        settings=context.settings,
        invitation=invitation,
        identifier=identifier,
    )
    page.headers.update(problem.headers if problem else {})
    return page


@router.get("/verify")
def show_verify(request: Request, code: Annotated[str, Query(max_length=100)] = "") -> Response:
    """Ask for the password that goes with the address; a look alone changes nothing."""
    return render(request, "verify.html", code=code, error=None)


@router.post("/verify")
def verify(request: Request, context: ContextDep) -> Response:
    """The address is confirmed, and the browser signed in."""
    check_same_origin(request)
    form = read_form(request)
    code = form.get("code", "")
    try:
        count_attempt(request, context, code)
        account_id = service.verify_email(context.database, code, form.get("password", ""))
    except UsageError as error:
        return render(
            request, "verify.html", describe(error).status, code=code, error=put_in_words(error)
        )
    return go_on(request, context, account_id, "/")


@router.get("/reset")
def show_reset(request: Request, code: Annotated[str, Query(max_length=100)] = "") -> Response:
    """Ask for the address; or, with a mail's code, for the new password."""
    return render(request, "reset.html", code=code, error=None)


@router.post("/reset")
def reset(request: Request, context: ContextDep) -> Response:
    """Send the mail; or set the new password."""
    check_same_origin(request)
    form = read_form(request)
    code, identifier = form.get("code", ""), form.get("identifier", "")
    try:
        count_attempt(request, context, code or identifier)
        if code:
            account_id = service.reset_password(context.database, code, form.get("password", ""))
            return go_on(request, context, account_id, "/")
        service.request_reset(context.database, identifier)
    except UsageError as error:
        text = put_in_words(error)
        return render(request, "reset.html", describe(error).status, code=code, error=text)
    return tell(
        request,
        gettext("Look at your mail"),
        gettext("If the address has an account, a mail with a link is on its way to it."),
    )


@router.get("/account")
def show_account(request: Request, context: ContextDep, caller: Signed) -> Response:
    """The account: what it may use, its tokens, its webhooks."""
    return render_account(request, context, caller)


def render_account(
    request: Request,
    context: Context,
    caller: Caller,
    *,
    error: UsageError | None = None,
    made: NewTokenView | None = None,
) -> Response:
    """The page, with what was just made or what went wrong."""
    with context.database.read() as session:
        account = repository.get_account(session, caller.account_id)
        limits = quotas.get_limits(session, account.id, Limits.of(context.settings))
        used = quotas.read_usage(session, account.id)
        own_tokens = tokens.list_tokens(session, account.id)
        entries = quotas.list_entries(session, account.id, LISTED)
        webhooks = outbox.list_webhooks(session, account.id)
        deliveries = {w.id: notifications.list_deliveries(session, w)[:5] for w in webhooks}
    return render(
        request,
        "account.html",
        describe(error).status if error else 200,
        account=account,
        is_removable=account.name != tokens.LOCAL_ACCOUNT,
        quota=describe_quota(limits, used),
        entries=entries,
        causes=CAUSES,
        retention_seconds=context.settings.retention_seconds,
        tokens=[describe_token(token) for token in own_tokens],
        scope_words=SCOPES,
        webhooks=webhooks,
        deliveries=deliveries,
        error=put_in_words(error) if error else None,
        made=made,
    )


@router.post("/account")
def change_account(request: Request, context: ContextDep, caller: Signed) -> Response:
    """The target of the account's forms: ``action`` says which one it is."""
    caller.require(tokens.Scope.ADMIN)
    form = read_form(request)
    check_form(request, form.get("form_token", ""))
    try:
        if form.get("action") == "remove-account" and form.get("sure") == "on":
            return _remove_account(request, context, caller)
        made = _act(request, context, caller, form)
    except UsageError as error:
        return render_account(request, context, caller, error=error)
    if made is not None:
        return render_account(request, context, caller, made=made)
    return RedirectResponse("/account", 303)


def _remove_account(request: Request, context: Context, caller: Caller) -> Response:
    with context.database.write() as session:
        removal.remove_account(session, caller.account_id)
    text = gettext("Your account and your data are no longer here.")
    title = gettext("Goodbye")
    page = render(request, "message.html", title=title, text=text, is_owner=False)
    auth.drop_cookie(request, page)
    return page


def _act(
    request: Request, context: Context, caller: Caller, form: dict[str, str]
) -> NewTokenView | None:
    action, account_id = form.get("action"), caller.account_id
    if action == "create-token":
        return _create_token(context, caller, form)
    if action in ("change-password", "change-email"):
        count_attempt(request, context, account_id)
        old = form.get("old", "")
        if action == "change-email":
            service.change_email(context.database, account_id, old, form.get("email", ""))
        else:
            service.change_password(
                context.database,
                account_id,
                old,
                form.get("password", ""),
                keep_session=caller.session_hash,
            )
        return None
    with context.database.write() as session:
        if action == "revoke-token":
            tokens.revoke_token(session, account_id, form.get("id", ""))
        elif action == "delete-webhook":
            notifications.delete_webhook(session, account_id, form.get("id", ""))
        elif action == "end-sessions":
            tokens.end_sessions(session, account_id, but=caller.session_hash)
        elif action == "change-mail":
            account = repository.get_account(session, account_id)
            account.wants_mail = form.get("wants_mail") == "on"
        elif action == "delete-everything" and form.get("sure") == "on":
            keeping.delete_everything(session, account_id)
        else:
            raise UsageError("field-invalid", "The form does not say what it is for.")
    return None


def _create_token(context: Context, caller: Caller, form: dict[str, str]) -> NewTokenView:
    try:
        wanted = TokenRequest(
            name=form.get("name", ""),
            scopes=[s for s in tokens.Scope if form.get(f"scope_{s.value}") == "on"],
            expires_in_days=int(days) if (days := form.get("days", "")).isdecimal() else None,
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError("field-invalid", f"{first['loc'][0]}: {first['msg']}.") from error
    with context.database.write() as session:
        token, secret = tokens.create_token(
            session,
            caller.account_id,
            name=wanted.name,
            scopes=set(wanted.scopes) & caller.scopes,
            expires_at=wanted.expires_at,
        )
    return NewTokenView(**describe_token(token).model_dump(), token=secret)
