"""What can be asked of a submission, one flow each (see ``client.core``)."""

from __future__ import annotations

import json
import logging
from datetime import datetime
from typing import Any
from urllib.parse import quote

import httpx2

from client.core import (
    Close,
    Effect,
    Emit,
    Flow,
    Next,
    Open,
    Pause,
    Send,
    ask,
    check,
    make_key,
    submission_path,
)
from client.errors import TransientError
from client.records import (
    Event,
    Json,
    Page,
    Point,
    Queue,
    Quota,
    Share,
    Submission,
    Webhook,
)

RECONNECTS = 30  # in a row without an event: a service that restarts is waited for
PAUSE_SECONDS = 1.0

log = logging.getLogger(__name__)


def get(submission_id: str) -> Flow[Submission]:
    """One submission as it is now."""
    answer = yield from ask(Send("GET", submission_path(submission_id)))
    return Submission.from_json(answer.json())


def list_submissions(limit: int, cursor: str | None) -> Flow[Page]:
    """A page of submissions, newest first."""
    params = {"limit": str(limit)} | ({} if cursor is None else {"cursor": cursor})
    answer = (yield from ask(Send("GET", "/v1/submissions", params=params))).json()
    return Page([Submission.from_json(s) for s in answer["items"]], answer["next_cursor"])


def start(submission_id: str) -> Flow[Submission]:
    """Let it run, if it is held for a look at its data."""
    request = Send("POST", submission_path(submission_id, "start"), harmless=True)
    return Submission.from_json((yield from ask(request)).json())


def cancel(submission_id: str) -> Flow[Submission]:
    """Ask for an early end."""
    request = Send("POST", submission_path(submission_id, "cancel"), harmless=True)
    return Submission.from_json((yield from ask(request)).json())


def rerun(submission_id: str) -> Flow[Submission]:
    """Ask for another run of the same data; the new submission."""
    request = Send("POST", submission_path(submission_id, "rerun"), headers=make_key())
    return Submission.from_json((yield from ask(request)).json())


def delete(submission_id: str) -> Flow[None]:
    """Remove a submission and everything that came of it."""
    yield from ask(Send("DELETE", submission_path(submission_id)))


def keep_until(submission_id: str, until: datetime) -> Flow[Submission]:
    """Change the day of its removal."""
    wanted = {"retained_until": until.isoformat()}
    request = Send("PATCH", submission_path(submission_id), json=wanted, harmless=True)
    return Submission.from_json((yield from ask(request)).json())


def share(submission_id: str, seconds: float | None) -> Flow[Share]:
    """A new link."""
    wanted = {} if seconds is None else {"expires_in_seconds": seconds}
    request = Send("POST", submission_path(submission_id, "shares"), json=wanted)
    return Share.from_json((yield from ask(request)).json())


def list_shares(submission_id: str) -> Flow[list[Share]]:
    """The links that are good now."""
    answer = yield from ask(Send("GET", submission_path(submission_id, "shares")))
    return [Share.from_json(item) for item in answer.json()["items"]]


def revoke_share(submission_id: str, share_id: str) -> Flow[None]:
    """Make a link open nothing any more."""
    yield from ask(Send("DELETE", submission_path(submission_id, "shares", share_id)))


def require_ready() -> Flow[None]:
    """Raise what keeps the service from working."""
    yield from ask(Send("GET", "/readyz"), attempts=1)


def quota() -> Flow[Quota]:
    """What the account may use, and has used."""
    return Quota.from_json((yield from ask(Send("GET", "/v1/quota"))).json())


def queue(budget_seconds: float | None) -> Flow[Queue]:
    """What runs and waits, and when a submission with that budget would start."""
    params = {} if budget_seconds is None else {"budget_seconds": f"{budget_seconds:g}"}
    return Queue.from_json((yield from ask(Send("GET", "/v1/queue", params=params))).json())


def create_webhook(url: str) -> Flow[Webhook]:
    """Have an address told when a submission has ended."""
    answer = yield from ask(Send("POST", "/v1/webhooks", json={"url": url}))
    return Webhook.from_json(answer.json())


def list_webhooks() -> Flow[list[Webhook]]:
    """The addresses that are told, oldest first."""
    answer = yield from ask(Send("GET", "/v1/webhooks"))
    return [Webhook.from_json(item) for item in answer.json()["items"]]


def test_webhook(webhook_id: str) -> Flow[Json]:
    """Have an event sent to it that means nothing; the delivery."""
    request = Send("POST", f"/v1/webhooks/{quote(webhook_id, safe='')}/test")
    sent: Json = (yield from ask(request)).json()
    return sent


def delete_webhook(webhook_id: str) -> Flow[None]:
    """Tell it no more."""
    yield from ask(Send("DELETE", f"/v1/webhooks/{quote(webhook_id, safe='')}"))


def curve(submission_id: str) -> Flow[list[Point]]:
    """The learning curve so far."""
    answer = yield from ask(Send("GET", submission_path(submission_id, "curve")))
    return [Point.from_json(point) for point in answer.json()["points"]]


def text(submission_id: str, part: str) -> Flow[str]:
    """``log`` or ``curve.svg``."""
    return (yield from ask(Send("GET", submission_path(submission_id, part)))).text


def report(submission_id: str) -> Flow[Json]:
    """What the check of the data found."""
    found: Json = (yield from ask(Send("GET", submission_path(submission_id, "report")))).json()
    return found


def files(submission_id: str) -> Flow[list[str]]:
    """The paths of the results' files."""
    answer = yield from ask(Send("GET", submission_path(submission_id, "files")))
    return [item["path"] for item in answer.json()["items"]]


def events(submission_id: str, last_event_id: str | None) -> Flow[None]:
    """Emit what happens, until and with ``done``; a cut stream is taken up where it ended."""
    failures = 0
    while failures < RECONNECTS:
        headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
        try:
            check((yield Open(submission_path(submission_id, "events"), headers, as_events=True)))
            while (event := (yield Next())) is not None:
                if not event.data:
                    continue
                yield Emit(Event(event.event, json.loads(event.data), event.id))
                if event.event == "done":
                    yield Close()
                    return
                last_event_id, failures = event.id or last_event_id, 0
        except httpx2.SSEError:
            break  # what answered is no stream: something between us does not let it through
        except (httpx2.TransportError, TransientError) as error:
            log.debug("The stream was cut: %s", error)
        yield Close()
        failures += 1
        yield Pause(PAUSE_SECONDS)
    yield Close()
    yield from _poll(submission_id)


def _poll(submission_id: str) -> Flow[None]:
    """The same by asking once a second, where no stream comes through at all."""
    state, seen = "", -1
    waiting: Json = {}
    while True:
        submission = yield from get(submission_id)
        if submission.state != state:
            state = submission.state
            yield _emit("state", {"state": state, "cause": submission.status_reason})
        for point in (yield from curve(submission_id)):
            if point.index > seen:
                seen = point.index
                yield _emit("point", vars(point))
        if submission.is_over:
            yield _emit("done", submission.raw)
            return
        now = {key: submission.raw[key] for key in ("status_reason", "queue_position")}
        if now != waiting:
            waiting = now
            yield _emit("queue", now)
        yield Pause(PAUSE_SECONDS)


def _emit(kind: str, data: Any) -> Effect:
    return Emit(Event(kind, data, ""))
