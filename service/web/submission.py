"""The page of one submission, and what its owner does there. It works without JavaScript."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from markupsafe import Markup

from service.auth import authenticate
from service.context import Context, ContextDep
from service.models import Json, Submission
from service.submissions import keeping, receive, repository, results, service, sharing
from service.submissions.access import Found, ReaderDep
from service.submissions.schemas import RerunRequest
from service.web.curve import curve_svg
from service.web.figures import describe_metrics
from service.web.language import N_
from service.web.rendering import render
from service.web.shared import PRIVATE

LOG_TAIL_BYTES = 16 * 1024
SHARE_SECONDS = 30 * 86400.0  # a link made on a page is good for so long
METRICS = "metrics.json"
#: what a file of the results is, where its name does not say it
FILES = {
    "predictions.csv": N_("predictions by item and class"),
    "predictions.parquet": N_("the same, for programs"),
    "predictions.json": N_("the same"),
    "labelled/dataset.predict": N_(
        "predictions for the unlabelled part, in the challenge's format"
    ),
    "metrics.json": N_("classes, confusion, calibration, intervals, the surest mistakes"),
    "curve.svg": N_("the learning curve as a picture"),
    "curve.png": N_("the same, as the challenge drew it"),
    "curve.json": N_("the learning curve as data"),
    "model.zip": N_("the trained model"),
    "results.zip": N_("every prediction and score, in the challenge's layout"),
    "scores.txt": N_("the scores in the challenge's format"),
    "report.json": N_("what the check found"),
    "result.json": N_("the figures"),
    "manifest.json": N_("what the run was made of: digests, machine, versions"),
    "log.txt": N_("what the run wrote"),
}

router = APIRouter(include_in_schema=False)
AccountId = Annotated[str, Depends(authenticate)]


@router.get("/submissions/{submission_id}")
def show_submission(
    request: Request, submission: Found, reader: ReaderDep, context: ContextDep
) -> Response:
    """Everything that is known of one submission; whoever has a link to it may only read."""
    with context.database.read() as session:
        points = results.list_points(session, submission)
        position = results.find_queue_position(session, submission)
        steps = repository.list_transitions(session, submission.id)
        shares = sharing.list_links(session, submission.id) if reader.account_id else []
    log = results.read_log(context, submission)[-LOG_TAIL_BYTES:].decode(errors="replace")
    page = render(
        request,
        "submission.html",
        submission=submission,
        is_owner=reader.account_id is not None,
        shares=shares,
        is_over=submission.state in service.ENDED,
        queue_position=position,
        points=points,
        curve=Markup(curve_svg(points, submission.budget_seconds, inline=True)),  # noqa: S704 numbers only
        steps=steps,
        log=log,
        files=_list_downloads(context, submission),
        class_counts=_count_classes(submission.report),
        figures=_read_figures(context, submission),
        files_meaning=FILES,
    )
    if reader.account_id is None:
        page.headers.update(PRIVATE)
    return page


def _read_figures(context: Context, submission: Submission) -> Json | None:
    """What the results' figures say, where the run has left them."""
    content = results.find_file(context, submission, METRICS) if submission.result else None
    return None if content is None else describe_metrics(json.loads(content))


def _list_downloads(context: Context, submission: Submission) -> list[str]:
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


@router.post("/submissions/{submission_id}/rerun")
def rerun(submission_id: str, context: ContextDep, account_id: AccountId) -> Response:
    """The same data once more; leads to the new submission."""
    answer = receive.rerun_submission(context, account_id, None, submission_id, RerunRequest())
    return RedirectResponse(answer.headers["Location"].removeprefix("/v1"), 303)


@router.post("/submissions/{submission_id}/delete")
def delete(submission_id: str, context: ContextDep, account_id: AccountId) -> Response:
    """Its data and results are gone; leads to the list."""
    with context.database.write() as session:
        submission = repository.get_submission(session, account_id, submission_id)
        keeping.delete_submission(session, submission)
    return RedirectResponse("/", 303)


@router.post("/submissions/{submission_id}/share")
def share(
    request: Request, submission_id: str, context: ContextDep, account_id: AccountId
) -> Response:
    """A new link, shown this once."""
    with context.database.write() as session:
        submission = repository.get_submission(session, account_id, submission_id)
        link, token = sharing.create_link(session, submission_id, SHARE_SECONDS)
        expires_at = link.expires_at
    address = f"{context.settings.effective_public_url}/shared/{token}"
    return render(
        request, "shared.html", submission=submission, address=address, expires_at=expires_at
    )


@router.post("/submissions/{submission_id}/unshare")
def unshare(submission_id: str, context: ContextDep, account_id: AccountId) -> Response:
    """Every link opens nothing from now on."""
    with context.database.write() as session:
        repository.get_submission(session, account_id, submission_id)
        for link in sharing.list_links(session, submission_id):
            sharing.revoke_link(session, submission_id, link.id)
    return RedirectResponse(f"/submissions/{submission_id}", 303)
