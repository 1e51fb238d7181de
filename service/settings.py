"""Every setting of the service, and the only place where the environment is read.

Each field is an environment variable with the prefix ``AUTODL_``: ``data`` is ``AUTODL_DATA``.
Durations end in ``_seconds``, sizes in ``_bytes``.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import sys
import tempfile
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    Field,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from autodl.errors import UsageError
from autodl.processes import share_memory
from autodl.solutions import BUNDLED, find_bundled
from autodl.solve import Equipment

# What a run's programs see of our environment: enough to start Python and find the GPU's driver.
INHERITED = re.compile(
    r"PATH|HOME|LANG|LC_\w+|TZ|TMPDIR|VIRTUAL_ENV|LD_LIBRARY_PATH|NVIDIA_\w+|SYSTEMROOT"
    r"|PYTHONUTF8|PYTHONPATH|PYTHONHASHSEED|OMP_NUM_THREADS"
)
GPU_DEVICE = re.compile(r"nvidia(\d+)")
RATES = re.compile(r"\d+/(second|minute|hour|day)(;\d+/(second|minute|hour|day))*")
SECRET_CHARACTERS = 16
WEAK_WORDS = re.compile(
    r"secret|password|change|please|example|default|test|autodl|admin|1234|qwerty"
)


class Settings(BaseSettings):
    """One frozen value, made once by each entry point and handed down."""

    model_config = SettingsConfigDict(env_prefix="AUTODL_", frozen=True, extra="ignore")

    data: Path = Path(".autodl")  # database, objects, work folders, token
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    internal_port: int | None = Field(default=None, ge=1, le=65535)  # for runs elsewhere to report
    reconcile: bool = True  # False: `python -m service.reconciler` decides, in another process
    database_url: str = ""  # empty: SQLite in the data directory
    storage: str = ""  # empty: files in the data directory
    executor: Literal["local", "kubernetes", "slurm"] = "local"  # where runs are carried out
    secret: SecretStr | None = None  # None: made once and kept in the data directory
    log_format: str = Field(default="text", pattern="^(text|json)$")
    # OpenTelemetry's own name, without our prefix; empty: no traces are recorded
    otlp_endpoint: str = Field(default="", validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT")

    gpus: Annotated[tuple[str, ...], NoDecode] | None = None  # None: every GPU of this machine
    solutions: dict[str, Path] = {}  # further solutions by name: {"mine": "/path/to/folder"}
    weights: str | None = None  # a folder of pretrained weights for solutions, or "none" for none
    require_isolation: Literal["none", "process", "sandbox"] = "none"  # below it nothing is run
    memory_bytes: PositiveInt | None = None  # of a run; None: its share of four fifths of all

    max_upload_bytes: PositiveInt = 8 * 1024**3
    default_budget_seconds: PositiveFloat = 1200.0  # the AutoDL challenge's
    max_budget_seconds: PositiveFloat = 7200.0
    construction_seconds: PositiveFloat = 1200.0  # the allowance of a model's constructor
    stage_seconds: PositiveFloat = 1800.0  # to fetch and unpack the largest bundle
    check_seconds: PositiveFloat = 3600.0
    publish_seconds: PositiveFloat = 600.0
    queue_seconds: PositiveFloat = 7 * 86400.0  # a submission that waits longer expires
    review_seconds: PositiveFloat = 3 * 86400.0  # one held for its owner's look expires then
    poll_seconds: PositiveFloat = 0.5  # the reconciler's pause between two rounds
    keep_run_seconds: float = Field(default=3600.0, ge=0)  # a work folder, after its end

    part_bytes: PositiveInt = 16 * 1024**2  # of an upload; S3 takes no less than 5 MiB
    part_url_seconds: PositiveFloat = 3600.0  # an address for a part is good for so long
    keep_upload_seconds: PositiveFloat = 2 * 86400.0  # without a further part, or a submission
    retention_seconds: PositiveFloat = 90 * 86400.0  # a submission and its results
    max_retention_seconds: PositiveFloat = 366 * 86400.0  # the longest a user may ask for
    sweep_seconds: PositiveFloat = 600.0  # between two looks for what nobody needs any more

    public_url: str = ""  # what others call this service, for links in mails; empty: host and port
    proxies: Annotated[tuple[str, ...], NoDecode] = ("127.0.0.1",)  # whose X-Forwarded-For counts
    registration: Literal["open", "invite", "closed"] = "closed"
    require_email: bool = False  # to sign up; else a pseudonym will do
    session_seconds: PositiveFloat = 14 * 86400.0  # of a signed-in browser
    sign_in_rate: str = "10/minute;60/hour"  # attempts from one address, and at one account
    smtp_url: SecretStr | None = None  # smtp[s]://user:password@host:port; None: mails become files
    mail_from: str = "autodl@localhost"
    oidc_issuer: str = ""  # https://... whose accounts may sign in here; empty: none
    oidc_client_id: str = ""
    oidc_client_secret: SecretStr | None = None
    webhook_networks: Annotated[tuple[str, ...], NoDecode] = ()  # private ones they may reach

    # What an account may use that has no limits of its own; None: no limit.
    quota_submissions_per_day: int | None = Field(default=None, ge=0)
    quota_compute_minutes_per_day: float | None = Field(default=None, ge=0)
    quota_stored_bytes: int | None = Field(default=None, ge=0)
    quota_parallel_runs: int | None = Field(default=None, ge=1)

    @field_validator("data")
    @classmethod
    def _make_absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("weights")
    @classmethod
    def _require_weights(cls, value: str | None) -> str | None:
        """An absolute path, for a run's programs work elsewhere."""
        try:
            return Equipment.of(None, value).weights
        except UsageError as error:
            raise ValueError(error.message) from error

    @field_validator("secret")
    @classmethod
    def _refuse_weak_secret(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and is_weak(value.get_secret_value()):
            raise ValueError(
                f"it must have at least {SECRET_CHARACTERS} characters and not be a known one"
            )
        return value

    @field_validator("sign_in_rate")
    @classmethod
    def _check_rate(cls, value: str) -> str:
        if not RATES.fullmatch(value):
            raise ValueError("it must be like 10/minute;60/hour")
        return value

    @field_validator("webhook_networks", "proxies")
    @classmethod
    def _check_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            ip_network(network)  # a ValueError that says what is wrong
        return value

    @field_validator("gpus", "webhook_networks", "proxies", mode="before")
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
    def effective_public_url(self) -> str:
        """Where users find the service, without a slash at the end."""
        return self.public_url.rstrip("/") or f"http://{self.host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the service."""
        return self.host == "localhost" or _is_loopback(self.host)

    @property
    def gpu_slots(self) -> tuple[str, ...]:
        """Ids for ``CUDA_VISIBLE_DEVICES``, one run each; empty where there is no GPU."""
        if self.gpus is not None:
            return self.gpus
        devices = (GPU_DEVICE.fullmatch(p.name) for p in Path("/dev").glob("nvidia*"))
        return tuple(sorted((d.group(1) for d in devices if d), key=int))

    @property
    def effective_memory_bytes(self) -> int:
        """What one run on this machine may use, where each slot has its run."""
        return self.memory_bytes or share_memory(max(1, len(self.gpu_slots)))

    def find_solution(self, name: str) -> Path | None:
        """The folder of the solution of that name; nothing of it is imported."""
        if name in self.solutions:
            return self.solutions[name].absolute()
        return find_bundled(name)

    def get_solution(self, name: str) -> Path:
        """Like ``find_solution``; ``UsageError`` (``solution-unknown``) where there is none."""
        if (folder := self.find_solution(name)) is None:
            known = ", ".join(sorted({*BUNDLED, *self.solutions}))
            raise UsageError(
                "solution-unknown", f"There is no solution {name!r}.", hint=f"Known are: {known}."
            )
        return folder

    def read_secret(self) -> str:
        """The key that run tokens are made from; it outlives restarts of the service."""
        if self.secret is not None:
            return self.secret.get_secret_value()
        return read_or_make(self.data / "secret", lambda: secrets.token_hex(32))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False  # a name


def is_weak(secret: str) -> bool:
    """Whether a secret can be guessed: short, monotonous, or an example out of a document."""
    words_apart = WEAK_WORDS.sub("", secret.lower())
    return len(secret) < SECRET_CHARACTERS or len(set(words_apart)) < 8


class KubernetesSettings(BaseSettings):
    """Where and how runs become Jobs of a cluster; each field is ``AUTODL_KUBERNETES_...``.

    Quantities are Kubernetes' own: ``"500m"`` processors, ``"16Gi"`` bytes.
    """

    model_config = SettingsConfigDict(env_prefix="AUTODL_KUBERNETES_", frozen=True, extra="ignore")

    kubeconfig: Path | None = None  # None: the service runs in the cluster
    namespace: str = "autodl-runs"
    image: str = ""  # of the worker, by digest
    api_url: str = ""  # where the programs of a run report to: the service, from inside the cluster
    slots: PositiveInt = 8  # solving runs at once; the rest waits in the database
    check_slots: PositiveInt = 4
    gpu_resource: str = "nvidia.com/gpu"  # or a MIG profile's; empty: runs get no GPU
    solve_cpu: str = "4"
    solve_memory: str = "16Gi"
    program_cpu: str = "500m"
    program_memory: str = "2Gi"
    scratch: str = "40Gi"  # on the node's disk
    shared_memory: str = "2Gi"
    node_selector: dict[str, str] = {}
    runtime_class: str = ""  # like gvisor
    priority_class: str = ""
    pull_secret: str = ""
    weights_claim: str = ""  # a volume of further pretrained weights, which runs see at /weights
    queue: str = ""  # Kueue's LocalQueue; empty: plain Jobs
    check_queue: str = ""  # that of checks, which are short and need no GPU; empty: the same
    queue_priority: str = ""  # Kueue's WorkloadPriorityClass
    check_queue_priority: str = ""  # ... of checks; empty: the same


class SlurmSettings(BaseSettings):
    """Where and how runs become jobs of a Slurm cluster; each field is ``AUTODL_SLURM_...``.

    Empty texts leave the choice to the cluster.
    """

    model_config = SettingsConfigDict(env_prefix="AUTODL_SLURM_", frozen=True, extra="ignore")

    api_url: str = Field(min_length=1)  # where runs report to: the service, from the nodes
    folder: Path | None = None  # of the runs, where this machine and the nodes see it; None: data
    slots: PositiveInt = 8  # solving runs at once, waiting ones too; the rest stays in the database
    check_slots: PositiveInt = 4
    partition: str = ""
    check_partition: str = ""  # of checks, which need no GPU; empty: as for solving
    account: str = ""
    qos: str = ""
    constraint: str = ""
    gres: str = "gpu:1"  # of a solving run; empty: it gets no GPU
    cpus: PositiveInt = 4
    memory_bytes: PositiveInt = 16 * 1024**3  # of a job; the solution may use four fifths
    python: str = sys.executable  # on the nodes, with this package installed
    container: str = ""  # what comes before it, like: apptainer exec --nv --bind /lab worker.sif
    conf: Path | None = None  # SLURM_CONF, where it does not lie where Slurm looks for it
    timeout_seconds: PositiveFloat = 5.0  # for a command; one without an answer is asked again


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


S = TypeVar("S", bound=BaseSettings)


def load_settings(kind: type[S], **given: Any) -> S:
    """Settings from the environment, but for what is given.

    Raises ``UsageError`` (``setting-invalid``).
    """
    try:
        return kind(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"])
        prefix = kind.model_config["env_prefix"]
        raise UsageError(
            "setting-invalid",
            f"The setting {name}: {first['msg']}.",
            hint=f"It comes from an option or from {prefix}{name.upper()}.",
        ) from error


def read_gpus() -> str | None:
    """The cards that a cluster gave to this job, numbered as the node numbers them.

    Where a job sees no others, ``CUDA_VISIBLE_DEVICES`` counts from 0; a part of a card has no
    number but a name, which stands there only.
    """
    seen = os.environ.get("CUDA_VISIBLE_DEVICES", "")  # noqa: TID251 as above
    return seen if "-" in seen else os.environ.get("SLURM_JOB_GPUS") or None  # noqa: TID251


def inherited_environment() -> dict[str, str]:
    """The variables that a run's programs get from us: no setting of ours, no credential."""
    environment = os.environ.items()  # noqa: TID251 this is the file that may
    return {k: v for k, v in environment if INHERITED.fullmatch(k)}


def read_task() -> dict[str, Any]:
    """What a program in a container was told: JSON in ``AUTODL_TASK``; raises ``KeyError``."""
    value: dict[str, Any] = json.loads(os.environ["AUTODL_TASK"])  # noqa: TID251 as above
    return value
