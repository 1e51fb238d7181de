"""Work on a stream with every core, in order and in bounded memory."""

from __future__ import annotations

import itertools
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from types import TracebackType
from typing import Any, BinaryIO, TypeVar

from autodl.errors import AutoDLError, PlatformError

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 3  # groups a worker may be ahead of the consumer
GROUP_BYTES = 1 << 20  # one hand-over between processes costs as much as a small image
GROUP_ITEMS = 128
FEW_BYTES = 4 << 20  # worked on sooner than processes start
PIPE_BYTES = 1 << 16
PROTOCOL = pickle.HIGHEST_PROTOCOL  # both ends are this program


def map_in_order(
    act: Callable[[T], R], items: Iterable[T], size: Callable[[T], int], jobs: int | None
) -> Generator[R]:
    """``act`` of every item, in order; an AutoDLError that it raises is raised here, at its turn.

    ``size`` of an item in bytes says how many neighbours a process takes at once. ``act``, items
    and results travel between processes, so they must be picklable.
    Raises PlatformError (``format-worker-died``).
    """
    workers = jobs or os.cpu_count() or 1
    groups = _groups(items, size)
    few = list(_until(groups, lambda group: sum(map(size, group)), FEW_BYTES))
    rest = next(groups, None)
    if rest is None or workers == 1:
        for group in itertools.chain(few, [rest or []], groups):
            yield from map(act, group)
        return
    with ExitStack() as stack:
        pool = [stack.enter_context(_Worker(act)) for _ in range(workers)]
        asked: deque[_Worker] = deque()
        for worker, group in zip(
            itertools.cycle(pool), itertools.chain(few, [rest], groups), strict=False
        ):
            worker.ask(group)
            asked.append(worker)
            if len(asked) == AHEAD * workers:
                yield from asked.popleft().answer()
        while asked:
            yield from asked.popleft().answer()


def threads_in_order(act: Callable[[T], R], items: Iterable[T]) -> Generator[R]:
    """``act`` of every item, in order, by a thread a core, in which it is to leave Python.

    An AutoDLError that ``items`` raises is raised here after the results of those before it.
    """
    workers = os.cpu_count() or 1
    source, end = iter(items), object()
    failure: AutoDLError | None = None
    with ThreadPoolExecutor(workers) as pool:
        coming: deque[Future[R]] = deque()
        while True:
            item: Any = end
            try:
                item = next(source, end)
            except AutoDLError as error:
                failure = error
            if item is not end:
                coming.append(pool.submit(act, item))
            while len(coming) > (workers if item is not end else 0):
                yield coming.popleft().result()
            if failure is not None:
                raise failure
            if item is end:
                return


def ahead(items: Iterable[T]) -> Generator[T]:
    """The same items, the next one being made by a thread while the consumer works."""
    iterator = iter(items)
    end = object()
    with ThreadPoolExecutor(1) as pool:
        coming: deque[Future[Any]] = deque(pool.submit(next, iterator, end) for _ in range(2))
        try:
            while (item := coming.popleft().result()) is not end:
                coming.append(pool.submit(next, iterator, end))
                yield item
        finally:
            for future in coming:
                future.cancel()


def serve() -> None:
    """A worker's life: take the act, then groups, and give back results or the first complaint."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ends when the other end does
    answers = os.fdopen(os.dup(1), "wb", buffering=PIPE_BYTES)
    os.dup2(2, 1)  # whatever a library prints is no answer
    requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
    # taken at once, so that who asks never waits for who answers
    threading.Thread(target=_take, args=(sys.stdin.buffer, requests), daemon=True).start()
    act = requests.get()
    try:
        while (group := requests.get()) is not None:
            answer: object
            try:
                answer = [act(item) for item in group]
            except AutoDLError as error:
                answer = error
            pickle.dump(answer, answers, PROTOCOL)
            answers.flush()
    except BrokenPipeError:
        os._exit(1)  # nobody listens any more


def _take(source: BinaryIO, requests: queue.SimpleQueue[Any]) -> None:
    try:
        while True:
            requests.put(pickle.load(source))  # noqa: S301 our own parent wrote it
    except EOFError:
        requests.put(None)


class _Worker:
    """Another process of this program that runs ``serve``: no fork, which threads do not bear."""

    def __init__(self, act: Callable[[Any], Any]) -> None:
        code = f"import sys; sys.path[:] = {sys.path!r}; import formatter.parallel as p; p.serve()"
        self._process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._act = act

    def __enter__(self) -> _Worker:
        self.ask(self._act)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, request: object) -> None:
        assert self._process.stdin is not None
        try:
            pickle.dump(request, self._process.stdin, PROTOCOL)
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise self._died() from error

    def answer(self) -> list[Any]:
        assert self._process.stdout is not None
        try:
            answer = pickle.load(self._process.stdout)  # noqa: S301 our own child wrote it
        except (EOFError, pickle.UnpicklingError) as error:
            raise self._died() from error
        if isinstance(answer, AutoDLError):
            raise answer
        return list(answer)

    def _died(self) -> PlatformError:
        return PlatformError(
            "format-worker-died",
            f"A process that reads the files ended with status {self._process.wait()}.",
            hint="Most often the memory was used up: format with fewer --jobs.",
        )


def _until(
    groups: Iterator[list[T]], size: Callable[[list[T]], int], most: int
) -> Iterator[list[T]]:
    """Groups, up to the one that makes them as large as ``most``."""
    total = 0
    for group in groups:
        yield group
        total += size(group)
        if total >= most:
            return


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
