"""A clock that is set is noticed once, and by how much; one that drifts is not."""

import time
from datetime import timedelta

from service.clock import Clock


def test_a_jump_is_told_once(monkeypatch) -> None:
    clock = Clock()
    assert clock.read_jump() == timedelta(0)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3600)
    assert abs(clock.read_jump() - timedelta(hours=1)) < timedelta(seconds=2)
    assert clock.read_jump() == timedelta(0)
    monkeypatch.setattr(time, "time", real)
    assert abs(clock.read_jump() + timedelta(hours=1)) < timedelta(seconds=2)


def test_a_little_is_no_matter(monkeypatch) -> None:
    clock = Clock()
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 2)
    assert clock.read_jump() == timedelta(0)
