"""A run as a folder with a supervisor: what its programs are told there.

Local runs and the jobs of a Slurm cluster are such folders; they differ in who starts the
supervisor, and in how its programs report.
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from pathlib import Path

from service.executors.base import RunKind, RunSpec
from service.executors.tasks import Places, build_tasks
from service.settings import Settings
from service.worker.supervisor import SupervisorTask
from service.worker.tasks import ReportTo

MARGIN_SECONDS = 30.0  # over a program's own clock, before its supervisor uses force
NAMES = ("stage", "solve", "score", "publish")


def list_programs(python: str = sys.executable) -> dict[str, list[str]]:
    """The command lines of the four programs, by name; their task files come after them."""
    return {name: [python, "-P", "-m", f"service.worker.{name}"] for name in NAMES}


def write_run(
    folder: Path,
    spec: RunSpec,
    settings: Settings,
    report_to: ReportTo,
    *,
    programs: dict[str, list[str]],
    gpu: str | None,
    memory_bytes: int,
) -> Path:
    """Write all that a run's supervisor needs into the run's folder; return the supervisor's task.

    The token is in two of the files, so all are for their owner's eyes only.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    solving = spec.kind is RunKind.SOLVE
    places = Places(
        bundle=folder / ("public" if solving else "bundle"),
        labels=folder / "labels",
        output=folder / "output",
        results=dict.fromkeys(NAMES, folder),
        solution=settings.get_solution(spec.solve.solution) if solving else None,
    )
    tasks = build_tasks(spec, places, settings, report_to, gpu=gpu, memory_bytes=memory_bytes)
    for name, told in tasks.items():
        _write_private(folder / f"{name}.json", told.model_dump_json())
    task = SupervisorTask(
        run_id=spec.run_id,
        kind=spec.kind,
        gpu=gpu,
        programs=programs,
        limits=_limits(spec),
        environment={
            "TMPDIR": str(folder / "tmp"),  # by which a process is known to be the run's
            "CUDA_VISIBLE_DEVICES": gpu or "",
        },
    )
    path = folder / "supervisor.json"
    _write_private(path, task.model_dump_json())
    return path


def note_cancel(folder: Path) -> Path:
    """Leave word in a run's folder, if there is one, that it is to end; return where it stands."""
    wanted = folder / "cancel"
    with suppress(OSError):  # on a full disk it ends all the same
        if folder.is_dir() and not wanted.exists():
            wanted.touch()
    return wanted


def is_fresh(path: Path, seconds: float) -> bool:
    """Whether the file was written so short a while ago; not if the clock was set back since."""
    try:
        return 0 <= time.time() - path.stat().st_mtime < seconds
    except FileNotFoundError:
        return False


def _limits(spec: RunSpec) -> dict[str, float]:
    solving = spec.kind is RunKind.SOLVE
    own = {
        "stage": spec.stage.limit_seconds,
        "solve": spec.solve.limit_seconds if solving else spec.solve.check_seconds,
        "score": spec.publish.limit_seconds,
        "publish": spec.publish.limit_seconds,
    }
    return {name: seconds + MARGIN_SECONDS for name, seconds in own.items()}


def _write_private(path: Path, text: str) -> None:
    """Whole or not at all, for others read it as soon as it is there."""
    aside = path.with_name(f".{path.name}.new")
    aside.touch(mode=0o600)
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)
