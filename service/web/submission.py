"""The page of one submission, and what its owner does there. It works without JavaScript."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse
from markupsafe import Markup
from sqlalchemy.orm import Session

from autodl.page import draw_wave
from autodl.solutions import BUNDLED
from service.accounts import quotas
from service.auth import authenticate
from service.context import Context, ContextDep
from service.leaderboard import service as leaderboard
from service.models import Json, RunKind, Submission
from service.submissions import (
    baselines,
    keeping,
    queue,
    receive,
    repository,
    results,
    service,
    sharing,
)
from service.submissions.access import Found, ReaderDep
from service.submissions.positions import LONG, POSITIONS
from service.submissions.schemas import RerunRequest
from service.web.accounts import read_form
from service.web.curve import LETTERS, STYLES, Series, curve_svg, key_svg
from service.web.figures import describe_metrics, pick_rarest
from service.web.language import N_
from service.web.listing import METRICS, Compared
from service.web.mistakes import read_mistakes
from service.web.preview import find_first
from service.web.rendering import find_zoom, render
from service.web.resources import describe_resources
from service.web.shared import PRIVATE

LOG_TAIL_BYTES = 16 * 1024
MAX_ROWS = 100  # of the curve's table; a solution may predict thousands of times
SHARE_SECONDS = 30 * 86400.0  # a link made on a page is good for so long
RESOURCES, FAILURE = "resources.json", "failure.json"
#: what the baselines are, in a sentence
BASELINES = {
    "linear": N_("a linear model"),
    "constant": N_("guessing"),
    "resnet50v2": N_("a ResNet50V2 that starts from nothing"),
    "pretrained": N_("a linear model on a pretrained network"),
    "finetune": N_("a fine-tuned MobileNetV2"),
}
#: what the check says of the data as a whole
SUMMARY = {
    "name": N_("Name"),
    "layout": N_("Layout"),
    "modality": N_("Kind"),
    "classes": N_("Classes"),
    "vocabulary": N_("Vocabulary"),
    "multi_label": N_("Several labels an item"),
    "soft_labels": N_("Labels with weights"),
    "balance": N_("Balance of the classes"),
}
#: what a file of the results is, where its name does not say it
FILES = {
    "predictions.csv": N_("predictions by item and class"),
    "answers.csv": N_("the same, beside the labels and without the other classes' scores"),
    "predictions.parquet": N_("the same, for programs"),
    "predictions.json": N_("the same"),
    "labelled/dataset.predict": N_(
        "predictions for the unlabelled part, in the challenge's format"
    ),
    "metrics.json": N_("classes, confusion, calibration, intervals, the surest mistakes"),
    "confusion.csv": N_("how often each class was taken for each other"),
    "curve.svg": N_("the learning curve as a picture"),
    "curve.png": N_("the same, as the challenge drew it"),
    "curve.json": N_("the learning curve as data"),
    "model.zip": N_("the trained model"),
    "results.zip": N_("every prediction and score, in the challenge's layout"),
    "scores.txt": N_("the scores in the challenge's format"),
    "report.json": N_("what the check found"),
    "examples.json": N_("what some of the data look or sound like"),
    "result.json": N_("the figures"),
    "manifest.json": N_("what the run was made of: digests, machine, versions"),
    "mistakes.json": N_("what the surest mistakes look or sound like"),
    "resources.json": N_("memory, processor and disk over time"),
    "failure.json": N_("why it failed, and how its programs ended"),
    "log.txt": N_("what the run wrote"),
}

router = APIRouter(include_in_schema=False)
AccountId = Annotated[str, Depends(authenticate)]


@router.get("/submissions/{submission_id}")
def show_submission(
    request: Request,
    submission: Found,
    reader: ReaderDep,
    context: ContextDep,
    near: Annotated[bool, Query()] = False,
) -> Response:
    """Everything that is known of one submission; whoever has a link to it may only read.

    ``near`` shows the curve from near.
    """
    is_owner = reader.account_id is not None
    with context.database.read() as session:
        position = POSITIONS.find(session, submission)
        place = _find_place(session, context, submission) if (position or LONG) < LONG else None
        shares = sharing.list_links(session, submission.id) if is_owner else []
    page = render(
        request,
        "submission.html",
        **describe(context, submission, is_owner=is_owner, near=near),
        near=near,
        zoom=find_zoom(request, near=near),
        shares=shares,
        queue_position=position,
        place=place,
        files=_list_downloads(context, submission),
        files_meaning=FILES,
    )
    if not is_owner:
        page.headers.update(PRIVATE)
    return page


def _find_place(session: Session, context: Context, submission: Submission) -> queue.Place | None:
    """For about how long it waits to learn, with all that wait before it."""
    slots = context.executor.capabilities().slots[RunKind.SOLVE]
    places, _ = queue.list_places(session, slots)
    return next((place for place in places if place.id == submission.id), None)


def describe(
    context: Context, submission: Submission, *, is_owner: bool, near: bool = False
) -> dict[str, Any]:
    """What a page or a report of it is made of. The baselines are submissions of their own, so
    only the owner sees them.
    """
    with context.database.read() as session:
        points = results.list_points(session, submission)
        steps = repository.list_transitions(session, submission.id)
        runs = repository.list_runs(session, submission.id)
        settlement = quotas.find_settlement(session, submission.id)
        publication = leaderboard.find_publication(session, submission.id) if is_owner else None
        same = baselines.list_same(session, submission) if is_owner else []
        beside = [
            Series(other.solution, results.list_points(session, other), other.budget_seconds)
            for other in same[: len(STYLES) - 1]
        ]
    metrics = results.find_json(context, submission, METRICS) if submission.result else None
    curve = curve_svg(points, submission.budget_seconds, inline=True, near=near, beside=beside)
    answers, items = find_first(context, submission) if submission.result else ([], 0)
    counted, class_counts = _count_classes(submission.report)
    log = results.read_log(context, submission)[-LOG_TAIL_BYTES:].decode(errors="replace")
    return {
        "submission": submission,
        "is_owner": is_owner,
        "is_over": submission.state in service.ENDED,
        "points": points,
        "rows": points[-MAX_ROWS:],
        "curve": Markup(curve),  # noqa: S704 names are escaped
        "baselines": [
            Compared(LETTERS[at], Markup(key_svg(at)), other)  # noqa: S704 ours
            for at, other in enumerate(same[: len(beside)], 1)
        ],
        "baseline_names": BASELINES,
        "comparisons": baselines.compare(submission, metrics, same),
        "missing": _list_missing(submission, same) if is_owner else [],
        "publication": publication,
        "steps": steps,
        "runs": runs,
        "settlement": settlement,
        "is_bundled": submission.solution in BUNDLED,
        "answers": answers,
        "items": items,
        "log": log,
        "failure": results.find_json(context, submission, FAILURE),
        "summary_words": SUMMARY,
        "counted": counted,
        "class_counts": class_counts,
        "metrics": metrics,
        "mistakes_shown": read_mistakes(context, submission),
        "draw_wave": draw_wave,
        **({} if metrics is None else describe_metrics(metrics)),
        "resources": describe_resources(results.find_file(context, submission, RESOURCES)),
    }


def _list_missing(submission: Submission, same: Sequence[Submission]) -> list[str]:
    """The baselines that could be run beside it."""
    if submission.result is None or submission.solution in baselines.BASELINES:
        return []
    known = {other.solution for other in same}
    return [name for name in baselines.BASELINES if name not in known]


def _list_downloads(context: Context, submission: Submission) -> list[str]:
    """The files worth a user's while first."""
    order = list(FILES)
    paths = results.list_files(context, submission)
    return sorted(paths, key=lambda p: (order.index(p) if p in order else len(order), p))


def _count_classes(report: Json | None) -> tuple[list[str], list[tuple[str, list[int]]]]:
    """The subsets whose classes were counted, and each class with its examples in them."""
    summary = (report or {}).get("summary", {})
    names = summary.get("label_names", [])
    counts = {
        name: subset.get("class_counts") for name, subset in summary.get("subsets", {}).items()
    }
    counted = {name: found for name, found in counts.items() if found and len(found) == len(names)}
    if not counted:
        return [], []
    rows = list(zip(*counted.values(), strict=True))
    return list(counted), [(names[at], list(rows[at])) for at in pick_rarest([r[0] for r in rows])]


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


@router.post("/submissions/{submission_id}/baselines")
def run_baselines(
    request: Request, submission_id: str, context: ContextDep, account_id: AccountId
) -> Response:
    """Those that were ticked, on the same data for as long; each counts as a submission."""
    form = read_form(request)
    wanted = [name for name in baselines.BASELINES if name in form]
    with context.database.read() as session:
        name = repository.get_submission(session, account_id, submission_id).name
    baselines.submit(context, account_id, submission_id, name, wanted)
    return RedirectResponse(f"/submissions/{submission_id}", 303)


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
