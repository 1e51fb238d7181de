"""Work that hangs or takes all the memory is given up; all else passes through."""

import threading
import time

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from winner_solution import config, guard, machine
from winner_solution.budget import OutOfTimeError
from winner_solution.guard import StuckError
from winner_solution.machine import cores, free_memory, measure_speed


def test_results_and_exceptions_pass_through() -> None:
    assert guard.guard(lambda: 7, 60) == 7
    with pytest.raises(ZeroDivisionError):
        guard.guard(lambda: 1 / 0, 60)


def test_work_that_hangs_in_a_call_is_given_up() -> None:
    released = threading.Event()
    with pytest.raises(StuckError, match="not back"):
        guard.guard(released.wait, 0.2)
    released.set()


def test_work_that_is_given_up_is_stopped() -> None:
    stopped = threading.Event()

    def work() -> None:
        try:
            while True:
                time.sleep(0.01)
        except OutOfTimeError:
            stopped.set()

    with pytest.raises(StuckError):
        guard.guard(work, 0.2)
    assert stopped.wait(60)


def test_work_that_takes_the_memory_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "free_memory", lambda: 0)
    monkeypatch.setattr(config, "GUARD_LOOK_SECONDS", 0.05)
    released = threading.Event()
    with pytest.raises(StuckError, match="memory"):
        guard.guard(released.wait, 60)
    released.set()


def test_the_machine_is_measured() -> None:
    assert cores() >= 1
    assert 0 < free_memory() < 1 << 62
    assert 0.2 <= measure_speed() <= 10


def test_the_machine_is_measured_on_one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []
    sort = np.sort

    def look(values):
        pools = threadpool_info()
        threads.extend(pool["num_threads"] for pool in pools if pool["user_api"] == "blas")
        return sort(values)

    monkeypatch.setattr(machine.np, "sort", look)
    measure_speed()
    assert set(threads) == {1}
