"""Supervise an ingestion: our own hard clock, its limits, and whose fault its end was.

The solution runs in a child process with an environment of its own. Everything it may use is
watched from here, and at the end its whole process tree is gone. The process that calls ``solve``
starts no other children meanwhile: the tree is found among its descendants.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from autodl import cgroup, sandbox
from autodl.confine import Plan
from autodl.errors import AutoDLError, UsageError
from autodl.meter import Meter
from autodl.processes import BoundedLog, ProcessTree
from autodl.solutions import packages_of
from autodl.untrusted import remove_tree, write_over
from autodl.verdict import DEFAULT_LIMITS, End, Evidence, describe, judge, read_reason
from autodl.verdict import Limits as Limits

POLL_SECONDS = 0.05
GRACE_SECONDS = 2.0  # between TERM and KILL
JOIN_SECONDS = 5.0  # for a measurement under way
SAVE_SECONDS = 60.0  # for Model.save, after the end of the ingestion
ALARM_SECONDS = 5.0  # what ingestion's own alarm gets before we end a construction
NO_WEIGHTS = "none"
SOLVE_NAME, LOG_NAME, SCRATCH_NAME = "solve.json", "log.txt", "scratch"
RESOURCES_NAME = "resources.json"


@dataclass(frozen=True)
class Equipment:
    """What the operator gives a solution beside time and memory.

    ``gpu`` is what CUDA_VISIBLE_DEVICES is to say; ``weights`` a folder of pretrained weights that
    it may read, or ``none`` if it is to use none at all (AUTODL_WEIGHTS, docs/weights.md).
    """

    gpu: str | None = None
    weights: str | None = None

    @classmethod
    def of(cls, gpu: str | None, weights: str | None) -> Equipment:
        """From what an operator says. UsageError (``path-missing``) where no such folder is."""
        if weights in (None, "", NO_WEIGHTS):
            return cls(gpu, weights or None)
        folder = Path(str(weights)).expanduser().absolute()
        if not folder.is_dir():
            raise UsageError(
                "path-missing",
                f"there is no folder {folder}.",
                hint="Pretrained weights are a folder with weights.json, or `none`.",
            )
        return cls(gpu, str(folder))

    @property
    def folders(self) -> tuple[Path, ...]:
        """What it may read."""
        return () if self.weights in (None, NO_WEIGHTS) else (Path(self.weights or ""),)


NO_EQUIPMENT = Equipment()


@dataclass(frozen=True)
class Outcome:
    """How an ingestion ended: ``error`` is None when it ended by itself or by the budget.

    ``exit_code`` is negative for a signal, None if killing did not help; seconds count from the
    ingestion's start; ``model`` says why no model was kept, None if one was; ``confinement`` what
    held ``files`` and ``network``.
    """

    end: End
    error: AutoDLError | None
    exit_code: int | None
    seconds: float
    construction_seconds: float
    first_prediction_seconds: float | None
    predictions: int
    peak_rss_bytes: int
    model: str | None = None
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
    equipment: Equipment = NO_EQUIPMENT,
    limits: Limits = DEFAULT_LIMITS,
) -> Outcome:
    """Ingest in a confined child process, and end all of its tree when its time is over.

    ``public`` is a bundle without test labels. The budget counts from ``start.txt``; TERM goes out
    when it ends, KILL after two seconds, and what was completed before counts. A model that the
    solution saves after its end is sealed. Writes the log, what was used over time
    (``resources.json``), and last ``solve.json``, into ``output``.
    """
    from autodl import exported  # loads NumPy, which the service does without

    clocks = (budget_seconds, construction_seconds)
    outcome = _ingest(public, solution, output, clocks, equipment, limits)
    missing = exported.seal(output, public, solution, limits.model_bytes)
    outcome = replace(outcome, model=missing)
    write_over(output / SOLVE_NAME, json.dumps(outcome.to_json()).encode() + b"\n")
    return outcome


def predict(
    public: Path,
    solution: Path,
    model: Path,
    output: Path,
    *,
    limit_seconds: float,
    equipment: Equipment = NO_EQUIPMENT,
) -> Outcome:
    """Let a solution load the model that it has saved and predict once, confined as in a run.

    Writes ``NAME.predict_0``, and ``labelled/dataset.predict`` where there is an unlabelled part.
    """
    clocks = (limit_seconds, limit_seconds)
    return _ingest(public, solution, output, clocks, equipment, DEFAULT_LIMITS, model)


def _ingest(
    public: Path,
    solution: Path,
    output: Path,
    clocks: tuple[float, float],
    equipment: Equipment,
    limits: Limits,
    model: Path | None = None,
) -> Outcome:
    """Run ``autodl.ingest`` to its end; ``clocks`` are those of the budget and of construction."""
    output.mkdir(parents=True, exist_ok=True)
    supervisor = _Supervisor(output, clocks, limits, equipment.gpu)
    with _scratch(output) as scratch:
        plan = sandbox.make_plan(
            read=(public, *packages_of(solution), *equipment.folders, *((model,) if model else ())),
            write=(output,),
            file_bytes=limits.disk_bytes,
            gpu=equipment.gpu,
        )
        command = [sys.executable, "-P", "-m", "autodl.ingest"]
        command += ["--dataset", str(public.resolve())]
        command += ["--solution", str(_private_view(solution, scratch))]
        command += ["--output", str(output.resolve()), "--budget", str(clocks[0])]
        command += ["--construction", str(clocks[1])]
        held = sandbox.describe(plan.strength)
        if not limits.memory_bytes:
            held["memory"] = "none"
        command += ["--confinement", json.dumps(held)]
        command += ["--model", str(model.resolve())] if model else []
        environment = _environment(scratch, equipment)
        outcome = supervisor.supervise(plan, command, environment, scratch)
    if model is None:
        usage = supervisor.meter.usage.to_json(outcome.construction_seconds)
        write_over(output / RESOURCES_NAME, json.dumps(usage).encode())
    return replace(outcome, confinement=held)


@contextmanager
def _scratch(output: Path) -> Iterator[Path]:
    """Give the solution a home inside its output, where the disk limit sees it."""
    scratch = output.resolve() / SCRATCH_NAME
    scratch.mkdir()
    try:
        yield scratch
    finally:
        remove_tree(scratch)


def _private_view(solution: Path, scratch: Path) -> Path:
    """Link to the solution from a folder of its own, for Python lists a package's parent."""
    view = scratch / "solution"
    view.mkdir()
    packages = packages_of(solution)
    for package in packages:
        (view / package.name).symlink_to(package)
    inside = next(p for p in packages if solution.resolve().is_relative_to(p))
    return view / inside.name / solution.resolve().relative_to(inside)


