"""Supervise an ingestion: our own hard clock, its limits, and whose fault its end was.

The solution runs in a child process with an environment of its own. Everything it may use is
watched from here, and at the end its whole process tree is gone. The process that calls ``solve``
starts no other children meanwhile: the tree is found among its descendants.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from autodl import confine
from autodl.errors import AutoDLError
from autodl.predictions import read_start
from autodl.processes import BoundedLog, ProcessTree
from autodl.untrusted import remove_tree, takes_more, write_over
from autodl.verdict import DEFAULT_LIMITS, MAX_FILES, End, Evidence, describe, judge
from autodl.verdict import Limits as Limits

POLL_SECONDS = 0.05
MEASURE_SECONDS = 0.25
DISK_SECONDS = 1.0
GRACE_SECONDS = 2.0  # between TERM and KILL
JOIN_SECONDS = 5.0  # for a measurement under way
ALARM_SECONDS = 5.0  # what ingestion's own alarm gets before we end a construction
SOLVE_NAME, LOG_NAME, SCRATCH_NAME = "solve.json", "log.txt", "scratch"


@dataclass(frozen=True)
class Outcome:
    """How an ingestion ended: ``error`` is None when it ended by itself or by the budget.

    ``exit_code`` is negative for a signal, None if killing did not help; seconds count from the
    ingestion's start; ``confinement`` says what held ``files`` and ``network``.
    """

    end: End
    error: AutoDLError | None
    exit_code: int | None
    seconds: float
    construction_seconds: float
    first_prediction_seconds: float | None
    predictions: int
    peak_rss_bytes: int
    confinement: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return plain values; the error as ``family``, code, message, hint."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return values | {"error": None if self.error is None else describe(self.error)}


def solve(
    public: Path,
    solution: Path,
    output: Path,
    *,
    budget_seconds: float,
    construction_seconds: float = 1200.0,
    gpu: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Outcome:
    """Ingest in a confined child process, and end all of its tree when its time is over.

    ``public`` is a bundle without test labels, ``gpu`` what CUDA_VISIBLE_DEVICES is to say. The
    budget counts from ``start.txt``; TERM goes out when it ends, KILL after two seconds, and what
    was completed before counts. Writes the log, and last ``solve.json``, into ``output``.
    """
    output.mkdir(parents=True, exist_ok=True)
    supervisor = _Supervisor(output, budget_seconds, construction_seconds, limits)
    with _scratch(output) as scratch:
        plan = confine.make_plan(
            read=(public, solution),
            write=(output,),
            file_bytes=limits.disk_bytes,
            with_gpu=gpu is not None,
        )
        command = [sys.executable, "-P", "-m", "autodl.ingest"]
        command += ["--dataset", str(public.absolute())]
        command += ["--solution", str(_private_view(solution, scratch))]
        command += ["--output", str(output.absolute()), "--budget", str(budget_seconds)]
        command += ["--construction", str(construction_seconds)]
        command += ["--confinement", json.dumps(plan.strength.to_json())]
        environment = _environment(scratch, gpu)
        outcome = supervisor.supervise(plan.command(command), environment, scratch)
    outcome = replace(outcome, confinement=plan.strength.to_json())
    write_over(output / SOLVE_NAME, json.dumps(outcome.to_json()).encode() + b"\n")
    return outcome


@contextmanager
def _scratch(output: Path) -> Iterator[Path]:
    """Give the solution a home inside its output, where the disk limit sees it."""
    scratch = output.absolute() / SCRATCH_NAME
    scratch.mkdir()
    try:
        yield scratch
    finally:
        remove_tree(scratch)


def _private_view(solution: Path, scratch: Path) -> Path:
    """Link to the solution from a folder of its own, for Python lists a package's parent."""
    view = scratch / "solution"
    view.mkdir()
    link = view / solution.resolve().name
    link.symlink_to(solution.resolve())
    return link


def _environment(scratch: Path, gpu: str | None) -> dict[str, str]:
    """Nothing of ours is inherited: no token, no address, no path."""
    return {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.defpath]),
        "HOME": str(scratch),
        "USER": "solution",
        "TMPDIR": str(scratch),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "CUDA_VISIBLE_DEVICES": gpu or "",
    }


