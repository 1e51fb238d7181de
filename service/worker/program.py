"""What the four programs of a run share: a task as JSON in, a result as JSON out.

A program is started as ``python -m service.worker.NAME TASK``. Its task holds what it needs and
no more, so that each can be confined to it. It leaves ``{"error": ..., "value": ..., "times":
[begin, end]}`` at ``task.result``; no file there means that it died.
"""

from __future__ import annotations

import errno
import json
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

from autodl.errors import AutoDLError, BundleError, PlatformError, SolutionError
from autodl.untrusted import open_plain

Json = dict[str, Any]
DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS})
PATIENCE_SECONDS, PAUSE_SECONDS = 120.0, 0.5  # with what is away for a while
DISK_EXIT = 5  # exit code: not even a result could be left


class Task(BaseModel):
    """What a program is told; every folder is given as that program sees it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str  #: "check" or "solve"
    result: Path


T = TypeVar("T", bound=Task)
V = TypeVar("V")


def run_program(task_type: type[T], work: Callable[[T], Json | None]) -> None:
    """The body of a program's ``__main__``; exits with 1 after an error that was understood."""
    task = task_type.model_validate_json(Path(sys.argv[1]).read_bytes())
    leave = partial(_leave, task.result, time.time())
    try:
        value = work(task)
    except AutoDLError as error:
        # Where the run's folder lies on our machine is nobody's business.
        if error.file is not None and Path(error.file).is_relative_to(task.result.parent):
            error.file = str(Path(error.file).relative_to(task.result.parent))
        leave({"error": describe_error(error), "value": None})
        print(f"{error.code}: {error}", file=sys.stderr)  # noqa: T201 stderr is the program's log
        sys.exit(1)
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise  # a fault of ours: its traceback is the log, and no result says that we died
        traceback.print_exc()
        leave({"error": describe_error(explain_disk(error)), "value": None})
        sys.exit(1)
    leave({"error": None, "value": value})


def _leave(path: Path, began: float, result: Json) -> None:
    try:
        write_json(path, result | {"times": [began, time.time()]})
    except OSError:
        traceback.print_exc()
        sys.exit(DISK_EXIT)


def explain_disk(error: OSError) -> PlatformError:
    """What the machine's disk would not do, in words."""
    return PlatformError(
        "disk-unavailable",
        f"The machine's disk could not be used: {(error.strerror or 'unknown error').lower()}.",
        hint="It is tried again; if it lasts, the operator has to make room.",
    )


def patiently(act: Callable[[], V], code: str) -> V:
    """Do it, again while it raises a ``PlatformError`` of this code; raises that in the end."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return act()
        except PlatformError as error:
            if error.code != code or time.monotonic() > deadline:
                raise
            time.sleep(PAUSE_SECONDS)


def describe_error(error: AutoDLError) -> Json:
    """An error as ``Submission.error`` keeps it; ``family`` says whose fault it was."""
    family = "platform"
    if isinstance(error, BundleError):
        family = "data"
    elif isinstance(error, SolutionError):
        family = "solution"
    return {
        "family": family,
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
        "file": error.file,
        "record": error.record,
        "line": error.line,
    }


def read_guest_log(output: Path) -> bytes:
    """What the solution has printed so far; its folder is the solution's own, so no link counts."""
    try:
        with open_plain(output / "log.txt") as file:
            return file.read()
    except OSError:
        return b""


def write_json(path: Path, value: object) -> None:
    """Write it so that a reader sees the old file or the new one, never a part."""
    aside = path.with_name(f".{path.name}.new")
    aside.write_text(json.dumps(value, indent=1), encoding="utf-8")
    aside.replace(path)


def read_json(path: Path) -> Json | None:
    """What ``write_json`` wrote; ``None`` if nothing is there, or what a power cut left."""
    try:
        value: Json = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return value