def _environment(scratch: Path, equipment: Equipment) -> dict[str, str]:
    """Nothing of ours is inherited: no token, no address, no path."""
    weights = {} if equipment.weights is None else {"AUTODL_WEIGHTS": equipment.weights}
    return weights | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.defpath]),
        "HOME": str(scratch),
        "USER": "solution",
        "TMPDIR": str(scratch),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "CUDA_VISIBLE_DEVICES": sandbox.renumber(equipment.gpu) if equipment.gpu else "",
    }


class _Supervisor:
    """Holds one ingestion to its clocks and limits, and tells how it ended."""

    def __init__(
        self,
        output: Path,
        clocks: tuple[float, float],
        limits: Limits,
        gpu: str | None,
    ) -> None:
        self._output = output
        self._budget_seconds, self._construction_seconds = clocks
        self._limits = limits
        self._tree = ProcessTree(kept=True)
        self.meter = Meter(self._tree, output, limits, gpu)
        self._launched = 0.0
        self._not_started = 0.0  # when we last looked and saw no start
        self._started: float | None = None
        self._ended: float | None = None  # when ingestion said so; then it may save its model

    def supervise(self, plan: Plan, command: list[str], env: dict[str, str], cwd: Path) -> Outcome:
        """Run the command to its end, or to ours."""
        with cgroup.holding(self._limits.memory_bytes) as group:
            return self._supervise(plan, command, env, cwd, group)

    def _supervise(
        self,
        plan: Plan,
        command: list[str],
        env: dict[str, str],
        cwd: Path,
        group: cgroup.MemoryGroup,
    ) -> Outcome:
        self._launched = self._not_started = time.monotonic()
        pipe = self._tree.start(group.enter(sandbox.enclose(plan, command, cwd)), env, cwd)
        log = BoundedLog(pipe, self._output / LOG_NAME, self._limits.log_bytes)
        log.start()
        self.meter.start()
        breach: End | None = None
        try:
            breach = self._watch()
        finally:  # also when we are interrupted ourselves
            self.meter.stop()
            code = self._tree.end(GRACE_SECONDS if breach is not None else 0.0)
            exit_code = sandbox.read_exit_code(plan, code)
            ended = time.monotonic()
            self.meter.join(JOIN_SECONDS)
            log.close()
            pipe.close()
        self._look_for_start(self._not_started)  # it may have come and gone between two looks
        if breach is None and group.has_killed:
            breach = "out_of_memory"
        return self._outcome(breach, exit_code, ended)

    def _watch(self) -> End | None:
        """Return the limit that was reached, or None when the ingestion ended by itself."""
        while self._tree.root.poll() is None:
            now = time.monotonic()
            self._look_for_start(now)
            self._look_for_end(now)
            if (breach := self._time_over(now) or self.meter.breach) is not None:
                return breach
            time.sleep(POLL_SECONDS)
        return None

    def _look_for_start(self, now: float) -> None:
        if self._started is None and (self._output / "start.txt").exists():
            self._started = now
        elif self._started is None:
            self._not_started = now

    def _look_for_end(self, now: float) -> None:
        ended = self._ended is None and (self._output / "end.txt").exists()
        if ended and read_reason(self._output) is not None:
            self._ended = now
            if self._started == now:  # it came and went between two looks
                self._started = self._not_started

    def _time_over(self, now: float) -> End | None:
        if self._ended is not None:
            return "timeout" if now >= self._ended + SAVE_SECONDS else None
        if self._started is not None:
            return "timeout" if now >= self._started + self._budget_seconds else None
        allowed = self._construction_seconds + ALARM_SECONDS
        return "construction_timeout" if now >= self._launched + allowed else None

    def _outcome(self, breach: End | None, exit_code: int | None, ended: float) -> Outcome:
        from autodl.predictions import read_start  # as above

        self._look_for_end(ended)
        if self._ended is not None and exit_code is not None:
            # What happens while a model is saved is no matter of the run's.
            breach, exit_code, ended = None, 0, self._ended
        meter = self.meter
        evidence = Evidence(
            breach,
            exit_code,
            meter.peak_bytes,
            self._limits,
            disk_bytes=meter.disk_bytes,
            free_bytes=meter.free_bytes,
        )
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
            peak_rss_bytes=self.meter.peak_bytes,
        )
