"""Tries to reach what a run must not reach: ``python -m service.worker.canary HOST:PORT ...``.

Ends with 0 when every attempt failed, so that a network policy that nobody enforces is noticed.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence

PATIENCE_SECONDS = 5.0


def find_reachable(places: Sequence[str]) -> list[str]:
    """Those of the ``host:port`` that took a connection."""
    return [place for place in places if _reaches(place)]


def _reaches(place: str) -> bool:
    host, _, port = place.rpartition(":")
    try:
        socket.create_connection((host, int(port)), PATIENCE_SECONDS).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    reached = find_reachable(sys.argv[1:])
    print("\n".join(f"{place} was reached" for place in reached) or "nothing was reached")  # noqa: T201
    sys.exit(1 if reached else 0)
