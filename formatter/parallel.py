"""Work on a stream with every core, in order and in bounded memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 3  # groups a thread may be ahead of the consumer
GROUP_BYTES = 1 << 20  # one hand-over between threads costs as much as a small image
GROUP_ITEMS = 64


def map_in_order(
    act: Callable[[T], R], items: Iterable[T], size: Callable[[T], int], jobs: int | None
) -> Iterator[R]:
    """``act`` of every item, in order; what it raises is raised here, at its group's turn.

    ``size`` of an item in bytes decides how many neighbours one thread takes at once.
    """
    workers = jobs or os.cpu_count() or 1
    waiting: deque[Future[list[R]]] = deque()

    def act_on(group: list[T]) -> list[R]:
        return [act(item) for item in group]

    with ThreadPoolExecutor(workers) as pool:
        try:
            for group in _groups(items, size):
                waiting.append(pool.submit(act_on, group))
                if len(waiting) > workers * AHEAD:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _groups(items: Iterable[T], size: Callable[[T], int]) -> Iterator[list[T]]:
    group: list[T] = []
    total = 0
    for item in items:
        group.append(item)
        total += size(item)
        if total >= GROUP_BYTES or len(group) == GROUP_ITEMS:
            yield group
            group, total = [], 0
    if group:
        yield group
