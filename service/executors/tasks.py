"""What the four programs of a run are told, wherever it runs.

``solve`` learns neither the labels' place nor the way to report.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from service.executors.base import RunKind, RunSpec
from service.settings import Settings
from service.worker.program import Task
from service.worker.tasks import PublishTask, ReportTo, ScoreTask, SolveTask, StageTask


@dataclass(frozen=True)
class Places:
    """Where the programs of a run find and leave things: folders, as they see them."""

    bundle: Path
    labels: Path
    output: Path
    results: dict[str, Path]  #: of each program, its own
    solution: Path | None  #: code; ``None`` for a check


def build_tasks(
    spec: RunSpec,
    places: Places,
    settings: Settings,
    report_to: ReportTo,
    *,
    gpu: str | None,
    memory_bytes: int | None,
) -> dict[str, Task]:
    """The tasks of stage, solve, score and publish; ``memory_bytes`` None: where it runs, says."""
    kind, solving = spec.kind.value, spec.kind is RunKind.SOLVE
    curve = places.results["score"] / "curve.json"
    result = {name: at / f"{name}.result.json" for name, at in places.results.items()}
    return {
        "stage": _build_stage(spec, places, result["stage"]),
        "solve": SolveTask(
            kind=kind,
            result=result["solve"],
            bundle=places.bundle,
            output=places.output,
            solution=places.solution,
            source=None if solving else spec.source,
            budget_seconds=spec.solve.budget_seconds,
            construction_seconds=spec.solve.construction_seconds,
            gpu=gpu,
            require_isolation=settings.require_isolation,
            memory_bytes=memory_bytes,
            weights=settings.weights,
        ),
        "score": ScoreTask(
            kind=kind,
            result=result["score"],
            labels=places.labels,
            output=places.output,
            curve=curve,
            over=places.results["score"] / "over",
            budget_seconds=spec.solve.budget_seconds,
            report_to=report_to,
        ),
        "publish": PublishTask(
            kind=kind,
            result=result["publish"],
            folder=places.results["publish"],
            bundle=places.bundle,
            labels=places.labels,
            output=places.output,
            solution=places.solution,
            weights=settings.weights,
            sha256=spec.stage.sha256,
            curve=curve,
            budget_seconds=spec.solve.budget_seconds,
            report_to=report_to,
        ),
    }


def _build_stage(spec: RunSpec, places: Places, result: Path) -> StageTask:
    return StageTask(
        kind=spec.kind.value,
        result=result,
        name=spec.source.name,
        url=spec.stage.url,
        size_bytes=spec.stage.size_bytes,
        sha256=spec.stage.sha256,
        bundle=places.bundle,
        labels=places.labels if spec.kind is RunKind.SOLVE else None,
    )
