"""How often something may be tried: a moving window for each key.

The window lies in this process's memory; several API processes each keep their own. Answers tell
it with the fields ``RateLimit-Policy`` and ``RateLimit`` (draft-ietf-httpapi-ratelimit-headers-10).
"""

from __future__ import annotations

import math
import time

from limits import RateLimitItem, parse_many
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from service.accounts.limits import LimitError


class Rates:
    """Counts attempts against one policy, such as ``10/minute;60/hour``."""

    def __init__(self, name: str, policy: str) -> None:
        self.name = name
        self.limits = sorted(parse_many(policy))  # the shortest window first
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def hit(self, *keys: str) -> dict[str, str]:
        """Count an attempt at each key; returns the fields for the answer.

        Raises ``LimitError`` (``too-many-requests``) when one of them has had its share.
        """
        # All are counted before any is judged: what is refused for one key counts for the others.
        refused = [
            (limit, key)
            for limit in self.limits
            for key in keys
            if not self._limiter.hit(limit, self.name, key)
        ]
        if refused:
            limit, key = refused[-1]
            wait_seconds = max(1.0, self._find_wait(limit, key))
            raise LimitError(
                "too-many-requests",
                f"That was tried too often. Try again in {math.ceil(wait_seconds)} seconds.",
                retry_after_seconds=wait_seconds,
                headers=self._fields(limit, 0, wait_seconds),
            )
        limit, key = min(
            ((limit, key) for limit in self.limits for key in keys),
            key=lambda pair: self._count_left(*pair),
        )
        return self._fields(limit, self._count_left(limit, key), self._find_wait(limit, key))

    def _count_left(self, limit: RateLimitItem, key: str) -> int:
        return self._limiter.get_window_stats(limit, self.name, key).remaining

    def _find_wait(self, limit: RateLimitItem, key: str) -> float:
        return self._limiter.get_window_stats(limit, self.name, key).reset_time - time.time()

    def _fields(self, limit: RateLimitItem, left: int, seconds: float) -> dict[str, str]:
        policies = ", ".join(f'"{self.name}";q={i.amount};w={i.get_expiry()}' for i in self.limits)
        now = f'"{self.name}";r={left};t={max(0, math.ceil(seconds))}'
        return {"RateLimit-Policy": policies, "RateLimit": now}