class _Meter(threading.Thread):
    """Measures what the solution uses; ``breach`` names the first limit that it passed.

    In a thread of its own, for measuring can take seconds in the middle of a fork bomb, and the
    clock must not wait for it.
    """

    def __init__(self, tree: ProcessTree, output: Path, limits: Limits) -> None:
        super().__init__(name="meter", daemon=True)
        self.breach: End | None = None
        self.peak_bytes = 0
        self._tree = tree
        self._output = output
        self._limits = limits
        self._over = threading.Event()

    def run(self) -> None:
        """Measure until a limit is passed or ``stop`` is called."""
        disk_at = time.monotonic()
        while self.breach is None:
            self.breach = self._measure()
            if self.breach is None and time.monotonic() >= disk_at:
                disk_at = time.monotonic() + DISK_SECONDS
                if takes_more(self._output, self._limits.disk_bytes, MAX_FILES):
                    self.breach = "disk_full"
            if self._over.wait(MEASURE_SECONDS):
                return

    def stop(self) -> None:
        """Measure no more."""
        self._over.set()

    def _measure(self) -> End | None:
        members = self._tree.members()
        limits, tree = self._limits, self._tree
        if len(members) > limits.processes or sum(p.threads for p in members) > limits.threads:
            return "too_many_processes"
        used = tree.memory_bytes(members, limits.memory_bytes)
        self.peak_bytes = max(self.peak_bytes, used)
        unlinked = tree.unlinked_bytes(members)
        if limits.memory_bytes is not None and max(used, unlinked) > limits.memory_bytes:
            return "out_of_memory"
        return "disk_full" if unlinked > limits.disk_bytes else None


class _Supervisor:
    """Holds one ingestion to its clocks and limits, and tells how it ended."""

    def __init__(
        self, output: Path, budget_seconds: float, construction_seconds: float, limits: Limits
    ) -> None:
        self._output = output
        self._budget_seconds = budget_seconds
        self._construction_seconds = construction_seconds
        self._limits = limits
        self._tree = ProcessTree(kept=True)
        self._meter = _Meter(self._tree, output, limits)
        self._launched = 0.0
        self._not_started = 0.0  # when we last looked and saw no start
        self._started: float | None = None

    def supervise(self, command: list[str], env: dict[str, str], cwd: Path) -> Outcome:
        """Run the command to its end, or to ours."""
        self._launched = self._not_started = time.monotonic()
        pipe = self._tree.start(command, env, cwd)
        log = BoundedLog(pipe, self._output / LOG_NAME, self._limits.log_bytes)
        log.start()
        self._meter.start()
        breach: End | None = None
        try:
            breach = self._watch()
        finally:  # also when we are interrupted ourselves
            self._meter.stop()
            exit_code = self._tree.end(GRACE_SECONDS if breach is not None else 0.0)
            ended = time.monotonic()
            self._meter.join(JOIN_SECONDS)
            log.close()
            pipe.close()
        self._look_for_start(self._not_started)  # it may have come and gone between two looks
        return self._outcome(breach, exit_code, ended)

    def _watch(self) -> End | None:
        """Return the limit that was reached, or None when the ingestion ended by itself."""
        while self._tree.root.poll() is None:
            now = time.monotonic()
            self._look_for_start(now)
            if (breach := self._time_over(now) or self._meter.breach) is not None:
                return breach
            time.sleep(POLL_SECONDS)
        return None

    def _look_for_start(self, now: float) -> None:
        if self._started is None and (self._output / "start.txt").exists():
            self._started = now
        elif self._started is None:
            self._not_started = now

    def _time_over(self, now: float) -> End | None:
        if self._started is not None:
            return "timeout" if now >= self._started + self._budget_seconds else None
        allowed = self._construction_seconds + ALARM_SECONDS
        return "construction_timeout" if now >= self._launched + allowed else None

    def _outcome(self, breach: End | None, exit_code: int | None, ended: float) -> Outcome:
        evidence = Evidence(breach, exit_code, self._meter.peak_bytes, self._limits)
        end, error = judge(evidence, self._output)
        start = read_start(self._output / "start.txt")
        stamps = {} if start is None else start.relative()
        started = ended if self._started is None else self._started
        return Outcome(
            end=end,
            error=error,
            exit_code=exit_code,
            seconds=ended - started,
            construction_seconds=started - self._launched,
            first_prediction_seconds=stamps.get(0),
            predictions=len(stamps),
            peak_rss_bytes=self._meter.peak_bytes,
        )
