"""What was predicted, to look through: a page of ``answers.csv`` at a time, filtered and ordered.

The file is ours, made by the run (``autodl/tables.py``). It is read as a stream, so that memory
depends on the page and not on the data.
"""

from __future__ import annotations

import csv
import heapq
import io
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Literal, NamedTuple
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from service.context import Context, ContextDep
from service.models import Submission
from service.submissions import results
from service.submissions.access import Found, ReaderDep
from service.web.language import N_
from service.web.rendering import render
from service.web.shared import PRIVATE

ANSWERS = "answers.csv"
SHOWN, FEW = 50, 5
MAX_PAGE = 200  # ordered by score, everything up to the page is held in memory
LISTED_CLASSES = 500  # more than these are typed, not chosen
SUBSETS = {"": N_("All items"), "unlabelled": N_("Unlabelled part"), "test": N_("Test set")}
VERDICTS = {"": N_("Right and wrong"), "no": N_("Wrong only"), "yes": N_("Right only")}
ORDERS = {
    "": N_("As in the data"),
    "surest": N_("Surest first"),
    "doubtful": N_("Most doubtful first"),
}

router = APIRouter(include_in_schema=False)


class Answer(NamedTuple):
    """One predicted item; ``right`` is ``yes``, ``no``, or empty where there is no label."""

    subset: str
    row: int
    item: str
    prediction: str
    score: float
    label: str
    right: str


class Wanted(BaseModel):
    """Which answers: ``predicted`` is a class, ``item`` a part of a name."""

    model_config = ConfigDict(frozen=True)

    subset: str = Field(default="", pattern="^(unlabelled|test)?$")
    predicted: str = Field(default="", max_length=2000)
    item: str = Field(default="", max_length=200)
    right: Literal["", "yes", "no"] = ""
    order: Literal["", "surest", "doubtful"] = ""
    page: int = Field(default=1, ge=1, le=MAX_PAGE)

    def matches(self, answer: Answer) -> bool:
        """Whether the answer is one of them."""
        return (
            self.subset in ("", answer.subset)
            and self.predicted in ("", answer.prediction)
            and self.right in ("", answer.right)
            and self.item.casefold() in answer.item.casefold()
        )

    def turn_to(self, page: int) -> str:
        """The query of another page of the same."""
        asked = {key: value for key, value in self.model_dump().items() if value}
        return urlencode(asked | {"page": page})


@router.get("/submissions/{submission_id}/predictions")
def show_predictions(
    request: Request,
    submission: Found,
    reader: ReaderDep,
    context: ContextDep,
    wanted: Annotated[Wanted, Query()],
) -> Response:
    """The predictions, item by item, those that are asked for."""
    answers, total = list_answers(context, submission, wanted)
    pages = min(MAX_PAGE, -(-total // SHOWN))
    names = ((submission.report or {}).get("summary") or {}).get("label_names", [])
    page = render(
        request,
        "predictions.html",
        submission=submission,
        is_owner=reader.account_id is not None,
        answers=answers,
        total=total,
        first=(wanted.page - 1) * SHOWN + 1,
        pages=pages,
        wanted=wanted,
        class_names=names if len(names) <= LISTED_CLASSES else [],
        subsets=SUBSETS,
        verdicts=VERDICTS,
        orders=ORDERS,
    )
    if reader.account_id is None:
        page.headers.update(PRIVATE)
    return page


def list_answers(
    context: Context, submission: Submission, wanted: Wanted
) -> tuple[list[Answer], int]:
    """A page of the answers that are wanted, and how many there are on all pages together."""
    matching = _Counted(filter(wanted.matches, _read_answers(context, submission)))
    first = (wanted.page - 1) * SHOWN
    if wanted.order:
        sign = -1 if wanted.order == "surest" else 1
        kept = heapq.nsmallest(first + SHOWN, matching, key=lambda answer: sign * answer.score)
        return kept[first:], matching.count
    kept = list(islice(matching, first, first + SHOWN))
    deque(matching, maxlen=0)  # the rest is counted only
    return kept, matching.count


def find_first(context: Context, submission: Submission) -> tuple[list[Answer], int]:
    """A few answers of the unlabelled part, or of the test set; and how many items that has."""
    first: dict[str, list[Answer]] = defaultdict(list)
    counts: Counter[str] = Counter()
    for answer in _read_answers(context, submission):
        counts[answer.subset] += 1
        if counts[answer.subset] <= FEW:
            first[answer.subset].append(answer)
    subset = "unlabelled" if "unlabelled" in first else "test"
    return first[subset], counts[subset]


class _Counted(Iterator[Answer]):
    """Counts the answers that go through it."""

    def __init__(self, answers: Iterator[Answer]) -> None:
        self.count = 0
        self._answers = answers

    def __next__(self) -> Answer:
        answer = next(self._answers)
        self.count += 1
        return answer


def _read_answers(context: Context, submission: Submission) -> Iterator[Answer]:
    stored = results.open_file(context, submission, ANSWERS)
    if stored is None:
        return
    with stored, io.TextIOWrapper(stored, encoding="utf-8", newline="") as text:
        rows = csv.reader(text)
        next(rows, None)
        for subset, row, item, prediction, score, label, right in rows:
            yield Answer(subset, int(row), item, prediction, float(score), label, right)
