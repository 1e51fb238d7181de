"""The process between a supervisor and a confined command: it holds the command's whole tree.

    python -P -m autodl.keeper PLAN COMMAND...

Every process that the command leaves behind becomes a child of the keeper (Linux: subreaper). Where
Landlock scopes signals, the keeper first enters a domain of its own: then "all processes that I may
signal" are exactly the command's tree, and one system call ends them all at once, which no fork
outruns. The command's own, inner domain keeps it from signalling the keeper.

On a pipe as standard input the supervisor says ``T`` to send SIGTERM to all; the pipe's end kills
all, and so does the supervisor's death. The keeper leaves as the command did, with its exit code or
signal, once nothing of the tree is left.
"""

from __future__ import annotations

import os
import select
import signal
import stat
import sys
import time
from contextlib import suppress

from autodl.confine import FAILED, Plan, become_subreaper, confine, scope_signals

POLL_SECONDS = 0.02
IGNORED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)  # the pipe is the way to say it


class Keeper:
    """Starts a command and keeps its tree; ``status`` is the command's, once it is known."""

    def __init__(self, plan: Plan, command: list[str]) -> None:
        become_subreaper()
        # Trusted only if seen to hold: elsewhere, "all" would be all of this user's processes.
        self._parent = os.getppid()
        self._holds_all = scope_signals(plan.strength) and not _reaches(self._parent)
        self.status: int | None = None
        self._child = _start(plan, command)
        for number in IGNORED:
            signal.signal(number, signal.SIG_IGN)

    def keep(self) -> int:
        """Wait until the command has ended, or must end; return its wait status."""
        is_pipe = stat.S_ISFIFO(os.fstat(0).st_mode)
        while self._reap() and self.status is None and os.getppid() == self._parent:
            ready, _, _ = select.select([0] if is_pipe else [], [], [], POLL_SECONDS)
            if ready and os.read(0, 1) != b"T":
                break
            if ready:
                self._signal(signal.SIGTERM)
        self._signal(signal.SIGKILL)
        while self._reap() and (self._holds_all or self.status is None):
            self._signal(signal.SIGKILL)
            time.sleep(POLL_SECONDS)
        return signal.SIGKILL if self.status is None else self.status

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            if self._holds_all:
                os.kill(-1, number)
            else:
                os.killpg(self._child, number)

    def _reap(self) -> bool:
        """Collect the dead; tell whether any are left alive."""
        try:
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                if found[0] == self._child:
                    self.status = found[1]
        except ChildProcessError:
            return False
        return True


def _reaches(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return False
    except ProcessLookupError:
        return True  # nobody there to ask, so nothing is proved
    return True


def _start(plan: Plan, command: list[str]) -> int:
    """Fork, confine the child, execute the command in it. OSError if one of these fails."""
    reading, writing = os.pipe()  # closed by the execution itself
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            confine(plan)
            os.execv(command[0], command)  # noqa: S606 that is what this program is for
        except OSError as error:
            os.write(writing, str(error).encode())
        os._exit(FAILED)
    os.close(writing)
    failure = os.read(reading, 1 << 12)
    os.close(reading)
    if failure:
        raise OSError(failure.decode())
    return child


def main() -> None:
    """Keep a command, then leave as it did; FAILED is the keeper's own and becomes 1."""
    try:
        status = Keeper(Plan.from_json(sys.argv[1]), sys.argv[2:]).keep()
    except OSError as error:
        sys.stderr.write(f"confinement failed: {error}\n")
        sys.exit(FAILED)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    code = os.waitstatus_to_exitcode(status)
    sys.exit(1 if code == FAILED else code)


if __name__ == "__main__":
    main()
