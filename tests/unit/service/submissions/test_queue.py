"""The estimate of when one's turn comes: an interval that holds as often as it says."""

import numpy as np
import pytest

from service.submissions.queue import GUESSES, estimate_starts


def play(random, running, budgets, slots: int, draw) -> list[float]:
    """When each waiting job really starts, for one course of the world."""
    free = [max(0.0, total - elapsed) for elapsed, total in running]
    free += [0.0] * (slots - len(free))
    starts = []
    for budget in budgets:
        first = int(np.argmin(free))
        starts.append(free[first])
        free[first] += draw(random) * budget
    return starts


@pytest.mark.parametrize("slots", [1, 3])
def test_four_of_five_starts_lie_in_their_interval(slots) -> None:
    """A thousand queues of runs whose lengths are as those of the history."""
    random = np.random.default_rng(7)

    def draw(random) -> float:
        return float(random.beta(2, 3))

    history = [draw(random) for _ in range(200)]
    hits = total = 0
    for _ in range(250):
        budgets = random.choice([60.0, 600.0, 1200.0], 12)
        running, truth = [], []
        for _ in range(slots):  # each seen at a random moment of its life
            whole, budget = draw(random) * 1200, 1200.0
            elapsed = random.uniform(0, whole)
            running.append((elapsed, budget))
            truth.append((elapsed, whole))
        starts = play(random, truth, budgets, slots, draw)
        intervals = estimate_starts(running, budgets, slots, history)
        for start, (low, high) in zip(starts[1:], intervals[1:], strict=True):
            hits += bool(low <= start <= high)
            total += 1
    assert 0.7 <= hits / total <= 0.9


def test_with_a_free_slot_one_starts_at_once() -> None:
    intervals = estimate_starts([(10.0, 60.0)], [60.0, 60.0], 2, GUESSES)
    assert intervals[0] == (0, 0)
    assert intervals[1][1] > 0


def test_a_run_that_takes_longer_than_any_before_is_expected_to_end_now() -> None:
    intervals = estimate_starts([(10_000.0, 60.0)], [60.0], 1, [0.5])
    assert intervals[0] == (0, 0)


def test_intervals_only_grow_along_the_queue() -> None:
    intervals = estimate_starts([], [60.0] * 30, 1, GUESSES)
    assert all(low <= high for low, high in intervals)
    highs = [high for _, high in intervals]
    assert highs == sorted(highs)


def test_an_empty_queue_has_no_intervals() -> None:
    assert estimate_starts([], [], 1, GUESSES) == []
