"""The pages on which data are submitted, and looked at before a run is spent on them."""

from __future__ import annotations

import base64
import json
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from autodl.errors import UsageError
from autodl.page import draw_wave
from autodl.solutions import BUNDLED, WINNER
from service.accounts import quotas
from service.accounts.limits import Limits
from service.accounts.schemas import describe_quota
from service.auth import authenticate
from service.context import Context, ContextDep
from service.envelope import SECURITY_HEADERS
from service.models import Account, Json, RunKind, Submission
from service.submissions import holding, queue, receive, repository, results, service
from service.submissions.access import Found, ReaderDep
from service.web.figures import pick_rarest
from service.web.language import N_
from service.web.rendering import render
from service.web.samples import BUDGET_SECONDS, SAMPLES, make_sample
from service.web.shared import PRIVATE
from service.web.submission import BASELINES

EXAMPLES = "examples.json"
POLICY = "Content-Security-Policy"
PICTURE_SECONDS = 3600

router = APIRouter(include_in_schema=False)
AccountId = Annotated[str, Depends(authenticate)]


@router.get("/new")
def show_form(request: Request, context: ContextDep, account_id: AccountId) -> Response:
    """The form, and what a submission would cost and wait for."""
    settings = context.settings
    slots = context.executor.capabilities().slots[RunKind.SOLVE]
    candidate = queue.Candidate(account_id, settings.default_budget_seconds)
    with context.database.read() as session:
        account = session.get_one(Account, account_id)
        limits = quotas.get_limits(session, account_id, Limits.of(settings))
        used = quotas.read_usage(session, account_id)
        places, _ = queue.list_places(session, slots, candidate)
    page = render(
        request,
        "new.html",
        account=account,
        quota=describe_quota(limits, used),
        place=next(p for p in places if p.id == candidate.id),
        settings=settings,
        solutions=[WINNER, *sorted({*BUNDLED, *settings.solutions} - {WINNER})],
        meanings=BASELINES | {WINNER: N_("the frozen any-time solution")},
    )
    if origin := context.storage.origin:  # where the parts of an upload go
        own = SECURITY_HEADERS[POLICY]
        page.headers[POLICY] = own.replace("connect-src 'self'", f"connect-src 'self' {origin}")
    return page


@router.post("/submissions")
def submit(request: Request, context: ContextDep, account_id: AccountId) -> Response:
    """The form's target: the same as the API's, answered with the submission's page."""
    return _lead_on(receive.receive_form(request, context, account_id))


@router.post("/samples/{name}")
def submit_sample(name: str, context: ContextDep, account_id: AccountId) -> Response:
    """A dataset to try the service with; leads to its submission."""
    if name not in SAMPLES:
        raise UsageError("resource-not-found", f"There is no sample called {name!r}.")
    budget = min(BUDGET_SECONDS, context.settings.max_budget_seconds)
    return _lead_on(
        receive.submit_content(context, account_id, f"{name}.zip", make_sample(name), budget)
    )


@router.get("/submissions/{submission_id}/data")
def show_data(
    request: Request, submission: Found, reader: ReaderDep, context: ContextDep
) -> Response:
    """What the check found in the data, with examples; its owner starts the run from here."""
    summary = (submission.report or {}).get("summary", {})
    page = render(
        request,
        "review.html",
        submission=submission,
        is_owner=reader.account_id is not None,
        summary=summary,
        balance=_weigh_classes(summary),
        examples=_read_examples(context, submission),
        draw_wave=draw_wave,
    )
    if reader.account_id is None:
        page.headers.update(PRIVATE)
    return page


@router.get("/submissions/{submission_id}/data/{number}.jpg")
def show_picture(submission: Found, context: ContextDep, number: int) -> Response:
    """One of the examples that are pictures."""
    examples = _read_examples(context, submission)
    if not 0 <= number < len(examples) or examples[number]["kind"] != "picture":
        raise UsageError("resource-not-found", "There is no such picture.")
    content = base64.b64decode(examples[number]["content"])
    cached = {"Cache-Control": f"private, max-age={PICTURE_SECONDS}"}
    return Response(content, media_type="image/jpeg", headers=results.FILE_HEADERS | cached)


@router.post("/submissions/{submission_id}/start")
def start(submission_id: str, context: ContextDep, account_id: AccountId) -> Response:
    """The button's target; leads to the submission's page."""
    with context.database.write() as session:
        holding.start_submission(session, account_id, submission_id)
    return RedirectResponse(f"/submissions/{submission_id}", 303)


def _lead_on(answer: Response) -> Response:
    return RedirectResponse(answer.headers["Location"].removeprefix("/v1"), 303)


def _read_examples(context: Context, submission: Submission) -> list[Json]:
    """What the check picked; nothing before its end."""
    with context.database.read() as session:
        run = repository.find_check_run(session, submission.id)
    key = f"{service.run_prefix(run.id)}/{EXAMPLES}" if run else ""
    if not key or not context.storage.exists(key):
        return []
    items: list[Json] = json.loads(context.storage.read(key))["items"]
    return items


def _weigh_classes(summary: Json) -> list[Json]:
    """Each class with its examples, and their share of the largest class's; where counted."""
    names, subsets = summary.get("label_names", []), summary.get("subsets", {})
    train = subsets.get("train", {}).get("class_counts") or []
    test = subsets.get("test", {}).get("class_counts") or [0] * len(train)
    most = max(1, *train, 1)
    classes = list(zip(names, train, test, strict=False))
    listed = [classes[at] for at in pick_rarest(train[: len(classes)])]
    return [
        {"name": name, "train": in_train, "test": in_test, "percent": 100 * in_train / most}
        for name, in_train, in_test in listed
    ]
