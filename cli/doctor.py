"""``autodl doctor``: what of this machine and of the way to a service works."""

from __future__ import annotations

import dataclasses
import json
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

import typer

from autodl.errors import AutoDLError
from cli.connection import Json, TokenFile, Url, connect, find_url

Status = Literal["good", "missing", "bad"]
MARKS = {"good": "[green]✓[/]", "missing": "[yellow]![/]", "bad": "[red]✗[/]"}
LOW_DISK_BYTES = 2 * 1024**3
LOW_MEMORY_BYTES = 4 * 1024**3
# What each of the optional parts is for, and a module that shows that it is installed.
PARTS = {
    "service": ("fastapi", "running a service"),
    "solution": ("tensorflow", "training networks in the winning solution"),
    "weights": ("onnxruntime", "pretrained networks in the winning solution"),
    "media": ("av", "formatting video and sound"),
    "keyring": ("keyring", "keeping your token in the desktop's keyring"),
}


@dataclasses.dataclass(frozen=True)
class Check:
    """One thing that was looked at. ``missing`` is what one can do without."""

    name: str
    status: Status
    detail: str
    hint: str = ""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(doctor)


def doctor(
    offline: Annotated[bool, typer.Option("--offline", help="Do not look for a service.")] = False,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Say what works here, and what does not.

    Looked at are versions, optional parts, GPU, sandbox, what runs would be carried out with, disk,
    the service and your token.

    Ends with 1 if something is bad; what is only missing is not.
    """
    from rich.console import Console
    from rich.markup import escape

    checks = list(look_here())
    if not offline:
        checks += look_there(url, token_file)
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(check) for check in checks], indent=1))
    else:
        console = Console(highlight=False, soft_wrap=True)
        for check in checks:
            console.print(f"{MARKS[check.status]} {check.name:<11} {escape(check.detail)}")
            if check.hint:
                console.print(f"  {'':<11} {escape(check.hint)}")
    if any(check.status == "bad" for check in checks):
        raise typer.Exit(1)


def look_here() -> Iterator[Check]:
    """This machine."""
    from autodl.manifest import DISTRIBUTION, describe_machine, list_packages

    packages = list_packages()
    own = packages.get(DISTRIBUTION, "not installed as a package")
    yield Check("version", "good", f"autodl {own}, Python {platform.python_version()}")
    machine = describe_machine()
    memory = machine["memory_bytes"]
    yield Check(
        "machine",
        "good" if memory >= LOW_MEMORY_BYTES else "missing",
        f"{machine['system']}, {machine['processor'] or machine['architecture']},"
        f" {machine['cores']} cores, {memory / 1024**3:.1f} GiB of memory",
    )
    gpus = ", ".join(machine["gpus"])
    yield Check("GPU", "good" if gpus else "missing", gpus or "none: runs use the processor")
    yield _look_at_sandbox()
    if find_spec(PARTS["service"][0]) is not None:
        yield _look_at_executor()
    yield from _look_at_parts(packages)
    yield _look_at_disk("disk", Path.cwd())
    yield _look_at_disk("temporary", Path(tempfile.gettempdir()))


def _look_at_sandbox() -> Check:
    from autodl import sandbox

    held = sandbox.describe(sandbox.strength())
    detail = ", ".join(f"{name}: {value}" for name, value in held.items())
    if held["level"] == "sandbox":
        return Check("sandbox", "good", detail)
    if held["level"] == "process":
        hint = "For solutions that you do not trust, install bubblewrap and allow user namespaces."
        return Check("sandbox", "good", detail, hint)
    return Check(
        "sandbox",
        "missing",
        detail,
        "This kernel cannot confine solutions wholly: run none that you do not trust."
        if sys.platform == "linux"
        else "Solutions are confined on Linux only: run none that you do not trust.",
    )


def _look_at_executor() -> Check:
    """What a service started here with this environment would carry out runs with."""
    from service.executors import open_executor
    from service.executors.base import RunKind
    from service.settings import Settings, load_settings

    try:
        settings = load_settings(Settings)
        executor = open_executor(settings)
        executor.observe(())
    except AutoDLError as error:
        return Check("executor", "bad", error.message, error.hint)
    offered = executor.capabilities()
    slots = f"{offered.slots[RunKind.SOLVE]} solving at once, {offered.slots[RunKind.CHECK]} checks"
    gpus = "with a GPU each" if offered.gpus else "without a GPU"
    return Check("executor", "good", f"{executor.name}: {slots}, {gpus}")


def _look_at_parts(packages: dict[str, str]) -> Iterator[Check]:
    for part, (module, purpose) in PARTS.items():
        if find_spec(module) is not None:
            version = packages.get(module, "")
            yield Check(f"+ {part}", "good", f"{purpose} ({module} {version})".replace(" )", ")"))
        else:
            hint = f"pip install 'autodl-self-service[{part}]'"
            yield Check(f"+ {part}", "missing", f"not installed: {purpose}", hint)


def _look_at_disk(name: str, folder: Path) -> Check:
    free = shutil.disk_usage(folder).free
    detail = f"{free / 1024**3:.1f} GiB free in {folder}"
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return Check(name, "bad", f"nothing can be written to {folder}: {error.strerror}")
    low = free < LOW_DISK_BYTES
    return Check(name, "missing" if low else "good", detail, "That is little." if low else "")


def look_there(url: str | None, token_file: Path | None) -> list[Check]:
    """The service that would be spoken to, and the token for it."""
    from client import Client

    address = find_url(url)
    try:
        with Client(address) as service:
            service.require_ready()
    except AutoDLError as error:
        return [Check("service", "bad", f"{address}: {error.message}", error.hint)]
    reached = Check("service", "good", f"{address} is ready")
    try:
        with connect(url, token_file) as service:
            service.list_submissions(limit=1)
    except AutoDLError as error:
        return [reached, Check("token", "bad", error.message, error.hint)]
    return [reached, Check("token", "good", "the service accepts it")]
