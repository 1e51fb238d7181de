"""Whose fault the end of an ingestion was, in one code and one sentence.

What our own supervisor saw comes first; what the solution's process says of itself is believed
only in so far as it accuses itself or the data.
"""

from __future__ import annotations

import json
import re
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psutil

from autodl import confine
from autodl.errors import AutoDLError, BundleError, PlatformError, SolutionError
from autodl.untrusted import open_plain

End = Literal[
    "ok",
    "data_error",
    "solution_error",
    "timeout",
    "construction_timeout",
    "out_of_memory",
    "disk_full",
    "too_many_processes",
    "killed",
    "platform_error",
]


LESS_MEMORY = "Make batches smaller, or keep less of the data in memory at once."
LESS_DISK = "Remove what is no longer needed, or keep it in memory."
MAX_FILES = 100_000  # in the output folder; more would exhaust the disk's inodes
MAX_REASON_BYTES = 1 << 16
FULL_BYTES = 16 << 20  # a disk with less than this left is full

# Ends that ingestion notices itself, by the code it gives them.
ENDS: dict[str, End] = {
    "solution-construction-timeout": "construction_timeout",
    "solution-out-of-memory": "out_of_memory",
    "solution-disk-full": "disk_full",
}


@dataclass(frozen=True)
class Limits:
    """What a solution may use beside time; ``None`` means no limit."""

    memory_bytes: int | None = None
    disk_bytes: int = 10 << 30
    processes: int = 512
    threads: int = 8192
    log_bytes: int = 4 << 20
    model_bytes: int = 1 << 30


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True)
class Evidence:
    """What the supervisor saw: the limit that was reached, if one was, and how the process left."""

    breach: End | None
    exit_code: int | None
    peak_bytes: int
    limits: Limits
    disk_bytes: int = 0  #: the most that it had on disk
    free_bytes: int = FULL_BYTES  #: the least that was left there, as far as anyone looked

    @property
    def found_disk_full(self) -> bool:
        """Whether the disk was full, and not by what the solution wrote."""
        return self.free_bytes < FULL_BYTES and self.disk_bytes < self.limits.disk_bytes // 2


def describe(error: AutoDLError) -> dict[str, Any]:
    """Return an error as plain values; its ``family`` says whose fault it is."""
    families = {BundleError: "data", SolutionError: "solution", PlatformError: "platform"}
    message = f"{error.where}: {error.message}" if error.where else error.message
    return {
        "family": families[type(error)],
        "code": error.code,
        "message": message,
        "hint": error.hint,
    }


def judge(evidence: Evidence, output: Path) -> tuple[End, AutoDLError | None]:
    """Name the end; the error is None where the solution ended by itself or by the budget."""
    if evidence.exit_code is None:
        return "platform_error", PlatformError(
            "processes-left",
            "the solution's processes could not be ended.",
            hint="They wait for a device or a disk; restart the machine if they stay.",
        )
    if evidence.exit_code == confine.FAILED:
        return "platform_error", PlatformError(
            "confinement-failed",
            "the solution could not be confined as this machine promises.",
            hint="The log names the step that failed.",
        )
    if evidence.breach is not None:
        return evidence.breach, _explain_breach(evidence)
    if evidence.exit_code == -signal.SIGKILL:
        return _explain_kill(evidence)
    if evidence.exit_code < 0:
        name = signal.Signals(-evidence.exit_code).name
        return "solution_error", SolutionError(
            "solution-crashed",
            f"the solution's process died of {name}.",
            hint="Native code failed; the last lines of the log may name it.",
        )
    reason = read_reason(output)
    if reason is None:
        return "solution_error", SolutionError(
            "solution-exited",
            f"the solution's process left with exit code {evidence.exit_code} before its end.",
            hint="The last lines of the log may say why.",
        )
    error = reason.error
    if error is None:
        return "ok", None
    if isinstance(error, BundleError):
        return "data_error", error
    if error.code == "solution-disk-full" and evidence.found_disk_full:
        return "platform_error", PlatformError(
            "disk-unavailable",
            f"the machine's disk was full; the solution had {evidence.disk_bytes >> 20} MiB of it.",
            hint="The run is made again. If it lasts, the operator has to make room.",
        )
    return ENDS.get(error.code, "solution_error"), error


def _explain_kill(evidence: Evidence) -> tuple[End, AutoDLError]:
    """The kernel kills with this signal when memory runs out, and hardly anyone else does."""
    held = evidence.peak_bytes
    if held > psutil.virtual_memory().total // 2:
        return "out_of_memory", SolutionError(
            "solution-out-of-memory",
            f"the machine ran out of memory; the solution held {held >> 20} MiB.",
            hint=LESS_MEMORY,
        )
    return "killed", SolutionError(
        "solution-killed",
        "the solution's process was killed from outside or by itself.",
        hint="If it does not end itself, submit it again, and tell the operator.",
    )


def _explain_breach(evidence: Evidence) -> AutoDLError | None:
    limits = evidence.limits
    if evidence.breach == "construction_timeout":
        return SolutionError(
            "solution-construction-timeout",
            "importing model.py and Model(metadata) took longer than they may.",
            hint="Move work from the constructor to train, or make it shorter.",
        )
    if evidence.breach == "out_of_memory":
        return SolutionError(
            "solution-out-of-memory",
            f"the solution used more than {(limits.memory_bytes or 0) >> 20} MiB of memory.",
            hint=LESS_MEMORY,
        )
    if evidence.breach == "disk_full":
        return SolutionError(
            "solution-disk-full",
            f"the solution wrote more than {limits.disk_bytes >> 20} MiB or {MAX_FILES} files.",
            hint=LESS_DISK,
        )
    if evidence.breach == "too_many_processes":
        return SolutionError(
            "solution-too-many-processes",
            f"over {limits.processes} processes or {limits.threads} threads ran at once.",
            hint="Start fewer workers, and wait for those that are done.",
        )
    return None


@dataclass(frozen=True)
class Reason:
    """What ingestion said of its end; ``error`` is None after a good one."""

    error: AutoDLError | None


def read_reason(output: Path) -> Reason | None:
    """Read ``ingestion.json``, which the solution's process wrote: nothing in it is trusted."""
    try:
        with open_plain(output / "ingestion.json") as file:
            error: dict[str, Any] | None = json.loads(file.read(MAX_REASON_BYTES))["error"]
        if error is None:
            return Reason(None)
        code, message, hint = (str(error[key])[:1000] for key in ("code", "message", "hint"))
        family = BundleError if error["family"] == "data" else SolutionError
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", code):
        return None
    return Reason(family(code, message, hint=hint))
