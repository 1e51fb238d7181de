"""The service's clock, moved by hand: days pass in no time."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, tzinfo
from unittest.mock import patch

from service.models import base


class Clock:
    """Stands in for ``datetime`` where ``utc_now`` asks it for the time."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self, _zone: tzinfo) -> datetime:
        return self.at

    def advance(self, **time: float) -> None:
        """By so many ``seconds=``, ``minutes=``, ..."""
        self.at += timedelta(**time)


@contextmanager
def simulated(at: datetime | None = None) -> Iterator[Clock]:
    """From ``at`` (by default: now) the time stands, but for what the test moves it."""
    clock = Clock(at or base.utc_now())
    with patch.object(base, "datetime", clock):
        yield clock
