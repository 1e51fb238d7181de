"""What each program of a run is told: apart from them, for who starts them need not load them."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from service.executors.base import Source
from service.worker.program import Task


class ReportTo(BaseModel):
    """Where a run's results go, and the token that opens the door to them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_id: str
    token: str = Field(repr=False)
    prefix: str
    api_url: str = ""  #: of the service, for a run that reaches neither database nor store
    database_url: str = Field(default="", repr=False)
    storage: str = Field(default="", repr=False)


class StageTask(Task):
    """The stored file, and the folders to make of it."""

    name: str = "bundle.zip"  #: the file's own, as its owner has it
    url: str
    size_bytes: int
    sha256: str
    bundle: Path  #: of a solving run: what the solution may see
    labels: Path | None  #: set for a solving run


class SolveTask(Task):
    """What to work on, and for how long."""

    bundle: Path
    output: Path
    solution: Path | None
    source: Source | None = None  #: set for a check
    budget_seconds: float
    construction_seconds: float
    gpu: str | None
    require_isolation: str = "none"  #: below this level of ``autodl.sandbox`` nothing is run
    memory_bytes: int | None = None  #: ``None``: four fifths of what there is
    weights: str | None = None


class PublishTask(Task):
    """Where the other programs left what they made, and what the manifest says of the run."""

    folder: Path
    bundle: Path
    labels: Path
    output: Path
    solution: Path | None  #: set for a solving run
    weights: str | None = None
    sha256: str  #: of the bundle as it was uploaded
    curve: Path
    budget_seconds: float
    report_to: ReportTo
    final: bool = True  #: else only the results are stored, and the outcome is seen from outside


class ScoreTask(Task):
    """The labels' folder, the solution's output, and where the points go."""

    labels: Path
    output: Path
    curve: Path  #: the points so far, for ``publish`` and for a second start
    over: Path  #: exists when the solution has stopped
    budget_seconds: float
    report_to: ReportTo
    salvage: PublishTask | None = None  #: for where ``solve`` may be killed and ``publish`` with it
