"""The process tree of one solution: find it whole, measure it, end it.

A solution may fork, start sessions of its own and let its parents die. On Linux this process makes
itself a subreaper, so that orphans become its children instead of escaping; whoever uses a
``ProcessTree`` therefore starts no other children while it lives.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, cast

import psutil

PR_SET_CHILD_SUBREAPER = 36
KILL_SECONDS = 10.0  # how long a fork bomb may hold out
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
                if process.status() == psutil.STATUS_ZOMBIE:
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
        total = sum(_resident_bytes(p) for p in members)
        if limit_bytes is not None and total > limit_bytes and len(members) > 1:
            return sum(_proportional_bytes(p) for p in members)
        return total

    def end(self, grace_seconds: float) -> None:
        """Ask all members to end, then kill them; nothing is left when this returns.

        They are all stopped before the first is killed, so that none can fork meanwhile.
        """
        members = self.members()
        _signal_all(members, signal.SIGTERM)
        deadline = time.monotonic() + grace_seconds
        while members and time.monotonic() < deadline:
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


def _resident_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _proportional_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0


class BoundedLog(threading.Thread):
    """Copies a pipe into a file of bounded size: the head as it comes, the tail at the end."""

    def __init__(self, source: BinaryIO, path: Path, limit_bytes: int) -> None:
        super().__init__(name="log", daemon=True)
        self._source = source
        self._file = path.open("wb", buffering=0)
        self._room = limit_bytes // 2
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self._tail_limit = limit_bytes // 2
        self._left_out = 0

    def run(self) -> None:
        """Read until the last writer has closed the pipe."""
        while chunk := os.read(self._source.fileno(), 1 << 16):
            head, rest = chunk[: self._room], chunk[self._room :]
            self._room -= len(head)
            self._write(head)
            if rest:
                self._keep(rest)

    def _write(self, data: bytes) -> None:
        with suppress(OSError):  # on a full disk the solution must still not block on its output
            self._file.write(data)

    def _keep(self, chunk: bytes) -> None:
        self._tail.append(chunk)
        self._tail_bytes += len(chunk)
        while self._tail_bytes - len(self._tail[0]) >= self._tail_limit:
            gone = len(self._tail.popleft())
            self._tail_bytes -= gone
            self._left_out += gone

    def close(self, seconds: float = 2.0) -> None:
        """Wait for the last output, then write the tail and what was left out before it."""
        self.join(seconds)
        if self._left_out:
            self._write(f"\n... {self._left_out} bytes left out ...\n".encode())
        self._write(b"".join(self._tail))
        self._file.close()
