"""The program that lets others touch hostile things: the user's files, the solution's code.

It is told where the public part of the bundle lies and where to write, and nothing else: no labels,
no token, no database. What decodes the files (``check``, writing ``report.json``) and what runs the
solution (under the hard clock, writing ``log.txt``) is a child that is confined before it starts.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from autodl import confine
from autodl.errors import PlatformError
from autodl.solve import Equipment, Limits
from autodl.solve import solve as run_solution
from service.worker.program import Json, run_program
from service.worker.tasks import SolveTask

LOG_BYTES = 2 * 1024 * 1024
CHECK_BYTES = (
    128 * 1024 * 1024
)  # the largest file of a check: its report, or a library unpacked aside
SERVICE = Path(__file__).resolve().parents[1]


def solve(task: SolveTask) -> Json | None:
    """Check the bundle, or let the solution learn it."""
    task.output.mkdir(parents=True, exist_ok=True)
    if task.solution is None:
        _check_confined(task.bundle, task.output)
        return None
    outcome = run_solution(
        task.bundle,
        task.solution,
        task.output,
        budget_seconds=task.budget_seconds,
        construction_seconds=task.construction_seconds,
        equipment=Equipment(task.gpu, task.weights),
        limits=Limits(log_bytes=LOG_BYTES),
    )
    return outcome.to_json()


def _check_confined(bundle: Path, output: Path) -> None:
    plan = confine.make_plan(read=(bundle, SERVICE), write=(output,), file_bytes=CHECK_BYTES)
    program = [sys.executable, "-P", "-m", "service.worker.check"]
    done = subprocess.run(
        plan.command([*program, str(bundle), str(output / "report.json")]),
        env={"TMPDIR": str(output), "LANG": "C.UTF-8"},
        cwd=output,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode != 0:
        how = f"code {done.returncode}" if done.returncode > 0 else f"signal {-done.returncode}"
        raise PlatformError("check-died", f"The check of the data was ended by {how}.")


if __name__ == "__main__":
    run_program(SolveTask, solve)
