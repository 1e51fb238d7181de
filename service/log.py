"""Structured logs: event names are dotted past facts, values are fields.

Text on a terminal, one JSON object a line in containers, always on stderr. No user's file name and
no secret is a field. Only an entry point configures; every module asks ``get_logger`` for its own.
"""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from typing import TextIO, cast

import structlog
from opentelemetry import trace
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger


def configure(log_format: str = "text") -> None:
    """Set up this process: ``text`` or ``json``."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _add_trace,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    rendered: list[Processor] = (
        [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
        if log_format == "json"
        else [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    )
    structlog.configure(
        processors=shared + rendered,
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", _Lossy())),
        cache_logger_on_first_use=True,
    )


class _Lossy:
    """Standard error, but a full disk or a closed pipe behind it costs lines and nothing else."""

    def write(self, text: str) -> None:
        with suppress(OSError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


def _add_trace(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The trace at work, where one is recorded."""
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = f"{context.trace_id:032x}"
    return event


def get_logger() -> FilteringBoundLogger:
    """A logger; bind what stays the same, pass what differs."""
    logger: FilteringBoundLogger = structlog.get_logger()
    return logger
