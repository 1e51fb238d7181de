"""What happens to a submission, as server-sent events that can be resumed.

An event's id is ``transition.run.points.log``: how far each of the streams behind it was read. All
four only grow, so a client that comes back with the last id misses nothing and gets nothing twice.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from typing import Any

from fastapi.concurrency import run_in_threadpool
from fastapi.sse import ServerSentEvent

from autodl.errors import AutoDLError, UsageError
from service.context import Context
from service.log import get_logger
from service.submissions import repository, results, service
from service.submissions.access import Reader
from service.submissions.positions import POSITIONS
from service.submissions.schemas import PointView, describe_submission

EVENT_ID = re.compile(r"\d{1,18}(\.\d{1,18}){3}")
POLL_SECONDS = 0.5
RETRY_MILLISECONDS = 2000

log = get_logger()


@dataclass(frozen=True)
class Cursor:
    """How far a client has read."""

    transition: int = 0
    run: int = 0
    points: int = 0
    log_bytes: int = 0

    @classmethod
    def parse(cls, text: str | None) -> Cursor:
        """From ``Last-Event-ID``; ``UsageError`` (``event-id-invalid``) if it is not ours."""
        if not text:
            return cls()
        if not EVENT_ID.fullmatch(text):
            raise UsageError("event-id-invalid", "Last-Event-ID is not an id of this stream.")
        return cls(*map(int, text.split(".")))

    def __str__(self) -> str:
        return f"{self.transition}.{self.run}.{self.points}.{self.log_bytes}"


@dataclass(frozen=True)
class News:
    """What has happened since a cursor."""

    events: list[tuple[str, Any, Cursor]]
    cursor: Cursor
    waiting_for: dict[str, Any]
    is_over: bool


def read_news(context: Context, reader: Reader, submission_id: str, cursor: Cursor) -> News:
    """Everything after the cursor, in an order in which it may have happened."""
    events: list[tuple[str, Any, Cursor]] = []
    with context.database.read() as session:
        submission = reader.get_submission(session, submission_id)
        for step in repository.list_transitions(session, submission_id, after=cursor.transition):
            cursor = replace(cursor, transition=step.id)
            state = {
                "state": step.to_state,
                "from_state": step.from_state,
                "cause": step.cause,
                "at": step.at,
            }
            events.append(("state", state, cursor))
        run = repository.find_current_run(session, submission)
        if run is not None:
            if run.number != cursor.run:  # another run: its curve and its log begin anew
                cursor = replace(cursor, run=run.number, points=0, log_bytes=0)
            for point in repository.list_points(session, run.id, after=cursor.points - 1):
                cursor = replace(cursor, points=point.index + 1)
                events.append(("point", PointView.model_validate(point), cursor))
        position = POSITIONS.find(session, submission)
    is_over = submission.state in service.ENDED
    text = results.read_log(context, submission)[cursor.log_bytes :]
    if not is_over:
        text = text[: text.rfind(b"\n") + 1]  # whole lines, while more may come
    if text:
        cursor = replace(cursor, log_bytes=cursor.log_bytes + len(text))
        events.append(("log", {"text": text.decode(errors="replace")}, cursor))
    if is_over:
        events.append(("done", describe_submission(submission, is_over=True), cursor))
    waiting_for = {"status_reason": submission.status_reason, "queue_position": position}
    return News(events, cursor, waiting_for, is_over)


async def follow(
    context: Context, reader: Reader, submission_id: str, cursor: Cursor
) -> AsyncIterator[ServerSentEvent]:
    """The events from the cursor on, until ``done`` or until the service stops.

    The stream just ends when the service cannot read on: clients come back with the last id.
    """
    waiting_for: dict[str, Any] = {}
    yield ServerSentEvent(retry=RETRY_MILLISECONDS, comment="events of one submission")
    while not context.stopping.is_set():
        try:
            news = await run_in_threadpool(read_news, context, reader, submission_id, cursor)
        except AutoDLError as error:
            log.warning("events.interrupted", code=error.code, submission_id=submission_id)
            return
        for event in _write(news, waiting_for):
            yield event
        if news.is_over:
            return
        cursor, waiting_for = news.cursor, news.waiting_for
        await asyncio.sleep(POLL_SECONDS)


def _write(news: News, waiting_for: dict[str, Any]) -> Iterator[ServerSentEvent]:
    for kind, data, cursor in news.events:
        yield ServerSentEvent(event=kind, data=data, id=str(cursor))
    if not news.is_over and news.waiting_for != waiting_for:
        yield ServerSentEvent(event="queue", data=news.waiting_for, id=str(news.cursor))
