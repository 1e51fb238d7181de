"""A control group around a solution: there the kernel itself holds its memory, at every moment.

It takes a subtree of version 2 that is ours, and the operator says so by the name of the group that
we are started in: ``autodl``, in a group that we may write to and that has the memory controller
(systemd: ``Delegate=memory`` and ``DelegateSubgroup=autodl``). A solution's group lies beside it,
for processes lie in leaves only. Elsewhere there is none, and ``autodl/meter.py`` watches alone.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from autodl.confine import FAILED
from autodl.errors import PlatformError

ROOT, OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
SUBGROUP = "autodl"
REMOVE_SECONDS = 5.0  # for the kernel to let go of the dead
ENTER = f'echo 0 > "$0" || exit {FAILED}; exec "$@"'


@dataclass(frozen=True)
class MemoryGroup:
    """One solution's group; ``None`` for the folder means that it has none."""

    folder: Path | None = None

    def enter(self, command: list[str]) -> list[str]:
        """The command line that goes into the group before it becomes ``command``."""
        if self.folder is None:
            return command
        return ["/bin/sh", "-c", ENTER, str(self.folder / "cgroup.procs"), *command]

    @property
    def has_killed(self) -> bool:
        """Whether the kernel ended it because the group had no memory left."""
        if self.folder is None:
            return False
        lines = (self.folder / "memory.events").read_text().splitlines()
        return any(int(count) > 0 for name, count in map(str.split, lines) if name == "oom_kill")


def find_subtree() -> Path | None:
    """The group in which we may make groups that have the memory controller; changes nothing."""
    with suppress(OSError):
        lines = OWN.read_text().splitlines()
        paths = [line.removeprefix("0::/") for line in lines if line.startswith("0::/")]
        group = ROOT.joinpath(*paths)
        controllers = (group.parent / "cgroup.controllers").read_text().split()
        is_ours = group.name == SUBGROUP and os.access(group.parent / "cgroup.procs", os.W_OK)
        return group.parent if is_ours and "memory" in controllers else None
    return None


@contextmanager
def holding(limit_bytes: int | None) -> Iterator[MemoryGroup]:
    """A group of that much memory, swap included, for the length of the block.

    Whoever passes it is ended together with all others in it. Raises ``PlatformError``
    (``confinement-failed``).
    """
    subtree = None if limit_bytes is None else find_subtree()
    if subtree is None:
        yield MemoryGroup()
        return
    try:
        folder = _make(subtree, limit_bytes)
    except OSError as error:
        raise PlatformError(
            "confinement-failed",
            f"no control group could be made for the solution: {error.strerror}.",
            hint=f"No process may lie in the group above {SUBGROUP!r}, which is to be ours alone.",
        ) from error
    try:
        yield MemoryGroup(folder)
    finally:
        _remove(folder)


def _make(subtree: Path, limit_bytes: int | None) -> Path:
    (subtree / "cgroup.subtree_control").write_text("+memory")
    folder = Path(tempfile.mkdtemp(prefix="solution-", dir=subtree))
    (folder / "memory.max").write_text(str(limit_bytes))
    (folder / "memory.oom.group").write_text("1")
    with suppress(OSError):  # not there where the kernel counts no swap
        (folder / "memory.swap.max").write_text("0")
    return folder


def _remove(folder: Path) -> None:
    deadline = time.monotonic() + REMOVE_SECONDS
    while time.monotonic() < deadline:
        try:
            folder.rmdir()
        except OSError:
            time.sleep(0.02)
        else:
            return
