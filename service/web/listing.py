"""The pages of several submissions: one's own, page by page, and some of them side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request, Response
from markupsafe import Markup

from service.auth import authenticate
from service.context import ContextDep
from service.models import Json, Submission, SubmissionState
from service.submissions import paging, repository, results
from service.web.curve import LETTERS, Series, curves_svg, key_svg
from service.web.figures import MAX_NAMED
from service.web.language import N_, gettext
from service.web.rendering import find_zoom, render

LISTED = 25
METRICS = "metrics.json"
S = SubmissionState
#: what the list can be narrowed to
FILTERS: dict[str, tuple[str, tuple[SubmissionState, ...]]] = {
    "": (N_("All"), ()),
    "open": (N_("Waiting or running"), (S.VALIDATING, S.HELD, S.QUEUED, S.RUNNING, S.SCORING)),
    "done": (N_("Done"), (S.SUCCEEDED,)),
    "failed": (N_("Refused or failed"), (S.REJECTED, S.FAILED)),
    "ended": (N_("Canceled or expired"), (S.CANCELED, S.EXPIRED)),
}
#: the figures of a class that are set side by side
CLASS_FIGURES = {"f1": N_("F1"), "recall": N_("Recall"), "precision": N_("Precision"), "auc": "AUC"}

router = APIRouter(include_in_schema=False)
AccountId = Annotated[str, Depends(authenticate)]
PLAIN = r"^[^\x00]*$"


@router.get("/submissions")
def show_submissions(
    request: Request,
    context: ContextDep,
    account_id: AccountId,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    show: Annotated[str, Query(max_length=20)] = "",
    find: Annotated[str, Query(max_length=200, pattern=PLAIN)] = "",
) -> Response:
    """One's own submissions, newest first; some of them can be ticked and compared."""
    states = FILTERS.get(show, FILTERS[""])[1]
    with context.database.read() as session:
        found, following = paging.list_page(
            session, account_id, limit=LISTED, cursor=cursor, states=states, name=find
        )
    asked = {key: value for key, value in {"show": show, "find": find}.items() if value}
    older = urlencode(asked | {"cursor": following}) if following else None
    return render(
        request,
        "submissions.html",
        submissions=found,
        filters={key: words for key, (words, _) in FILTERS.items()},
        show=show,
        find=find,
        is_first=cursor is None,
        newest=urlencode(asked),
        older=older,
        most=len(LETTERS),
    )


@dataclass(frozen=True)
class Compared:
    """One of several submissions side by side, and how it is told from the others."""

    letter: str
    key: Markup  #: its line, as in the picture
    submission: Submission
    metrics: Json | None = None

    def find_class(self, name: str) -> Json | None:
        """The figures of the class of that name."""
        found: list[Json] = (self.metrics or {}).get("classes", [])
        return next((c for c in found if c["name"] == name), None)


@router.get("/compare")
def compare(
    request: Request,
    context: ContextDep,
    account_id: AccountId,
    id: Annotated[list[str] | None, Query(max_length=100)] = None,
    figure: Annotated[str, Query(max_length=20)] = "f1",
    near: Annotated[bool, Query()] = False,
) -> Response:
    """The curves of some submissions in one picture, and their figures side by side."""
    ids = list(dict.fromkeys(id or ()))[: len(LETTERS)]
    with context.database.read() as session:
        found = [repository.get_submission(session, account_id, one) for one in ids]
        series = [Series(s.name, results.list_points(session, s), s.budget_seconds) for s in found]
    compared = [
        Compared(LETTERS[at], Markup(key_svg(at)), s, results.find_json(context, s, METRICS))  # noqa: S704 ours
        for at, s in enumerate(found)
    ]
    title = gettext("Learning curves of %(count)s submissions", count=len(found))
    return render(
        request,
        "compare.html",
        compared=compared,
        curves=Markup(curves_svg(series, title, near=near)) if found else "",  # noqa: S704 names are escaped
        near=near,
        zoom=find_zoom(request, near=near),
        points=[one.points for one in series],
        same_data=len({s.bundle_sha256 for s in found}) < 2,
        same_budget=len({s.budget_seconds for s in found}) < 2,
        figure=figure if figure in CLASS_FIGURES else "f1",
        class_figures=CLASS_FIGURES,
        class_rows=_list_class_rows(compared, figure if figure in CLASS_FIGURES else "f1"),
        most=len(LETTERS),
        most_classes=MAX_NAMED,
    )


def _list_class_rows(compared: list[Compared], figure: str) -> list[dict[str, Any]]:
    """A row for each class that any of them knows, those that differ most first."""
    names = dict.fromkeys(
        c["name"] for one in compared for c in (one.metrics or {}).get("classes", ())
    )
    rows = []
    for name in names:
        cells = [one.find_class(name) for one in compared]
        values = [None if cell is None else cell[figure] for cell in cells]
        known = [value for value in values if value is not None]
        rows.append(
            {
                "name": name,
                "values": values,
                "best": max(known) if len(set(known)) > 1 else None,
                "spread": max(known) - min(known) if known else -1.0,
            }
        )
    return sorted(rows, key=lambda row: -row["spread"])
