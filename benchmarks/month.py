"""A month of a busy cluster in minutes: the real reconciler and database, simulated pods and clock.

    python -m benchmarks.month [--submissions 100000] [--users 500] [--days 30] [--database URL]

500 users send 10^5 submissions to 8 nodes of 8 GPUs: by day more than by night, a few by scripts,
and before three deadlines all at once. Nodes fail, pods are evicted, the cluster's API is away, the
leader is killed between asking for a run and noting it, users cancel, and runs that were given up
go on and try to record a result. Everything goes through the calls that the service itself uses.

Interrupted (Ctrl-C), the month ends early: what has been sent is played to its end. Writes
``benchmarks/results/month.json`` and ``month.md`` with ``--write``. See ``docs/scale.md``.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import math
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from heapq import heapify, heappop, heappush
from itertools import count
from pathlib import Path

import psutil
import structlog
from sqlalchemy import event

from autodl.errors import UsageError
from benchmarks.month_figures import report
from benchmarks.month_pods import Crash, Pods
from service.db import Database, migrate
from service.models import Account, Upload
from service.reconciler import Reconciler
from service.settings import Settings
from service.storage import FileStorage
from service.submissions import asking, service
from tests.clock import Clock, simulated

BEGIN = datetime(2026, 6, 1, tzinfo=UTC)
RESULTS = Path(__file__).parent / "results"
DAY, HOUR = 86_400.0, 3600.0  # seconds
#: share of the users, and how many submissions each of them has for one of a light user's
CLASSES = {"light": (0.70, 1.0), "regular": (0.25, 4.0), "heavy": (0.05, 30.0)}
BUDGETS = {1200.0: 0.70, 1800.0: 0.15, 300.0: 0.10, 3600.0: 0.05}  # seconds
BURSTS = (0.25, 0.55, 0.85)  # of the month: deadlines
BURST_SHARE = 0.25  # of all submissions, within the hours before the deadlines
BURST_SECONDS = 6 * HOUR
CANCELED = 0.015
QUIET_ROUNDS = 3  # of the reconciler, after which nothing changes by itself


@dataclass
class Asked:
    """One submission of the month."""

    user: int
    at: float
    budget: float
    id: str = ""
    began: float | None = None  #: when its solution first got a GPU


@dataclass
class World:
    """The installation under test, and everything that happens to it, in seconds from BEGIN."""

    options: argparse.Namespace
    folder: Path
    clock: Clock
    random: random.Random = field(init=False)
    begin: datetime = BEGIN
    now: float = 0.0

    def __post_init__(self) -> None:
        options = self.options
        self.random = random.Random(options.seed)
        self.settings = Settings(data=self.folder, database_url=options.database, gpus=())
        self.database = Database(self.settings.effective_database_url)
        if self.database.is_sqlite:
            event.listen(self.database.engine, "connect", _do_not_wait_for_the_disk)
        migrate(self.database)
        self.storage = FileStorage(self.folder / "storage")
        self.pods = Pods(self)
        self.asked: list[Asked] = []
        self.accounts: list[str] = []
        self.classes: list[str] = []
        self.ticks: list[float] = []  # wall seconds of each round
        self.counts: Counter[str] = Counter()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self.restart()

    def at(self, second: float, act: Callable[[], None]) -> None:
        """Do it then."""
        heappush(self._events, (second, next(self._numbers), act))

    def restart(self) -> None:
        """Another process leads, which remembers nothing."""
        self.reconciler = Reconciler(self.settings, self.database, self.storage, self.pods)

    def play(self) -> None:
        """Until nothing is left to happen and everything has ended."""
        step = self.options.poll
        limit = (self.options.days + 14) * DAY
        planned = next(self._numbers)
        round_, quiet = 0, 0
        while self._events or quiet < QUIET_ROUNDS:
            if quiet >= QUIET_ROUNDS:  # on to the next thing that happens
                round_ = max(round_, int(self._events[0][0] / step))
            if self.options.cut.is_set():
                self.options.cut.clear()
                self._cut(planned)
            round_ += 1
            assert round_ * step < limit, "something never ends"
            quiet += 1
            while self._events and self._events[0][0] <= round_ * step:
                due, _, act = heappop(self._events)
                self._set(due)
                act()
                quiet = 0
            self._set(round_ * step)
            self._tick()

    def _cut(self, planned: int) -> None:
        """Nothing more of the plan happens; what has begun comes to its end."""
        self._events = [event for event in self._events if event[1] > planned]
        heapify(self._events)
        self.pods.is_away = False
        self.asked = [asked for asked in self.asked if asked.id]
        self.options.submissions, self.options.days = len(self.asked), self.now / DAY

    def _set(self, now: float) -> None:
        self.now = now
        self.clock.at = BEGIN + timedelta(seconds=now)

    def _tick(self) -> None:
        began = time.perf_counter()
        try:
            self.reconciler.tick()
        except Crash:
            self.counts["leader killed"] += 1
            self.restart()
        self.ticks.append(time.perf_counter() - began)

    def submit(self, index: int) -> None:
        asked = self.asked[index]
        bundle = Upload(key=f"uploads/{index}/bundle.zip", size_bytes=10**6, sha256="0" * 64)
        request = asking.Request("month", asked.budget, "winner")
        with self.database.write() as session:
            account_id = self.accounts[asked.user]
            asked.id = service.create_submission(session, account_id, request, bundle).id

    def cancel(self, index: int) -> None:
        asked = self.asked[index]
        try:
            with self.database.write() as session:
                service.cancel_submission(session, self.accounts[asked.user], asked.id)
        except UsageError:
            return  # it has ended
        self.counts["canceled while unfinished"] += 1


def _do_not_wait_for_the_disk(connection: object, _record: object) -> None:
    connection.execute("PRAGMA synchronous=OFF")  # type: ignore[attr-defined]  # nobody pulls the plug


def draw_month(world: World) -> None:
    """Who sends what and when, and what goes wrong."""
    options, rng = world.options, world.random
    for name, (share, _) in CLASSES.items():
        world.classes += [name] * round(share * options.users)
    world.classes = (world.classes + ["light"] * options.users)[: options.users]
    with world.database.write() as session:
        made = [Account(name=f"user {n}") for n in range(options.users)]
        session.add_all(made)
        session.flush()
        world.accounts = [account.id for account in made]
    span = options.days * DAY
    users = range(options.users)
    weights = [CLASSES[name][1] for name in world.classes]
    rushing = rng.sample(users, max(2, options.users * 3 // 10))
    budgets, chances = list(BUDGETS), list(BUDGETS.values())
    while len(world.asked) < options.submissions:
        if rng.random() < BURST_SHARE:
            user, at = rng.choice(rushing), rng.choice(BURSTS) * span - _rush(rng, span)
        else:
            (user,) = rng.choices(users, weights)
            at = _draw_hour(rng, span)
        many = rng.randint(10, 60) if world.classes[user] == "heavy" else rng.choice((1, 1, 2, 3))
        for budget in rng.choices(budgets, chances, k=many):
            world.asked.append(Asked(user, at, budget))
    del world.asked[options.submissions :]
    world.asked.sort(key=lambda asked: asked.at)
    for index, asked in enumerate(world.asked):
        world.at(asked.at, lambda index=index: world.submit(index))  # type: ignore[misc]
        if rng.random() < CANCELED:
            later = asked.at + rng.uniform(1, 2 * HOUR)
            world.at(later, lambda index=index: world.cancel(index))  # type: ignore[misc]
    for day in range(math.ceil(options.days)):
        world.at((day + rng.random()) * min(DAY, span), world.restart)
        world.at(day * DAY, lambda day=day: print(f"day {day + 1}", file=sys.stderr, flush=True))  # type: ignore[misc]
    world.pods.draw_faults(span)


def _rush(rng: random.Random, span: float) -> float:
    return rng.triangular(0, min(BURST_SECONDS, span / 10), 0)


def _draw_hour(rng: random.Random, span: float) -> float:
    """By day three times as much as by night, at weekends half."""
    while True:
        at = rng.uniform(0, span)
        day, hour = at // DAY % 7, at % DAY / HOUR
        rate = (1.0 if 8 <= hour < 20 else 0.33) * (0.5 if day >= 5 else 1.0)
        if rng.random() < rate:
            return at


def simulate(options: argparse.Namespace, folder: Path) -> dict:
    """The whole month; raises ``AssertionError`` where something never ends."""
    began = time.perf_counter()
    with simulated(BEGIN) as clock:
        world = World(options, folder, clock)
        try:
            draw_month(world)
            gc.freeze()  # a month of plans is no garbage, and looked through again and again
            world.play()
            return report(world, time.perf_counter() - began)
        finally:
            gc.unfreeze()
            world.database.close()


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--submissions", type=int, default=100_000)
    parser.add_argument("--users", type=int, default=500)
    parser.add_argument("--days", type=float, default=30)
    parser.add_argument("--nodes", type=int, default=8, help="of eight GPUs")
    parser.add_argument("--poll", type=float, default=20.0, help="simulated seconds of a round")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--database", default="", help="a URL; empty: SQLite in a new folder")
    parser.add_argument("--write", action="store_true", help="keep the figures")
    parser.set_defaults(cut=threading.Event())
    return parser.parse_args(arguments)


def write_table(result: dict) -> str:
    """The figures for people."""
    text = f"# A simulated month\n\n`{result['command']}` on {result['machine']}\n\n"
    text += "Waits are from acceptance to the first second on a GPU, in minutes.\n\n"
    text += "| users | started | median | 95 % | longest |\n|---|---|---|---|---|\n"
    for name, waits in result["waits"].items():
        text += f"| {name} | " + " | ".join(f"{value:,g}" for value in waits.values()) + " |\n"
    text += "\n| figure | value |\n|---|---|\n"
    told = {k: v for k, v in result.items() if k not in ("waits", "command", "machine")}
    return text + "".join(f"| {key} | {json.dumps(value)} |\n" for key, value in told.items())


def main() -> None:
    options = parse()
    signal.signal(signal.SIGINT, lambda *_: options.cut.set())
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    load = psutil.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        result = simulate(options, Path(folder) / "data")
    given = [a.partition("://")[0] + "://..." if "://" in a else a for a in sys.argv[1:]]
    command = " ".join(["python -m benchmarks.month", *given])
    machine = f"{os.cpu_count()} processors, load {load:.1f} to {psutil.getloadavg()[0]:.1f}"
    result = {"command": command, "machine": machine} | result
    print(json.dumps(result, indent=1))
    if options.write:
        (RESULTS / "month.json").write_text(json.dumps(result, indent=1) + "\n")
        (RESULTS / "month.md").write_text(write_table(result))


if __name__ == "__main__":
    main()
