"""What came of ``benchmarks/month.py``: waits, fairness, use, and what was lost."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy import func, select

from service.models import Run, Submission, Transition
from service.submissions import service

if TYPE_CHECKING:
    from benchmarks.month import World

DAY, HOUR = 86_400.0, 3600.0  # seconds
WINDOW_SECONDS = 6 * HOUR  # of the fairness figure
GRID_SECONDS = 600.0  # at which it is asked who waits


def jain(shares: np.ndarray) -> float:
    """Jain's index (Jain, Chiu, Hawe 1984): 1 when all are equal, 1/n when one has everything."""
    return float(shares.sum() ** 2 / (len(shares) * (shares**2).sum()))


def measure_fairness(world: World) -> dict:
    """Jain's index over the shares of those who contend, of windows of six hours.

    A share is GPU seconds received over those that max-min fair sharing grants to the demand. An
    account contends in a window if it has something waiting all through it: its demand is above any
    fair share there, so that all who contend are granted the same, and it cancels.
    """
    span = world.now
    window = min(WINDOW_SECONDS, max(WINDOW_SECONDS / 2, world.options.days * DAY / 20))
    points = math.ceil(window / GRID_SECONDS)  # of a window, which begins and ends with one
    grid = window / points
    users, ends = world.options.users, read_ends(world)
    waiting = np.zeros((int(span / grid) + 2, users), np.int32)
    for asked in world.asked:
        until = ends[asked.id] if asked.began is None else asked.began
        first, last = int(asked.at / grid) + 1, int(until / grid) + 1
        if first < last:
            waiting[first, asked.user] += 1
            waiting[last, asked.user] -= 1
    waits = waiting.cumsum(axis=0) > 0
    received = np.zeros((int(span / window) + 1, users))
    for user, begin, end in world.pods.served:
        for number in range(int(begin / window), int(end / window) + 1):
            inside = min(end, (number + 1) * window) - max(begin, number * window)
            received[number, user] += max(0.0, inside)
    indices, contenders = [], []
    for number in range(len(received) - 1):
        contending = waits[number * points : (number + 1) * points].all(axis=0)
        if contending.sum() >= 2:
            indices.append(jain(received[number, contending]))
            contenders.append(int(contending.sum()))
    if not indices:
        return {"windows": 0}
    return {
        "windows": len(indices),
        "window_hours": window / HOUR,
        "contending_accounts_median": float(np.median(contenders)),
        "jain_mean": round(float(np.mean(indices)), 4),
        "jain_worst": round(min(indices), 4),
    }


def read_ends(world: World) -> dict[str, float]:
    """When each submission ended, in seconds from the beginning."""
    with world.database.read() as session:
        rows = session.execute(select(Submission.id, Submission.ended_at))
        return {i: (at - world.begin).total_seconds() if at else world.now for i, at in rows}


def measure_waits(world: World) -> dict:
    """From acceptance to the first second on a GPU, in minutes, by class of users."""
    waits: dict[str, list[float]] = defaultdict(list)
    for asked in world.asked:
        if asked.began is not None:
            minutes = (asked.began - asked.at) / 60
            waits["all"].append(minutes)
            waits[world.classes[asked.user]].append(minutes)
    return {
        name: {
            "started": len(values),
            "median_minutes": round(float(np.median(values)), 1),
            "p95_minutes": round(float(np.quantile(values, 0.95)), 1),
            "max_minutes": round(max(values), 1),
        }
        for name, values in sorted(waits.items())
    }


def audit(world: World) -> dict:
    """What the database says at the end; nothing of it is the simulation's own count."""
    with world.database.read() as session:
        states = select(Submission.state, func.count()).group_by(Submission.state)
        by_state = {state.value: n for state, n in session.execute(states)}
        ends = (
            select(Transition.submission_id)
            .where(Transition.to_state.in_(service.ENDED))
            .group_by(Transition.submission_id)
            .having(func.count() > 1)
        )
        doubled = len(session.execute(ends).all())
        open_ = select(func.count()).where(Submission.state.not_in(service.ENDED))
        code = Submission.error["code"].as_string()
        given_up = select(func.count()).where(Submission.ended_at.is_not(None), code == "run-lost")
        runs = select(Run.kind, func.count()).group_by(Run.kind)
        return {
            "states": by_state,
            "runs": {kind.value: n for kind, n in session.execute(runs)},
            "lost": world.options.submissions - sum(by_state.values()) + session.scalar(open_),
            "doubled": doubled + sum(n > 1 for n in world.pods.ended.values()),
            "given_up_after_three_runs": session.scalar(given_up),
        }


def report(world: World, wall: float) -> dict:
    ticks = np.array(world.ticks) * 1000
    span = world.options.days * DAY
    return {
        "submissions": world.options.submissions,
        "users": world.options.users,
        "days": round(world.options.days, 2),
        "gpus": world.pods.gpus,
        "database": "SQLite" if world.database.is_sqlite else "PostgreSQL",
        "poll_seconds": world.options.poll,
        "waits": measure_waits(world),
        "fairness": measure_fairness(world),
        "utilisation": world.pods.measure_use(span),
        **audit(world),
        "faults": dict(sorted((world.counts + world.pods.counts).items())),
        "wall_seconds": round(wall, 1),
        "processor_seconds": round(time.process_time(), 1),
        "rounds": len(ticks),
        "round_ms": {
            "median": round(float(np.median(ticks)), 2),
            "p95": round(float(np.quantile(ticks, 0.95)), 2),
            "max": round(float(ticks.max()), 1),
        },
    }
