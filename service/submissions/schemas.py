"""What the API says of a submission."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator

from service.models import CurvePoint, Submission, SubmissionState
from service.submissions.sharing import DEFAULT_SECONDS, MAX_SECONDS


class RequestOptions(BaseModel):
    """What may be said of a submission, in JSON and in a form alike; null is not to say it."""

    model_config = ConfigDict(extra="forbid")

    label: str | None = Field(
        default=None,
        max_length=2000,
        description="of raw data in a table: the label column, or several 0/1 columns as `a,b,c`",
    )
    separator: str | None = Field(
        default=None,
        min_length=1,
        max_length=10,
        description="of raw data: what stands between several labels in one cell",
    )
    test: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="of raw data that are not split: the share of the test part; 0.2 if not said",
    )
    review: bool | None = Field(
        default=None,
        description="hold the submission when its data are checked, for you to look at the report:"
        " it waits as `held` until you start it, cancel it, or `held_until` has come",
    )
    notify: bool | None = Field(
        default=None, description="send a mail at its end; if not said, as your account has it"
    )


class RerunRequest(RequestOptions):
    """What shall be different; the rest is as it was."""

    name: str | None = Field(default=None, max_length=200)
    budget_seconds: float | None = Field(default=None, ge=1, allow_inf_nan=False)
    solution: str | None = Field(default=None, max_length=200)


class SubmissionRequest(RerunRequest):
    """A run of what was uploaded before."""

    upload_id: str = Field(max_length=36)


class SubmissionChange(BaseModel):
    """What its owner can change of a submission."""

    model_config = ConfigDict(extra="forbid")

    retained_until: AwareDatetime = Field(description="with its offset from UTC")

    @field_validator("retained_until", mode="before")
    @classmethod
    def _refuse_numbers(cls, value: object) -> object:
        if not isinstance(value, str) or value.strip("+-.0123456789") == "":
            raise ValueError("it must be a text like 2027-01-31T12:00:00Z")
        return value


class ShareRequest(BaseModel):
    """A link that is wanted."""

    model_config = ConfigDict(extra="forbid")

    expires_in_seconds: float = Field(
        default=DEFAULT_SECONDS, ge=60, le=MAX_SECONDS, allow_inf_nan=False
    )


class View(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(from_attributes=True)


class BundleView(View):
    """The file that is learnt: the one that was uploaded, or the bundle made of it."""

    size_bytes: int
    sha256: str = Field(description="of the whole file, in hexadecimal")


class ResultView(View):
    """The figures of a success."""

    alc: float | None = Field(description="area under the learning curve")
    nauc: float | None = Field(description="normalised AUC of the last prediction: 2 x AUC - 1")
    accuracy: float | None = Field(description="share of correct answers of the last prediction")
    points: int = Field(description="scored predictions")
    first_prediction_seconds: float | None
    duration_seconds: float | None
    note: str | None = Field(default=None, description="what is worth knowing of how it ended")


class ErrorView(View):
    """Why there is no result."""

    family: str = Field(description="whose fault it was: data, solution or platform")
    code: str
    message: str
    hint: str = ""
    file: str | None = None
    record: int | None = Field(default=None, description="0-based")
    line: int | None = Field(default=None, description="1-based")


class SubmissionView(View):
    """One request: a dataset, a solution, a budget."""

    id: str
    name: str
    state: SubmissionState
    status_reason: str = Field(description="what is being waited for, or how it ended, in words")
    is_over: bool = Field(description="whether the state is final")
    queue_position: int | None = Field(description="1 is next; null when nothing is waited for")
    budget_seconds: float
    solution: str
    bundle: BundleView
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None
    held_until: datetime | None = Field(
        description="of a held one: then it expires, if you have neither started nor canceled it"
    )
    retained_until: datetime | None = Field(
        description="then it is deleted with all its results; null: when you delete it"
    )
    upload_id: str | None = Field(description="its data; another submission may use them too")
    rerun_of: str | None = Field(description="the submission that this one repeats")
    result: ResultView | None
    error: ErrorView | None
    links: dict[str, str]


class SubmissionPage(View):
    """A page of a list, newest first."""

    items: list[SubmissionView]
    next_cursor: str | None = Field(description="for the parameter `cursor`; null on the last page")


class PointView(View):
    """One scored prediction."""

    index: int = Field(description="0-based")
    seconds: float = Field(description="since the start of the budget")
    nauc: float | None
    accuracy: float | None
    alc: float | None = Field(description="the area so far, this score held to the end")


class CurveView(View):
    """A learning curve."""

    budget_seconds: float
    alc: float | None
    points: list[PointView]


class ReportView(View):
    """What the check of the data found."""

    findings: list[dict[str, Any]]
    summary: dict[str, Any]


class FileView(View):
    """One file of the results."""

    path: str
    href: str


class FileList(View):
    """The results of the submission's current run."""

    items: list[FileView]


class ShareView(View):
    """A link that lets its holder read one submission."""

    id: str
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None


class NewShareView(ShareView):
    """A link as it is shown once."""

    token: str = Field(description="a bearer token for reading; it is shown only now")
    url: str = Field(description="opens the submission's page")


class ShareList(View):
    """The links that are good now."""

    items: list[ShareView]


class ProblemView(View):
    """A failure, after RFC 9457."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str = Field(description="explained in docs/errors.md")
    request_id: str | None


def describe_submission(
    submission: Submission, *, is_over: bool, queue_position: int | None = None
) -> SubmissionView:
    """The row as the API shows it."""
    own = f"/v1/submissions/{submission.id}"
    parts = ("events", "curve", "report", "log", "files", "start", "cancel", "rerun", "shares")
    links = {"self": own, "page": f"/submissions/{submission.id}"}
    return SubmissionView(
        id=submission.id,
        name=submission.name,
        state=submission.state,
        status_reason=submission.status_reason,
        is_over=is_over,
        queue_position=queue_position,
        budget_seconds=submission.budget_seconds,
        solution=submission.solution,
        bundle=BundleView(size_bytes=submission.bundle_bytes, sha256=submission.bundle_sha256),
        created_at=submission.created_at,
        updated_at=submission.updated_at,
        ended_at=submission.ended_at,
        held_until=submission.held_until,
        retained_until=submission.retained_until,
        upload_id=submission.upload_id,
        rerun_of=submission.rerun_of,
        result=ResultView.model_validate(submission.result) if submission.result else None,
        error=ErrorView.model_validate(submission.error) if submission.error else None,
        links=links | {part: f"{own}/{part}" for part in parts},
    )


def describe_curve(submission: Submission, points: list[CurvePoint]) -> CurveView:
    """The points as the API shows them."""
    views = [PointView.model_validate(point) for point in points]
    alc = views[-1].alc if views else None
    return CurveView(budget_seconds=submission.budget_seconds, alc=alc, points=views)
