"""The process tree of one solution: measure it whole, end it whole.

A solution may fork, start sessions of its own and let its parents die. Its keeper
(``autodl/keeper.py``) holds them all and ends them at a word; where the kernel gives it no such
hold, or a program is our own and has no keeper, they are searched and killed from here. On Linux
this process too makes itself a subreaper, so that orphans of a lost keeper become its children:
whoever uses a ``ProcessTree`` starts no other children while it lives.
"""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import psutil

from autodl.confine import become_subreaper
from autodl.untrusted import write_over

KILL_SECONDS = 10.0  # how long a fork bomb may hold out
POLL_SECONDS = 0.02
SAMPLE, MEASURE_SECONDS = 16, 0.3  # how far shared memory is measured, which takes long
CROWD = 64  # more processes than this are not asked to end, for they may be a bomb
CGROUP_LIMITS = (  # as a container sees its own, version 2 and 1
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
PAGE_BYTES, TICKS = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")


def share_memory(slots: int = 1) -> int:
    """Bytes that one of so many runs may use: four fifths of the machine's, or of our cgroup's."""
    total: int = psutil.virtual_memory().total
    for path in CGROUP_LIMITS:
        with suppress(OSError, ValueError):  # "max", or no such file
            total = min(total, int(path.read_text()))
    return total * 4 // 5 // slots


class Member(NamedTuple):
    """One process as a look found it; ``pid`` and ``start`` together are never used again."""

    pid: int
    start: float
    parent: int
    threads: int
    resident_bytes: int
    cpu_seconds: float  #: its own, and that of its children which it has collected


class ProcessTree:
    """The descendants of this process that are not older than the tree, nor of those that are.

    ``kept`` says that the root is a keeper, which ends all the others when it is told to.
    """

    root: subprocess.Popen[bytes]

    def __init__(self, *, kept: bool = False) -> None:
        become_subreaper()
        self._kept = kept
        self._count = 0
        self._others = {(p.pid, p.start) for p in _scan() if p.parent == os.getpid()}

    def start(self, command: list[str], env: dict[str, str], cwd: Path) -> BinaryIO:
        """Start the root in a session of its own; return the pipe of its output."""
        self.root = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if self._kept else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=env,
            cwd=cwd,
        )
        return cast("BinaryIO", self.root.stdout)

    def members(self) -> list[Member]:
        """The living processes of the tree, the keeper among them."""
        children = defaultdict(list)
        for process in _scan():
            children[process.parent].append(process)
        found: list[Member] = []
        parents = deque([os.getpid()])
        while parents:
            for process in children.pop(parents.popleft(), ()):
                if (process.pid, process.start) not in self._others:
                    parents.append(process.pid)
                    found.append(process)
        alive = [process for process in found if process.threads or self._reap(process)]
        self._count = len(alive)
        return alive

    def memory_bytes(self, members: list[Member], limit_bytes: int | None = None) -> int:
        """Return resident memory of the tree in bytes.

        The plain sum counts shared pages once per process. Where that sum is over the limit, it is
        scaled by the share of proportional (PSS) in resident size that the largest members have.
        """
        total = sum(process.resident_bytes for process in members)
        if limit_bytes is None or total <= limit_bytes or len(members) == 1:
            return total
        resident = proportional = 0
        deadline = time.monotonic() + MEASURE_SECONDS
        for process in sorted(members, key=lambda p: p.resident_bytes)[: -SAMPLE - 1 : -1]:
            with suppress(psutil.Error):
                proportional += int(psutil.Process(process.pid).memory_full_info().pss)
                resident += process.resident_bytes
            if time.monotonic() > deadline:
                break
        return total * proportional // resident if resident else total

    def unlinked_bytes(self, members: list[Member]) -> int:
        """Bytes of files without a name that the tree holds open: removed ones, and memory files.

        They take disk or memory, and neither a folder's size nor a process's tells of them.
        """
        sizes: dict[tuple[int, int], int] = {}
        for process in members:
            with suppress(OSError), os.scandir(f"/proc/{process.pid}/fd") as descriptors:
                for descriptor in descriptors:
                    with suppress(OSError):
                        found = descriptor.stat()
                        if found.st_nlink == 0 and stat.S_ISREG(found.st_mode):
                            sizes[found.st_dev, found.st_ino] = found.st_blocks * 512
        return sum(sizes.values())

    def end(self, grace_seconds: float) -> int | None:
        """Ask members to end, then kill them; return the command's exit code (as Popen's).

        None if some are left, which only the kernel can hold so fast.
        """
        if self._kept:
            self._tell_keeper(grace_seconds)
        elif grace_seconds:
            _signal_all(self.members(), signal.SIGTERM)
            deadline = time.monotonic() + grace_seconds
            while self.members() and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)
        deadline = time.monotonic() + KILL_SECONDS
        while (members := self.members()) and time.monotonic() < deadline:
            _signal_all(members, signal.SIGSTOP)  # who is stopped cannot fork
            _signal_all([*members, *self.members()], signal.SIGKILL)
            time.sleep(POLL_SECONDS)
        return None if members else self.root.wait()

    def _tell_keeper(self, grace_seconds: float) -> None:
        control = cast("BinaryIO", self.root.stdin)
        with suppress(BrokenPipeError, subprocess.TimeoutExpired):
            if self._count <= CROWD:  # as last seen: a look takes seconds in the middle of a bomb
                control.write(b"T")
                control.flush()
                self.root.wait(grace_seconds)
        with suppress(BrokenPipeError):
            control.close()
        with suppress(subprocess.TimeoutExpired):
            self.root.wait(KILL_SECONDS)

    def _reap(self, process: Member) -> bool:
        """Collect a dead orphan; the root is its `Popen`'s to collect."""
        if process.pid != self.root.pid:
            with suppress(ChildProcessError):  # its own parent lives and has to collect it
                os.waitpid(process.pid, os.WNOHANG)
        return False


