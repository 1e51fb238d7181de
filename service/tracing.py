"""Traces (OpenTelemetry) from an upload to its score, sent to ``OTEL_EXPORTER_OTLP_ENDPOINT``.

Without that variable nothing is recorded. FastAPI makes the span of each request; the one that
began an upload leaves its ``traceparent`` (W3C Trace Context) in the upload's row, from where it
goes on to the submission's, and everything that happens to that joins its trace. A run's programs
reach no collector: they report when each of them worked, and the reconciler makes spans of it.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from sqlalchemy import select

from autodl.errors import UsageError
from service.models import Run, RunKind, Submission

if TYPE_CHECKING:
    from fastapi.telemetry import TelemetryConfig
    from sqlalchemy.orm import Session

    from service.db import Database
    from service.settings import Settings

PROPAGATOR = TraceContextTextMapPropagator()
UNTRACED = ("/healthz", "/readyz", "/internal/metrics", "/static/")
#: of FastAPI's own; metrics are Prometheus' here, and logs structlog's
REQUESTS: TelemetryConfig = {
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "exclude": lambda scope: scope.get("path", "").startswith(UNTRACED),
}


def configure(settings: Settings, program: str) -> None:
    """Record the spans of this process, if the operator wants it.

    Raises ``UsageError`` (``tracing-unavailable``) where the extra ``tracing`` is not installed.
    """
    if not settings.otlp_endpoint:
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise UsageError(
            "tracing-unavailable",
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, but OpenTelemetry's SDK is not installed.",
            hint="Install autodl-self-service[tracing], or unset the variable.",
        ) from error
    provider = TracerProvider(resource=Resource.create({"service.name": f"autodl-{program}"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


def is_on() -> bool:
    """Whether this process records spans."""
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def current() -> str | None:
    """The ``traceparent`` of the span at work; ``None`` without one."""
    carrier: dict[str, str] = {}
    PROPAGATOR.inject(carrier)
    return carrier.get("traceparent")


def ids(traceparent: str | None) -> dict[str, str]:
    """The field ``trace_id`` of a line in the log, if there is one."""
    return {"trace_id": traceparent.split("-")[1]} if traceparent else {}


def record(
    parent: str | None, name: str, began: datetime, ended: datetime, **attributes: Any
) -> str | None:
    """A span of what is over, below ``parent``; its own ``traceparent``, for those below it."""
    if parent is None:
        return None
    span = trace.get_tracer(__name__).start_span(
        name,
        PROPAGATOR.extract({"traceparent": parent}),
        attributes={f"autodl.{key}": value for key, value in attributes.items()},
        start_time=_nanoseconds(began),
    )
    span.end(_nanoseconds(max(began, ended)))
    carrier: dict[str, str] = {}
    PROPAGATOR.inject(carrier, trace.set_span_in_context(span))
    return carrier.get("traceparent")


def record_runs(database: Database, run_ids: Collection[str]) -> None:
    """Runs that have just ended: how long each waited and worked, and each of its programs."""
    query = select(Submission, Run).join(Run, Run.submission_id == Submission.id)
    traced = query.where(Run.id.in_(run_ids), Submission.traceparent.is_not(None))
    with database.read() as session:
        for submission, run in session.execute(traced):
            _record_run(submission, run, _find_begin(session, submission, run))


def _find_begin(session: Session, submission: Submission, run: Run) -> datetime:
    """When the run could have begun, had there been a slot."""
    before = select(Run.ended_at).where(
        Run.submission_id == submission.id, Run.number == run.number - 1
    )
    return session.scalar(before) or submission.created_at


def _record_run(submission: Submission, run: Run, since: datetime) -> None:
    parent, ended = submission.traceparent, run.ended_at or since
    began = run.started_at or ended
    about = {"submission_id": submission.id, "run_id": run.id}
    record(parent, "queue", since, began, kind=run.kind.value, **about)
    name = "check" if run.kind is RunKind.CHECK else "run"
    end = (run.outcome or {}).get("end", "unknown")
    own = record(parent, name, began, ended, end=end, executor=run.executor, **about)
    for step, (start, stop) in (run.steps or {}).items():
        record(own, step, _from_epoch(start), _from_epoch(stop) if stop else ended, **about)


def _from_epoch(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _nanoseconds(at: datetime) -> int:
    return round(at.timestamp() * 1e9)
