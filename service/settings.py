"""Every setting of the service, and the only place where the environment is read.

Each field is an environment variable with the prefix ``AUTODL_``: ``data`` is ``AUTODL_DATA``.
Durations end in ``_seconds``, sizes in ``_bytes``.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from autodl.errors import UsageError

# What a run's programs see of our environment: enough to start Python and find the GPU's driver.
INHERITED = re.compile(
    r"PATH|HOME|LANG|LC_\w+|TZ|TMPDIR|VIRTUAL_ENV|LD_LIBRARY_PATH|NVIDIA_\w+|SYSTEMROOT"
    r"|PYTHONUTF8|PYTHONPATH|PYTHONHASHSEED|OMP_NUM_THREADS"
)
GPU_DEVICE = re.compile(r"nvidia(\d+)")


class Settings(BaseSettings):
    """One frozen value, made once by each entry point and handed down."""

    model_config = SettingsConfigDict(env_prefix="AUTODL_", frozen=True, extra="ignore")

    data: Path = Path(".autodl")  # database, objects, work folders, token
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    database_url: str = ""  # empty: SQLite in the data directory
    storage: str = ""  # empty: files in the data directory
    secret: SecretStr | None = None  # None: made once and kept in the data directory
    log_format: str = Field(default="text", pattern="^(text|json)$")

    gpus: Annotated[tuple[str, ...], NoDecode] | None = None  # None: every GPU of this machine
    solutions: dict[str, Path] = {}  # further solutions by name: {"mine": "/path/to/folder"}

    max_upload_bytes: PositiveInt = 8 * 1024**3
    default_budget_seconds: PositiveFloat = 1200.0  # the AutoDL challenge's
    max_budget_seconds: PositiveFloat = 7200.0
    construction_seconds: PositiveFloat = 1200.0  # the allowance of a model's constructor
    stage_seconds: PositiveFloat = 1800.0  # to fetch and unpack the largest bundle
    check_seconds: PositiveFloat = 3600.0
    publish_seconds: PositiveFloat = 600.0
    queue_seconds: PositiveFloat = 7 * 86400.0  # a submission that waits longer expires
    poll_seconds: PositiveFloat = 0.5  # the reconciler's pause between two rounds
    keep_run_seconds: float = Field(default=3600.0, ge=0)  # a work folder, after its end

    part_bytes: PositiveInt = 16 * 1024**2  # of an upload; S3 takes no less than 5 MiB
    part_url_seconds: PositiveFloat = 3600.0  # an address for a part is good for so long
    keep_upload_seconds: PositiveFloat = 2 * 86400.0  # without a further part, or a submission
    retention_seconds: PositiveFloat = 90 * 86400.0  # a submission and its results
    max_retention_seconds: PositiveFloat = 366 * 86400.0  # the longest a user may ask for
    sweep_seconds: PositiveFloat = 600.0  # between two looks for what nobody needs any more

    # What an account may use that has no limits of its own; None: no limit.
    quota_submissions_per_day: int | None = Field(default=None, ge=0)
    quota_compute_minutes_per_day: float | None = Field(default=None, ge=0)
    quota_stored_bytes: int | None = Field(default=None, ge=0)
    quota_parallel_runs: int | None = Field(default=None, ge=1)

    @field_validator("data")
    @classmethod
    def _make_absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("gpus", mode="before")
    @classmethod
    def _split_commas(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part for part in re.split(r"[\s,]+", value) if part)
        return value

    @property
    def effective_database_url(self) -> str:
        """The SQLAlchemy URL of the database."""
        return self.database_url or f"sqlite:///{self.data / 'autodl.db'}"

    @property
    def effective_storage(self) -> str:
        """The URL of the object store, for ``service.storage.open_storage``."""
        return self.storage or (self.data / "storage").as_uri()

    @property
    def gpu_slots(self) -> tuple[str, ...]:
        """Ids for ``CUDA_VISIBLE_DEVICES``, one run each; empty where there is no GPU."""
        if self.gpus is not None:
            return self.gpus
        devices = (GPU_DEVICE.fullmatch(p.name) for p in Path("/dev").glob("nvidia*"))
        return tuple(sorted((d.group(1) for d in devices if d), key=int))

    def find_solution(self, name: str) -> Path | None:
        """The folder of the solution of that name; nothing of it is imported."""
        if name in self.solutions:
            return self.solutions[name].absolute()
        spec = find_spec("winner_solution") if name == "winner" else None
        folders = list(spec.submodule_search_locations or ()) if spec else []
        return Path(folders[0]) if folders else None

    def get_solution(self, name: str) -> Path:
        """Like ``find_solution``; ``UsageError`` (``solution-unknown``) where there is none."""
        if (folder := self.find_solution(name)) is None:
            known = ", ".join(sorted({"winner", *self.solutions}))
            raise UsageError(
                "solution-unknown", f"There is no solution {name!r}.", hint=f"Known are: {known}."
            )
        return folder

    def read_secret(self) -> str:
        """The key that run tokens are made from; it outlives restarts of the service."""
        if self.secret is not None:
            return self.secret.get_secret_value()
        return read_or_make(self.data / "secret", lambda: secrets.token_hex(32))


def read_or_make(path: Path, make: Callable[[], str]) -> str:
    """The secret kept at ``path`` with mode 0600; made there first, if nobody was faster.

    It is whole from the first moment, so that two servers that start together agree.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        descriptor, aside = tempfile.mkstemp(dir=path.parent)  # mode 0600
        with os.fdopen(descriptor, "w") as file:
            file.write(make() + "\n")
        with contextlib.suppress(FileExistsError):
            os.link(aside, path)
        Path(aside).unlink()
    return path.read_text(encoding="ascii", errors="replace").strip()


def inherited_environment() -> dict[str, str]:
    """The variables that a run's programs get from us: no setting of ours, no credential."""
    environment = os.environ.items()  # noqa: TID251 this is the file that may
    return {k: v for k, v in environment if INHERITED.fullmatch(k)}
