"""The program that touches hostile things: the user's files, and the solution's code.

It is told where the public part of the bundle lies and where to write, and nothing else: no labels,
no token, no database. A checking run writes ``report.json``; a solving run drives the solution
under the hard clock, and what that prints goes to ``log.txt`` in its output.
"""

from __future__ import annotations

from pathlib import Path

from autodl.check import check
from autodl.solve import Limits
from autodl.solve import solve as run_solution
from service.worker.program import Json, Task, run_program

LOG_BYTES = 2 * 1024 * 1024


class SolveTask(Task):
    """What to work on, and for how long."""

    bundle: Path
    output: Path
    solution: Path | None
    budget_seconds: float
    construction_seconds: float
    gpu: str | None


def solve(task: SolveTask) -> Json | None:
    """Check the bundle, or let the solution learn it."""
    task.output.mkdir(parents=True, exist_ok=True)
    if task.solution is None:
        report = check(task.bundle).to_json()
        (task.output / "report.json").write_text(report, encoding="utf-8")
        return None
    outcome = run_solution(
        task.bundle,
        task.solution,
        task.output,
        budget_seconds=task.budget_seconds,
        construction_seconds=task.construction_seconds,
        gpu=task.gpu,
        limits=Limits(log_bytes=LOG_BYTES),
    )
    return outcome.to_json()


if __name__ == "__main__":
    run_program(SolveTask, solve)
