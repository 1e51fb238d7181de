"""A program of ours that decodes users' files, in a process that can do nothing else."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from autodl import sandbox
from autodl.processes import BoundedLog, ProcessTree

LOG_BYTES = 2 * 1024 * 1024
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Ended:
    """How it ended: ``exit_code`` is negative for a signal, None if killing did not help."""

    exit_code: int | None
    peak_bytes: int
    timed_out: bool


@dataclass(frozen=True)
class Bounds:
    """What it may use: memory of all its processes, the size of a file, and time."""

    memory_bytes: int
    file_bytes: int
    seconds: float = math.inf


def run_confined(
    module: str, told: list[str], read: Iterable[Path], output: Path, log: Path, bounds: Bounds
) -> Ended:
    """Run ``python -m MODULE TOLD...``, which may read what is named and write into ``output``.

    Whoever calls starts no other children meanwhile. What it prints is in ``log``.
    """
    plan = sandbox.make_plan(read=read, write=(output,), file_bytes=bounds.file_bytes)
    command = sandbox.enclose(plan, [sys.executable, "-P", "-m", module, *told], output.resolve())
    tree = ProcessTree(kept=True)
    pipe = tree.start(command, {"TMPDIR": str(output), "LANG": "C.UTF-8"}, output)
    kept = BoundedLog(pipe, log, LOG_BYTES)
    kept.start()
    deadline = time.monotonic() + bounds.seconds
    peak, timed_out = 0, False
    while tree.root.poll() is None and peak <= bounds.memory_bytes and not timed_out:
        time.sleep(POLL_SECONDS)
        peak = max(peak, tree.memory_bytes(tree.members(), bounds.memory_bytes))
        timed_out = time.monotonic() > deadline
    code = sandbox.read_exit_code(plan, tree.end(0.0))
    kept.close()
    pipe.close()
    return Ended(code, peak, timed_out)
