"""What the service says of a submission, as frozen values; members we do not know are ignored."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from autodl.errors import UsageError

if TYPE_CHECKING:
    from client.client import Client

Json = dict[str, Any]
T = TypeVar("T")


def _pick(kind: type[T], value: Json) -> T:
    names = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value[name] for name in names if name in value})


@dataclass(frozen=True)
class Result:
    """The figures of a success; ``None`` where one is not defined."""

    alc: float | None
    nauc: float | None
    accuracy: float | None
    points: int
    first_prediction_seconds: float | None
    duration_seconds: float | None
    note: str | None = None


@dataclass(frozen=True)
class Failure:
    """Why there is no result; ``family`` says whose fault it was: data, solution or platform."""

    family: str
    code: str
    message: str
    hint: str = ""
    file: str | None = None
    record: int | None = None
    line: int | None = None


@dataclass(frozen=True)
class Point:
    """One scored prediction, ``seconds`` after the start of the budget."""

    index: int
    seconds: float
    nauc: float | None
    accuracy: float | None
    alc: float | None

    @classmethod
    def from_json(cls, value: Json) -> Point:
        """From the API's JSON."""
        return _pick(cls, value)


@dataclass(frozen=True)
class Submission:
    """One request: a dataset, a solution, a budget; and how far it is."""

    id: str
    name: str
    state: str
    status_reason: str
    is_over: bool
    queue_position: int | None
    budget_seconds: float
    solution: str
    created_at: datetime
    ended_at: datetime | None
    result: Result | None
    error: Failure | None
    raw: Json
    service: Client | None = field(default=None, repr=False, compare=False)

    def show(self) -> Submission:
        """Draw the learning curve live in a notebook, to the end; the submission as it then is.

        Outside of a notebook it is told in lines. For submissions that a ``Client`` gave.
        """
        from client.notebook import show

        if self.service is None:
            raise UsageError(
                "submission-unbound",
                "This submission was not given by a Client.",
                hint="Get it anew: Client(...).get(submission.id).show()",
            )
        return show(self.service, self.id)

    @classmethod
    def from_json(cls, value: Json) -> Submission:
        """From the API's JSON, which is kept whole in ``raw``."""
        times = {
            name: value[name] and datetime.fromisoformat(value[name])
            for name in ("created_at", "ended_at")
        }
        parts = {
            "result": value["result"] and _pick(Result, value["result"]),
            "error": value["error"] and _pick(Failure, value["error"]),
            "raw": value,
        }
        return _pick(cls, {**value, **times, **parts})


@dataclass(frozen=True)
class Allowance:
    """One quota; ``limit`` and ``left`` are ``None`` where there is no limit."""

    used: float
    limit: float | None
    left: float | None


@dataclass(frozen=True)
class Quota:
    """What an account may use and has used; a day's numbers begin anew at ``resets_at``."""

    submissions_per_day: Allowance
    compute_minutes_per_day: Allowance
    stored_bytes: Allowance
    parallel_runs: Allowance
    resets_at: datetime
    raw: Json

    @classmethod
    def from_json(cls, value: Json) -> Quota:
        """From the API's JSON, which is kept whole in ``raw``."""
        names = [f.name for f in fields(cls) if f.name not in ("resets_at", "raw")]
        items = {name: _pick(Allowance, value[name]) for name in names}
        return cls(resets_at=datetime.fromisoformat(value["resets_at"]), raw=value, **items)


@dataclass(frozen=True)
class Place:
    """A place in the queue, 1 is next; four times of five the start is between the two times."""

    position: int
    low_seconds: float
    high_seconds: float
    submission_id: str | None = None  #: of one that was made already

    @classmethod
    def from_json(cls, value: Json) -> Place:
        """From the API's JSON."""
        interval = value["starts_in_seconds"]
        own = {"low_seconds": interval["low"], "high_seconds": interval["high"]}
        return _pick(cls, value | own)


@dataclass(frozen=True)
class Queue:
    """What runs and waits; ``next`` is the place of a submission that would be made now."""

    slots: int
    running: int
    waiting: int
    next: Place
    yours: list[Place]
    raw: Json

    @classmethod
    def from_json(cls, value: Json) -> Queue:
        """From the API's JSON, which is kept whole in ``raw``."""
        places = {
            "next": Place.from_json(value["next"]),
            "yours": [Place.from_json(place) for place in value["yours"]],
        }
        return _pick(cls, value | places | {"raw": value})


@dataclass(frozen=True)
class Webhook:
    """An address that is told when a submission has ended.

    ``secret``, with which its requests are signed, is known only of one that was just made.
    """

    id: str
    url: str
    created_at: datetime
    secret: str | None = field(default=None, repr=False)

    @classmethod
    def from_json(cls, value: Json) -> Webhook:
        """From the API's JSON."""
        return _pick(cls, value | {"created_at": datetime.fromisoformat(value["created_at"])})


@dataclass(frozen=True)
class Share:
    """A link that lets whoever holds it read one submission.

    ``url`` (on the service) and ``token`` are known only of one that was just made.
    """

    id: str
    created_at: datetime
    expires_at: datetime
    url: str | None = None
    token: str | None = field(default=None, repr=False)

    @classmethod
    def from_json(cls, value: Json) -> Share:
        """From the API's JSON."""
        times = {n: datetime.fromisoformat(value[n]) for n in ("created_at", "expires_at")}
        return _pick(cls, value | times)


@dataclass(frozen=True)
class Page:
    """Some submissions, newest first; ``next_cursor`` leads to older ones."""

    items: list[Submission]
    next_cursor: str | None


@dataclass(frozen=True)
class Event:
    """Something that happened: ``state``, ``queue``, ``point``, ``log`` or ``done``."""

    kind: str
    data: Json
    id: str