def _scan() -> Iterator[Member]:
    """All processes of the machine; the dead have no threads, but a parent yet to collect them."""
    if sys.platform != "linux":
        yield from _scan_with_psutil()
        return
    for name in os.listdir("/proc"):  # noqa: PTH208 a thousand processes a look
        if name.isdigit():
            with suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
                fields = file.read().rpartition(b")")[2].split()
                threads, resident = int(fields[17]), int(fields[21]) * PAGE_BYTES
                # a leader that is a zombie while its threads run is as alive as any
                is_dead = fields[0] in b"ZX" and threads <= 1
                start, parent = float(fields[19]), int(fields[1])
                cpu = sum(map(int, fields[11:15])) / TICKS
                yield Member(int(name), start, parent, 0 if is_dead else threads, resident, cpu)


def _scan_with_psutil() -> Iterator[Member]:
    wanted = ["create_time", "ppid", "status", "num_threads", "memory_info", "cpu_times"]
    for process in psutil.process_iter(wanted):
        found = process.info
        is_dead = found["status"] == psutil.STATUS_ZOMBIE
        threads = 0 if is_dead else found["num_threads"] or 1
        resident = found["memory_info"].rss if found["memory_info"] else 0
        cpu = sum(found["cpu_times"][:4]) if found["cpu_times"] else 0.0
        yield Member(process.pid, found["create_time"], found["ppid"], threads, resident, cpu)


def _signal_all(processes: Iterable[Member], number: signal.Signals) -> None:
    for process in processes:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(process.pid, number)


class BoundedLog(threading.Thread):
    """Keeps what comes through a pipe, head and tail, and writes the head to a file as it comes.

    The file lies where the solution can reach it; ``close`` writes it anew from what was kept.
    """

    def __init__(self, source: BinaryIO, path: Path, limit_bytes: int) -> None:
        super().__init__(name="log", daemon=True)
        self._source = source
        self._path = path
        self._file = path.open("wb", buffering=0)
        self._limit = limit_bytes // 2  # of the head, and of the tail
        self._head = bytearray()
        self._tail = bytearray()
        self._left_out = 0

    def run(self) -> None:
        """Read until the last writer has closed the pipe."""
        while chunk := os.read(self._source.fileno(), 1 << 16):
            room = self._limit - len(self._head)
            if room > 0:
                self._head += chunk[:room]
                with suppress(OSError):  # on a full disk the solution must still not block
                    self._file.write(chunk[:room])
            if len(chunk) > room:
                self._keep(chunk[max(room, 0) :])

    def _keep(self, chunk: bytes, slack: int = 1 << 20) -> None:
        """Add to the tail; it is cut when it has grown by the slack, for each cut moves it."""
        self._tail += chunk
        if (excess := len(self._tail) - self._limit) > slack:
            self._left_out += excess
            del self._tail[:excess]

    def close(self, seconds: float = 2.0) -> None:
        """Wait for the last output, then write head, what was left out, and tail."""
        self.join(seconds)
        self._keep(b"", slack=0)
        gap = f"\n... {self._left_out} bytes left out ...\n" if self._left_out else ""
        self._file.close()
        with suppress(OSError):  # on a full disk the head is there already, as far as it went
            write_over(self._path, bytes(self._head) + gap.encode() + bytes(self._tail))
