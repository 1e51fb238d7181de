"""What every request has in common, and no input or output.

Whatever the client does is written once, as a *flow*: a generator that yields what it wants done
(``Send``, ``Open``, ``Next``, ``Close``, ``Pause``, ``Work``, ``Together``, ``Emit``) and is sent
what came of it. ``client.client`` and ``client.aio`` carry flows out, blocking or not; they are the
only two places that do anything. A transport's failure, and a problem among flows that are carried
out together, is thrown into the flow.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote

import httpx2

from client.errors import (
    AuthenticationError,
    QuotaError,
    RefusedError,
    ServiceError,
    TransientError,
)

HEARTBEAT_SECONDS = 45.0  # the service sends a sign of life every 15
ATTEMPTS = 4  # of a request that may be repeated
FIRST_PAUSE_SECONDS = 0.25  # doubled each time,
LONGEST_GROWN_SECONDS = 4.0  # up to this
LONGEST_PAUSE_SECONDS = 60.0  # a service that asks for more patience is not waited for
REPEATABLE = {"GET", "HEAD", "PUT", "DELETE"}

T = TypeVar("T")
Flow = Generator["Effect", Any, T]


@dataclass(frozen=True)
class Send:
    """One request, whose whole answer is wanted: an ``httpx2.Response``.

    ``form`` is asked for the body's ``data`` and ``files`` at each attempt, for a file is read from
    its beginning then.
    """

    method: str
    path: str  #: below the service's address; a whole address for a store of its own
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    content: bytes | None = None
    form: Callable[[], dict[str, Any]] | None = None
    harmless: bool = False  #: when sent twice, though its method does not say so
    signed: bool = False  #: its address opens by itself: the token is nobody's business there

    @property
    def is_repeatable(self) -> bool:
        """Whether it does no harm to send it twice."""
        return self.harmless or self.method in REPEATABLE or "Idempotency-Key" in self.headers

    def build(self, http: httpx2.Client | httpx2.AsyncClient) -> httpx2.Request:
        """The request as ``httpx2`` sends it."""
        body = {} if self.form is None else self.form()
        for name in ("params", "json", "content"):
            if value := getattr(self, name):
                body[name] = value
        request = http.build_request(self.method, self.path, headers=dict(self.headers), **body)
        if self.signed:
            request.headers.pop("Authorization", None)
        return request


@dataclass(frozen=True)
class Open:
    """An answer that is to be read piece by piece; its head is an ``httpx2.Response``."""

    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    as_events: bool = False


@dataclass(frozen=True)
class Next:
    """The next piece of the open answer: bytes, or an event; ``None`` after the last."""


@dataclass(frozen=True)
class Close:
    """Enough of the open answer."""


@dataclass(frozen=True)
class Pause:
    """Wait so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Work:
    """Something that takes its time and is no request; its value."""

    call: Callable[[], Any]


@dataclass(frozen=True)
class Together:
    """Several flows at once, ``limit`` of them at a time; their values in order."""

    flows: Sequence[Flow[Any]]
    limit: int


@dataclass(frozen=True)
class Emit:
    """A value for whoever iterates."""

    value: Any


Effect = Send | Open | Next | Close | Pause | Work | Together | Emit


def ask(request: Send, attempts: int = ATTEMPTS) -> Flow[httpx2.Response]:
    """The answer to a request, which is repeated while that can help.

    That is when it never arrived or does no harm twice, after a failure of the way or a 429 or 5xx
    that passes; as long as ``Retry-After`` says, else with growing pauses. Raises ``ServiceError``.
    """
    attempt = 0
    while True:
        attempt += 1
        try:
            answer: httpx2.Response = yield request
        except httpx2.TransportError as error:
            problem: ServiceError = unreachable(error)
            may_repeat = request.is_repeatable or isinstance(error, httpx2.ConnectError)
            pause: float | None = growing_pause(attempt)
        else:
            found = find_problem(answer)
            if found is None:
                return answer
            problem = found
            may_repeat = request.is_repeatable
            pause = find_pause(answer, attempt)
        if not may_repeat or pause is None or attempt >= attempts:
            raise problem
        yield Pause(pause)


def find_pause(answer: httpx2.Response, attempt: int) -> float | None:
    """How long to wait before the request is sent again; ``None`` if that is of no use."""
    if answer.status_code not in (408, 409, 429, 502, 503, 504):
        return None
    asked = answer.headers.get("retry-after", "")
    if not asked.isdigit():
        # Without it, a conflict or a used-up quota stays what it is.
        return None if answer.status_code in (409, 429) else growing_pause(attempt)
    return float(asked) if float(asked) <= LONGEST_PAUSE_SECONDS else None


def growing_pause(attempt: int) -> float:
    """Longer at each attempt, and not the same for all who were cut at once."""
    longest = min(FIRST_PAUSE_SECONDS * 2.0 ** (attempt - 1), LONGEST_GROWN_SECONDS)
    return random.uniform(longest / 2, longest)  # noqa: S311 no secret


def make_key() -> dict[str, str]:
    """The field that makes a service answer a repeated request as it did the first."""
    return {"Idempotency-Key": str(uuid.uuid4())}


def submission_path(*parts: str) -> str:
    """The address of something of a submission; nothing in a part can lead elsewhere."""
    return "/v1/submissions/" + "/".join(quote(part, safe="") for part in parts)


def unreachable(error: Exception) -> TransientError:
    """A failure of the way to the service."""
    return TransientError(
        "service-unreachable",
        f"The service does not answer: {error or type(error).__name__}.",
        hint="Is it running, and is the address right? `autodl serve` starts one here.",
    )


def check(answer: httpx2.Response) -> None:
    """Raise the answer's problem, if it is one."""
    if (problem := find_problem(answer)) is not None:
        raise problem


def find_problem(answer: httpx2.Response) -> ServiceError | None:
    """A problem (RFC 9457) as an error; ``None`` of a success."""
    status = answer.status_code
    if answer.is_success or status == 304:
        return None
    try:
        problem = answer.json()
        code, detail = problem["code"], problem["detail"]
    except (ValueError, TypeError, KeyError):
        problem, code = {}, "service-answer-unknown"
        detail = f"The service answered {status} {answer.reason_phrase}, and not as ours does."
    kind: type[ServiceError] = ServiceError
    if status in (401, 403):
        kind = AuthenticationError
    elif status == 429:
        kind = QuotaError
    elif status in (408, 502, 503, 504):
        kind = TransientError
    elif 400 <= status < 500:
        kind = RefusedError
    places = {key: problem.get(key) for key in ("file", "record", "line")}
    return kind(code, detail, hint=problem.get("hint", ""), **places)
