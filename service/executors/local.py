"""Runs on this machine: a folder and a supervisor process each, no server to install.

The supervisor lives in its own session and outlives us. Nothing about a run is kept in our memory:
after a restart the folders and the locks that supervisors hold on them say all there is to know.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Collection
from datetime import datetime
from pathlib import Path

import psutil

from autodl import sandbox
from autodl.errors import PlatformError
from service.executors.base import Capabilities, End, Observation, Phase, RunKind, RunSpec
from service.executors.folders import is_fresh, list_programs, note_cancel, write_run
from service.settings import Settings, inherited_environment
from service.worker import supervisor
from service.worker.program import explain_disk, read_guest_log
from service.worker.tasks import ReportTo

START_SECONDS = 30.0  # for a supervisor to write its first status
PATIENCE_SECONDS = 6.0  # for a supervisor to end its run when asked


class LocalExecutor:
    """See ``Executor``. ``programs`` are the command lines that a run's task files are given to."""

    name = "local"

    def __init__(self, settings: Settings, programs: dict[str, list[str]] | None = None) -> None:
        self.settings = settings
        self.root = settings.data / "runs"
        self.programs = programs or list_programs()
        self._children: list[subprocess.Popen[bytes]] = []

    def capabilities(self) -> Capabilities:
        """One solving run a GPU, or one on the processor; one check beside them."""
        gpus = len(self.settings.gpu_slots)
        strength = sandbox.strength()
        network = {"network"} if strength.seccomp else set()
        return Capabilities(
            slots={RunKind.CHECK: 1, RunKind.SOLVE: max(1, gpus)},
            isolation=sandbox.level(strength),
            gpus=gpus,
            enforced=frozenset({"time", "memory", "disk", "processes"} | network),
        )

    def ensure(self, spec: RunSpec) -> None:
        """Start the run's supervisor, unless it was started before."""
        folder = self.root / spec.run_id
        if supervisor.read_status(folder) is not None or self._is_supervised(folder):
            return
        gpu = self._find_gpu(spec) if spec.kind is RunKind.SOLVE else None
        try:
            self._begin(folder, spec, gpu)
        except OSError as error:
            raise explain_disk(error) from error

    def _begin(self, folder: Path, spec: RunSpec, gpu: str | None) -> None:
        task = write_run(
            folder,
            spec,
            self.settings,
            self._report_to(spec),
            programs=self.programs,
            gpu=gpu,
            memory_bytes=self.settings.effective_memory_bytes,
        )
        with (folder / "supervisor.log").open("ab") as log:
            child = subprocess.Popen(
                [sys.executable, "-P", "-m", supervisor.__name__, str(task)],
                env=inherited_environment() | {"TMPDIR": str(folder / "tmp")},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._children.append(child)

    def observe(self, run_ids: Collection[str]) -> list[Observation]:
        """Read every status file, and see whose supervisor lives."""
        self._children = [child for child in self._children if child.poll() is None]
        return [self._observe(run_id) for run_id in {*run_ids, *self._held()}]

    def cancel(self, run_id: str) -> None:
        """Ask the supervisor; later, or where it is dead, end every process of the run."""
        folder = self.root / run_id
        if not folder.is_dir():
            return
        wanted = note_cancel(folder)
        status = supervisor.read_status(folder)
        if self._is_supervised(folder):
            if is_fresh(wanted, PATIENCE_SECONDS):
                if status is not None:
                    _end(status.pid, kill=False)
                return
            if status is not None:
                _end(status.pid, kill=True)
        for process in psutil.process_iter():
            if Path(_environment_of(process).get("TMPDIR", "/")).is_relative_to(folder):
                _end(process.pid, kill=True)

    def forget(self, run_id: str) -> None:
        """Remove the run's folder; one still at work is ended, and removed when asked again."""
        folder = self.root / run_id
        if folder.is_dir() and self._is_supervised(folder):
            self.cancel(run_id)
        elif folder.is_dir():
            shutil.rmtree(folder)

    def logs(self, run_id: str, tail_bytes: int) -> bytes:
        """The end of the solution's output, which only grows."""
        return read_guest_log(self.root / run_id / "output")[-tail_bytes:]

    def _held(self) -> list[str]:
        return [p.name for p in self.root.iterdir()] if self.root.is_dir() else []

    def _is_supervised(self, folder: Path) -> bool:
        if not folder.is_dir():
            return False
        with supervisor.hold(folder) as held:
            return not held

    def _observe(self, run_id: str) -> Observation:
        folder = self.root / run_id
        lives = self._is_supervised(folder)  # asked first: one that ends now has written its end
        status = supervisor.read_status(folder)
        canceled = (folder / "cancel").exists()
        if status is None:
            fresh = is_fresh(folder / "supervisor.json", START_SECONDS)
            phase = Phase.STARTING if lives or fresh else Phase.ABSENT
            if canceled and not lives:
                return Observation(run_id=run_id, phase=Phase.ENDED, end=End.CANCELED)
            return Observation(run_id=run_id, phase=phase)
        observation = Observation(
            run_id=run_id,
            phase=status.phase,
            end=status.end,
            started_at=datetime.fromisoformat(status.started_at),
            message=status.message,
            where=f"process {status.pid}",
        )
        if lives or status.phase is Phase.ENDED:
            return observation
        if canceled:
            return observation.model_copy(update={"phase": Phase.ENDED, "end": End.CANCELED})
        return observation.model_copy(
            update={"phase": Phase.ABSENT, "message": "The run's supervisor died."}
        )

    def _find_gpu(self, spec: RunSpec) -> str | None:
        """A free GPU; ``PlatformError`` (``no-free-slot``) when each slot has its run."""
        taken: list[str | None] = []
        for observation in self.observe(()):
            folder = self.root / observation.run_id
            if observation.run_id == spec.run_id or observation.phase is Phase.ENDED:
                continue
            if (folder / "supervisor.json").exists():
                text = (folder / "supervisor.json").read_bytes()
                other = supervisor.SupervisorTask.model_validate_json(text)
                taken += [other.gpu] if other.kind is RunKind.SOLVE else []
        slots: tuple[str | None, ...] = self.settings.gpu_slots or (None,)
        free = [slot for slot in slots if slot not in taken]
        if not free:
            raise PlatformError("no-free-slot", "Every slot of this machine is taken.")
        return free[0]

    def _report_to(self, spec: RunSpec) -> ReportTo:
        return ReportTo(
            run_id=spec.run_id,
            token=spec.publish.token,
            prefix=spec.publish.prefix,
            database_url=self.settings.effective_database_url,
            storage=self.settings.effective_storage,
        )


def _environment_of(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except (psutil.Error, OSError):
        return {}  # gone, or another user's


def _end(pid: int, *, kill: bool) -> None:
    try:
        process = psutil.Process(pid)
        process.kill() if kill else process.terminate()
    except psutil.NoSuchProcess:
        return
