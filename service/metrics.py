"""What Prometheus reads of this installation.

Requests are counted in the process that answers them. Everything about submissions and runs is read
from the database when it is asked for: it changes in several processes, and each of them would know
a part. No label names a user, a dataset or a file.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from fastapi import APIRouter, Depends, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.context import Context, ContextDep
from service.internal import check_near
from service.leader import is_led
from service.models import LIVE, Run, RunKind, Submission, SubmissionState, utc_now
from service.submissions.repository import WAITING

WINDOW = timedelta(hours=1)  # of what has a time: the past is long, and read at every scrape

router = APIRouter(include_in_schema=False, dependencies=[Depends(check_near)])


@router.get("/internal/metrics")
def report_metrics(context: ContextDep) -> Response:
    """In the text format of Prometheus."""
    registry = CollectorRegistry()
    registry.register(Figures(context))
    content = generate_latest(registry) + generate_latest(REQUESTS)
    return Response(content, media_type=CONTENT_TYPE_LATEST)


class Figures(Collector):
    """The state of the installation, as the database has it."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def collect(self) -> Iterable[Metric]:
        """Every figure, from one state of the database."""
        with self.context.database.read() as session:
            yield from _count_submissions(session)
            yield from _measure_queue(session)
            yield from _count_runs(session)
            yield from _measure_times(session)
        led = is_led(self.context.database, self.context.settings.data)
        yield GaugeMetricFamily(
            "autodl_reconciler_leading", "Whether a process decides what runs.", value=float(led)
        )


def _count_submissions(session: Session) -> Iterable[Metric]:
    family = GaugeMetricFamily("autodl_submissions", "Submissions, by state.", labels=["state"])
    query = select(Submission.state, func.count()).group_by(Submission.state)
    counts = {key: count for key, count in session.execute(query)}
    for state in SubmissionState:
        family.add_metric([state.value], counts.get(state, 0))
    yield family


def _measure_queue(session: Session) -> Iterable[Metric]:
    depth = GaugeMetricFamily(
        "autodl_queue_depth", "Submissions that wait for a run of a kind.", labels=["kind"]
    )
    oldest = GaugeMetricFamily(
        "autodl_queue_oldest_seconds", "The longest wait of those that wait now.", labels=["kind"]
    )
    for kind, state in WAITING.items():
        busy = select(Run.id).where(Run.id == Submission.current_run_id, Run.state.in_(LIVE))
        query = select(func.count(), func.min(Submission.created_at)).where(
            Submission.state == state, ~busy.exists()
        )
        count, since = session.execute(query).one()
        depth.add_metric([kind.value], count)
        oldest.add_metric([kind.value], (utc_now() - since).total_seconds() if since else 0.0)
    yield from (depth, oldest)


def _count_runs(session: Session) -> Iterable[Metric]:
    live = GaugeMetricFamily("autodl_runs", "Runs at work, by kind.", labels=["kind"])
    query = select(Run.kind, func.count()).where(Run.state.in_(LIVE)).group_by(Run.kind)
    counts = {key: count for key, count in session.execute(query)}
    for kind in RunKind:
        live.add_metric([kind.value], counts.get(kind, 0))
    late = select(func.count()).where(Run.state.in_(LIVE), Run.deadline < utc_now())
    overdue = GaugeMetricFamily(
        "autodl_runs_overdue", "Runs past all their limits.", value=session.scalar(late) or 0
    )
    end = Run.outcome["end"].as_string()
    ended = GaugeMetricFamily(
        "autodl_runs_ended", "Runs that ended in the last hour, by how they did.", labels=["end"]
    )
    lately = select(end, func.count()).where(Run.ended_at >= utc_now() - WINDOW).group_by(end)
    for name, count in session.execute(lately):
        ended.add_metric([name or "unknown"], count)
    yield from (live, overdue, ended)


def _measure_times(session: Session) -> Iterable[Metric]:
    since = utc_now() - WINDOW
    started = select(Run.created_at, Run.started_at, Run.submission_id).where(
        Run.started_at >= since, Run.kind == RunKind.SOLVE
    )
    waits = [_seconds(made, begun) for made, begun, _ in session.execute(started)]
    yield _quantiles("autodl_start_seconds", "From a run's creation to its work, last hour.", waits)
    ended = select(Submission.result, Submission.budget_seconds).where(
        Submission.ended_at >= since, Submission.state == SubmissionState.SUCCEEDED
    )
    over = [
        max(0.0, result["duration_seconds"] - budget)
        for result, budget in session.execute(ended)
        if result and result.get("duration_seconds") is not None
    ]
    yield _quantiles(
        "autodl_run_budget_overrun_seconds", "Beyond the budget, of the last hour's.", over
    )


def _seconds(start: datetime, end: datetime | None) -> float:
    return (end - start).total_seconds() if end is not None else 0.0


def _quantiles(name: str, text: str, values: Sequence[float]) -> Metric:
    """Median, 95 % and the largest; none where nothing was measured."""
    family = GaugeMetricFamily(name, text, labels=["quantile"])
    ordered = sorted(values)
    for quantile in (0.5, 0.95, 1.0) if ordered else ():
        place = min(len(ordered) - 1, int(quantile * len(ordered)))
        family.add_metric([f"{quantile:g}"], ordered[place])
    return family


REQUESTS = CollectorRegistry()
DURATION = Histogram(
    "http_server_request_duration_seconds",  # OpenTelemetry's http.server.request.duration
    "From the first byte of a request to the last of its answer.",
    ["http_request_method", "http_route", "http_response_status_code"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600),
    registry=REQUESTS,
)


class Measured:
    """Middleware: observes how long each request took; routes by their template."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = time.monotonic(), 0

        async def send_seen(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_seen)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            DURATION.labels(scope["method"], route, status).observe(time.monotonic() - start)
