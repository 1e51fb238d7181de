"""The process tree of one solution: find it whole, measure it, end it.

A solution may fork, start sessions of its own and let its parents die. On Linux this process makes
itself a subreaper, so that orphans become its children instead of escaping; whoever uses a
``ProcessTree`` therefore starts no other children while it lives.
"""

from __future__ import annotations

import ctypes
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, cast

import psutil

from autodl.untrusted import write_over

PR_SET_CHILD_SUBREAPER = 36
KILL_SECONDS = 10.0  # how long a fork bomb may hold out
CROWD = 64  # more processes than this may be a bomb that grows while it is asked to end
POLL_SECONDS = 0.05


class ProcessTree:
    """All descendants of this process that are not older than the tree; ``root`` is the first."""

    root: subprocess.Popen[bytes]

    def __init__(self) -> None:
        self._this = psutil.Process()
        self._others = set(self._this.children(recursive=True))
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def start(self, command: list[str], env: dict[str, str], cwd: Path) -> BinaryIO:
        """Start the root in a session of its own, without input; return the pipe of its output."""
        self.root = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=env,
            cwd=cwd,
        )
        assert self.root.stdout is not None
        return cast("BinaryIO", self.root.stdout)

    def members(self) -> list[psutil.Process]:
        """The processes alive now; the dead among our orphans are reaped on the way."""
        alive = []
        for process in set(self._this.children(recursive=True)) - self._others:
            try:
                # a leader that is a zombie while its threads run is as alive as any
                if process.status() == psutil.STATUS_ZOMBIE and process.num_threads() <= 1:
                    self._reap(process)
                else:
                    alive.append(process)
            except psutil.NoSuchProcess:
                continue
        return alive

    def memory_bytes(self, members: list[psutil.Process], limit_bytes: int | None = None) -> int:
        """Return resident memory of the tree in bytes.

        The plain sum counts shared pages once per process; where that sum is over the limit,
        the slower proportional sizes (PSS) are summed instead.
        """
        total = _sum(lambda p: int(p.memory_info().rss), members)
        if limit_bytes is not None and total > limit_bytes and len(members) > 1:
            return _sum(lambda p: int(p.memory_full_info().pss), members)
        return total

    def threads(self, members: list[psutil.Process]) -> int:
        """Number of threads in the tree."""
        return _sum(lambda p: p.num_threads(), members)

    def unlinked_bytes(self, members: list[psutil.Process]) -> int:
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
        """Ask all members to end, then kill them; return the root's exit code (as Popen's).

        None if some are left, which only the kernel can hold so fast.

        A crowd is not asked. All are stopped before the first is killed, so that none can fork
        meanwhile.
        """
        members = self.members()
        _signal_all(members, signal.SIGTERM)
        deadline = time.monotonic() + grace_seconds
        while 0 < len(members) <= CROWD and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            members = self.members()
        deadline = time.monotonic() + KILL_SECONDS
        while members and time.monotonic() < deadline:
            stopped: set[psutil.Process] = set()
            while fresh := set(members) - stopped:
                _signal_all(list(fresh), signal.SIGSTOP)
                stopped |= fresh
                members = self.members()
                if time.monotonic() > deadline:
                    break
            _signal_all(list(stopped), signal.SIGKILL)
            time.sleep(POLL_SECONDS)
            members = self.members()
        return None if members else self.root.wait()

    def _reap(self, process: psutil.Process) -> None:
        if process.pid == self.root.pid:
            return  # its `Popen` collects it, and with it the exit code
        with suppress(ChildProcessError):  # its own parent lives and has to collect it
            os.waitpid(process.pid, os.WNOHANG)


def _signal_all(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue


def _sum(measure: Callable[[psutil.Process], int], processes: list[psutil.Process]) -> int:
    """Add up a measure; a process that is gone, or not ours to look at, counts nothing."""
    total = 0
    for process in processes:
        with suppress(psutil.Error):
            total += measure(process)
    return total


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
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
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

    def _keep(self, chunk: bytes) -> None:
        self._tail.append(chunk)
        self._tail_bytes += len(chunk)
        while self._tail_bytes - len(self._tail[0]) >= self._limit:
            gone = len(self._tail.popleft())
            self._tail_bytes -= gone
            self._left_out += gone

    def close(self, seconds: float = 2.0) -> None:
        """Wait for the last output, then write head, what was left out, and tail."""
        self.join(seconds)
        gap = f"\n... {self._left_out} bytes left out ...\n" if self._left_out else ""
        self._file.close()
        write_over(self._path, bytes(self._head) + gap.encode() + b"".join(self._tail))
