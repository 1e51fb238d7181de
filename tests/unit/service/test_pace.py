"""A round is due after a pause, at a change, or never again."""

import threading

import pytest

from service.pace import Pace


class Still:
    """Cannot tell of changes."""


class Told:
    """Tells of a change whenever a test does."""

    def __init__(self) -> None:
        self.news = threading.Semaphore(0)
        self.over: threading.Event | None = None

    def watch(self, wake: threading.Event, over: threading.Event) -> None:
        self.over = over
        while self.news.acquire() and not over.is_set():
            wake.set()


@pytest.mark.parametrize("executor", [Still(), Told()])
def test_without_news_the_pause_passes(executor) -> None:
    with Pace(0.01, executor) as pace:
        assert pace.wait(threading.Event()) is False


@pytest.mark.parametrize("executor", [Still(), Told()])
def test_a_stop_ends_the_longest_pause(executor) -> None:
    stop = threading.Event()
    stop.set()
    with Pace(1e6, executor) as pace:
        assert pace.wait(stop) is True


def test_news_end_a_pause_each() -> None:
    executor = Told()
    with Pace(1e6, executor) as pace:
        for _ in range(2):
            executor.news.release()
            assert pace.wait(threading.Event()) is False  # else it would last for days
    assert executor.over is not None
    assert executor.over.is_set()
    executor.news.release()
