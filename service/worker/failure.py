"""Why a run failed: what each of its programs left, whose fault it was, and what is told of it."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from autodl.errors import AutoDLError, BundleError, PlatformError, SolutionError
from autodl.solve import RESOURCES_NAME
from autodl.untrusted import open_plain
from service.worker.program import (
    DISK_EXIT,
    Json,
    describe_error,
    explain_disk,
    read_guest_log,
    read_json,
)
from service.worker.supervisor import ProgramEnd, read_status

if TYPE_CHECKING:
    from service.worker.tasks import PublishTask

AGAIN = "Nothing is wrong with your data; the run is made again."
FAILURE_NAME = "failure.json"
CHECK_LOG = "check.log"  # of the process that decodes the user's files
TAIL_BYTES, RESOURCES_BYTES = 4000, 1 << 20
SOLUTION_FIELDS = ("end", "exit_code", "seconds", "predictions", "peak_rss_bytes", "confinement")


def find_error(task: PublishTask) -> Json | None:
    """What went wrong first in this run, if anything did."""
    for name in ("stage", "solve"):
        result = read_result(task, name)
        if not result:
            return describe_error(_explain_death(name, task))
        error: Json | None = result["error"] or (result["value"] or {}).get("error")
        if error is not None:
            return error
    return None


def read_result(task: PublishTask, name: str) -> Json:
    """What the program left; empty if it died."""
    return read_json(task.folder / f"{name}.result.json") or {}


def _explain_death(name: str, task: PublishTask) -> AutoDLError:
    """A program that left no result: what ended it, and whose fault that is."""
    end = _read_ends(task).get(name)
    how = _say_end(end)
    if end is not None and end.exit_code == DISK_EXIT:
        return explain_disk(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    if name == "solve" and task.kind == "solve" and (not task.final or _has_timed_out(end)):
        # A pod's limits end it together with the solution, which else cannot reach it.
        message = f"The program that drives the solution {how}."
        hint = "Most often the machine ran out of memory: make batches smaller."
        return SolutionError("solution-died", message, hint=hint)
    if name == "solve" and _has_timed_out(end):
        message, hint = f"The check of the data {how}.", "Send fewer or smaller items."
        return BundleError("check-timed-out", message, hint=hint)
    message = f"The program {name!r} of the run {how}."
    return PlatformError("program-died", message, hint=AGAIN)


def _has_timed_out(end: ProgramEnd | None) -> bool:
    return end is not None and end.timed_out


def _say_end(end: ProgramEnd | None) -> str:
    if end is None:
        return "was never started"
    if end.timed_out:
        return f"was stopped after {end.seconds:.0f} seconds"
    if end.exit_code < 0:
        return f"was ended by signal {-end.exit_code} after {end.seconds:.0f} seconds"
    return f"ended with code {end.exit_code} after {end.seconds:.0f} seconds"


def explain_no_points(task: PublishTask) -> Json:
    """The solution ended well, and yet nothing could be scored."""
    result = read_result(task, "score")
    if not result or result["error"] is not None:
        raise PlatformError("scoring-failed", "The predictions could not be scored.", hint=AGAIN)
    refused: Json | None = result["value"]["refused"]
    return refused or describe_error(
        SolutionError(
            "no-prediction",
            "The solution ended, or had no time left, before its first prediction.",
            hint="Let a first, simple prediction come in seconds, and give it a longer budget.",
        )
    )


def read_log(task: PublishTask) -> bytes:
    """What the solution said, or what decoded the data, then a line for each of our programs.

    No failure has an empty log.
    """
    log = read_guest_log(task.output) or _read_check_log(task)
    ends = _read_ends(task)
    lines = "".join(f"[{name} {_say_end(end)}]\n" for name, end in ends.items())
    return log + (b"" if not log or log.endswith(b"\n") else b"\n") + lines.encode()


def describe_failure(task: PublishTask, error: Json) -> Json:
    """All that is known of a failure, for its page: see ``docs/results.md``."""
    programs = {
        name: {
            "exit_code": end.exit_code if end.exit_code >= 0 else None,
            "signal": -end.exit_code if end.exit_code < 0 else None,
            "seconds": end.seconds,
            "timed_out": end.timed_out,
            "error": (read_result(task, name).get("error") or {}).get("message"),
        }
        for name, end in _read_ends(task).items()
    }
    outcome = read_result(task, "solve").get("value") or {}
    return {
        "schema": "autodl-failure/1",
        "error": error,
        "programs": programs,
        "solution": {key: outcome.get(key) for key in SOLUTION_FIELDS},
        "log_tail": read_log(task)[-TAIL_BYTES:].decode(errors="replace"),
    }


def read_resources(task: PublishTask) -> bytes | None:
    """What the solution used over time, as its supervisor wrote it down."""
    with suppress(OSError), open_plain(task.output / RESOURCES_NAME) as file:
        return file.read(RESOURCES_BYTES)
    return None


def _read_ends(task: PublishTask) -> dict[str, ProgramEnd]:
    status = read_status(task.folder)
    return status.programs if status else {}


def _read_check_log(task: PublishTask) -> bytes:
    try:
        return (task.folder / CHECK_LOG).read_bytes()
    except OSError:
        return b""
