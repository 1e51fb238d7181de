"""The program that lets others touch hostile things: the user's files, the solution's code.

It is told where the public part of the bundle lies and where to write, and nothing else: no labels,
no token, no database. What decodes the files (``check``, writing its report) and what runs the
solution (under the hard clock, writing ``log.txt``) is a child that is confined before it starts.
"""

from __future__ import annotations

import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path

from autodl import sandbox
from autodl.errors import BundleError, PlatformError
from autodl.processes import share_memory
from autodl.solutions import is_bundled
from autodl.solve import Equipment, Limits, Outcome
from autodl.solve import solve as run_solution
from autodl.verdict import DEFAULT_LIMITS
from service.executors.base import Source
from service.worker.check import FORMAT_BYTES, OUT_OF_MEMORY, find_raw
from service.worker.confined import LOG_BYTES, Bounds, run_confined
from service.worker.failure import AGAIN, CHECK_LOG
from service.worker.program import Json, run_program
from service.worker.tasks import SolveTask

CRASHES = frozenset(
    {signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT, signal.SIGTRAP}
)
CHECK_BYTES = 128 << 20  # the largest file of a check: its report, or a library unpacked aside
ROOMS = tuple(Path(__file__).resolve().parents[2] / name for name in ("service", "formatter"))


def solve(task: SolveTask) -> Json | None:
    """Check the bundle, or let the solution learn it."""
    task.output.mkdir(parents=True, exist_ok=True)
    memory_bytes = task.memory_bytes or share_memory()
    if task.solution is None:
        _check_confined(task, memory_bytes)
        return None
    _check_isolation(task.require_isolation)
    outcome = run_solution(
        task.bundle,
        task.solution,
        task.output,
        budget_seconds=task.budget_seconds,
        construction_seconds=task.construction_seconds,
        equipment=Equipment(task.gpu, task.weights),
        limits=Limits(
            memory_bytes=memory_bytes,
            disk_bytes=min(DEFAULT_LIMITS.disk_bytes, shutil.disk_usage(task.output).free // 2),
            log_bytes=LOG_BYTES,
        ),
    )
    if outcome.end == "killed" and is_bundled(task.solution):
        outcome = _blame_ourselves(outcome)
    return outcome.to_json()


def _blame_ourselves(outcome: Outcome) -> Outcome:
    """What comes with the platform kills no process of its own, so somebody else did."""
    message = "The solution, one of the platform's own, was killed from outside."
    return replace(outcome, error=PlatformError("program-died", message, hint=AGAIN))


def _check_isolation(wanted: str) -> None:
    """Each run for itself: where it runs may be weaker than where the service started."""
    reached = sandbox.level(sandbox.strength())
    if not sandbox.suffices(reached, wanted):
        raise PlatformError(
            "isolation-too-weak",
            f"The solution would be held by {reached!r} here; the operator asked for {wanted!r}.",
            hint="It was not run. The operator's `autodl doctor` says what is missing.",
        )


def _check_confined(task: SolveTask, memory_bytes: int) -> None:
    """Raises ``BundleError`` where the data are at fault, ``PlatformError`` else.

    A decoder that crashes would crash again on the same bytes: no reason for another run.
    """
    bundle, output = task.bundle, task.output
    file_bytes = CHECK_BYTES if find_raw(bundle) is None else FORMAT_BYTES
    source = task.source or Source()
    ended = run_confined(
        "service.worker.check",
        [str(bundle.resolve()), str(output.resolve()), source.model_dump_json()],
        read=(bundle, *ROOMS),
        output=output,
        log=task.result.with_name(CHECK_LOG),
        bounds=Bounds(memory_bytes=memory_bytes, file_bytes=file_bytes),
    )
    code, peak = ended.exit_code, ended.peak_bytes
    # the kernel kills with this signal when memory runs out, and hardly anyone else does
    killed = code == -signal.SIGKILL and peak > memory_bytes // 2
    if killed or code == OUT_OF_MEMORY or peak > memory_bytes:
        raise BundleError(
            "check-out-of-memory",
            f"checking these data takes more than {memory_bytes >> 20} MiB of memory.",
            hint="Make the largest items smaller, or store them in more records.",
        )
    if code is not None and -code in CRASHES:
        raise BundleError(
            "check-crashed",
            f"reading these data made a decoder crash ({signal.Signals(-code).name}).",
            hint="Most often one file is damaged: save images, sounds or videos anew, or leave out"
            " the newest ones. The log may say where it was.",
        )
    if code != 0:
        sys.stderr.write(task.result.with_name(CHECK_LOG).read_text(errors="replace"))
        how = f"signal {-code}" if code is not None and code < 0 else f"code {code}"
        message = f"The check of the data was ended by {how}."
        raise PlatformError("check-died", message, hint=AGAIN)


if __name__ == "__main__":
    run_program(SolveTask, solve)
