"""The seam between the reconciler and whatever runs things: local processes, Kubernetes, Slurm.

Five verbs beside ``capabilities``; all idempotent, none waits for a run. An executor acts and
observes, it decides nothing, and it may lose anything at any time. Its own name for a run is
``adl-<run id>``, never used again.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

from autodl.solve import SAVE_SECONDS


class RunKind(StrEnum):
    """What a run does with the bundle."""

    CHECK = "check"
    SOLVE = "solve"


class Frozen(BaseModel):
    """A value that travels as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(Frozen):
    """What an uploaded file is called, and how raw data are to be formatted."""

    name: str = Field(default="bundle.zip", pattern=r"^[^/\x00.][^/\x00]*$")
    label: tuple[str, ...] = ()  #: of a table: its label column, or several 0/1 columns
    separator: str | None = None  #: between several labels in one cell
    test: float | None = None  #: share of the test part, where the data are not split


class StageSpec(Frozen):
    """The bundle to fetch, and how it must turn out."""

    url: str
    size_bytes: int
    sha256: str
    limit_seconds: float


class SolveSpec(Frozen):
    """What to do with it; ``solution`` names code, each executor knows where that lies."""

    solution: str
    budget_seconds: float
    construction_seconds: float
    check_seconds: float

    @property
    def limit_seconds(self) -> float:
        """The longest time a solving run may take by its own clock."""
        return self.construction_seconds + self.budget_seconds + SAVE_SECONDS


class PublishSpec(Frozen):
    """Where the results go: below ``prefix`` in the store, and past the fence with ``token``."""

    prefix: str
    token: str = Field(repr=False)
    limit_seconds: float


class RunSpec(Frozen):
    """Everything an executor needs to know of a run."""

    run_id: str
    tenant: str
    kind: RunKind
    source: Source = Source()
    stage: StageSpec
    solve: SolveSpec
    publish: PublishSpec
    backstop_seconds: float

    @property
    def name(self) -> str:
        """The backend's name of the run."""
        return f"adl-{self.run_id}"


class Phase(StrEnum):
    """How far a run has come."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    ENDED = "ended"
    ABSENT = "absent"


class End(StrEnum):
    """How a run ended, as its executor saw it."""

    OK = "ok"
    USER_ERROR = "user-error"
    TIMEOUT = "timeout"
    OOM = "oom"
    DISK = "disk"
    PIDS = "pids"
    KILLED = "killed"
    NODE_LOST = "node-lost"
    INFRA = "infra"
    CANCELED = "canceled"


#: Nobody's fault but ours: worth another run. Everything else would only end the same way again.
RETRIED = frozenset({End.KILLED, End.NODE_LOST, End.INFRA})


class Observation(Frozen):
    """What an executor knows of a run at this moment; ``message`` is for people."""

    run_id: str
    phase: Phase
    end: End | None = None
    exit_code: int | None = None
    started_at: datetime | None = None
    message: str = ""
    where: str = ""


class Capabilities(Frozen):
    """What an executor offers and enforces."""

    slots: dict[RunKind, int]  #: runs it takes at once; the rest wait in the database
    isolation: str  #: one of ``autodl.sandbox.LEVELS``
    gpus: int
    enforced: frozenset[str]  #: among "time", "memory", "disk", "processes", "network"


class Executor(Protocol):
    """An engine that carries out runs."""

    name: str

    def capabilities(self) -> Capabilities:
        """What it offers and enforces."""

    def ensure(self, spec: RunSpec) -> None:
        """Make the run exist; that it exists already is success.

        Raises ``PlatformError`` when it cannot now; it is asked again.
        """

    def observe(self, run_ids: Collection[str]) -> list[Observation]:
        """One observation of each run asked for (``ABSENT`` if unknown) and of every other one."""

    def cancel(self, run_id: str) -> None:
        """Begin to end the run and all its processes; absent or ended is success.

        Asked again while the run is still there, it uses more force.
        """

    def forget(self, run_id: str) -> None:
        """Remove what is kept of a run whose outcome is recorded; absent is success."""

    def logs(self, run_id: str, tail_bytes: int) -> bytes:
        """The end of what the run's programs wrote; empty when nothing is kept."""
