"""One run on this machine: starts its programs in order, minds their time, and writes what it sees.

``python -m service.worker.supervisor TASK`` lives in a session of its own, so a service that is
killed or restarted finds it again: while it lives it holds a lock on its run's folder, and
``status.json`` there always says how far it is. Nothing that a program starts outlives it.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel

from autodl.processes import BoundedLog, ProcessTree
from autodl.untrusted import open_plain
from service.executors.base import End, Phase, RunKind
from service.settings import inherited_environment
from service.worker.check import PROGRESS_NAME
from service.worker.program import read_json, write_json

LOG_BYTES = 2 * 1024 * 1024  # kept of each program's output: the beginning and the end
GRACE_SECONDS = 2.0  # between TERM and KILL
STARTS = 3  # of a program of ours whose work may be repeated
POLL_SECONDS = 0.05
FULL_SECONDS = 60.0  # for a full disk to take the last status
CHECKING, FORMATTING = "Checking the data.", "Formatting the data"
LOADING = "The solution is being loaded."


class SupervisorTask(BaseModel):
    """What to run, and how long each program may take."""

    run_id: str
    kind: RunKind
    gpu: str | None
    programs: dict[str, list[str]]  #: command lines of stage, solve, score, publish
    limits: dict[str, float]  #: seconds before we use force
    environment: dict[str, str]  #: of the programs, beside what they inherit


class ProgramEnd(BaseModel):
    """How a program ended; a negative ``exit_code`` is the signal that ended it."""

    exit_code: int
    seconds: float
    timed_out: bool = False


class Status(BaseModel):
    """``status.json``: written by the supervisor, read by the executor and by ``publish``."""

    pid: int
    phase: Phase
    message: str
    started_at: str
    end: End | None = None
    programs: dict[str, ProgramEnd] = {}


def read_status(folder: Path) -> Status | None:
    """The newest status of the run in this folder; ``None`` before the first."""
    value = read_json(folder / "status.json")
    return None if value is None else Status.model_validate(value)


class Interrupted(Exception):  # noqa: N818 it is no error
    """We were asked to stop."""


class Program:
    """One program at work."""

    def __init__(self, name: str, task: SupervisorTask, folder: Path, log: str) -> None:
        self.name = name
        self.tree = ProcessTree()
        command = [*task.programs[name], str(folder / f"{name}.json")]
        environment = inherited_environment() | task.environment
        self._pipe = self.tree.start(command, environment, folder)
        self._started = time.monotonic()
        self._log = BoundedLog(self._pipe, folder / "logs" / log, LOG_BYTES)
        self._log.start()

    @property
    def seconds(self) -> float:
        """Since its start."""
        return round(time.monotonic() - self._started, 3)

    def is_over(self) -> bool:
        """Whether the program itself has ended; what it started may live."""
        return self.tree.root.poll() is not None

    def close(self, timed_out: bool) -> ProgramEnd:
        """End what the program left behind, and say how it ended itself."""
        seconds = self.seconds
        self.tree.end(GRACE_SECONDS)
        code = self.tree.root.wait(GRACE_SECONDS)
        self._log.close()
        self._pipe.close()
        return ProgramEnd(exit_code=code, seconds=seconds, timed_out=timed_out)


class Supervisor:
    """The run in ``folder``."""

    def __init__(self, folder: Path, task: SupervisorTask) -> None:
        self.folder = folder
        self.task = task
        self.interrupted = (folder / "cancel").exists()
        self._running: list[Program] = []  # oldest first, whose tree has the others in it
        self.status = Status(
            pid=os.getpid(),
            phase=Phase.RUNNING,
            message="Starting.",
            started_at=datetime.now(UTC).isoformat(),
        )

    def run(self) -> None:
        """Every program in turn; always ends with a status that says how it went."""
        signal.signal(signal.SIGTERM, self._interrupt)
        for name in ("logs", "tmp"):
            (self.folder / name).mkdir(exist_ok=True)
        try:
            self._run_steps()
            end, message = self._judge()
        except Interrupted:
            wanted = (self.folder / "cancel").exists()
            end, message = (End.CANCELED if wanted else End.KILLED), "The run was ended early."
            for program in self._running:
                program.tree.end(GRACE_SECONDS)
        deadline = time.monotonic() + FULL_SECONDS
        while not self._write(phase=Phase.ENDED, end=end, message=message):
            if time.monotonic() > deadline:
                return  # we are seen to be gone
            time.sleep(POLL_SECONDS)

    def _run_steps(self) -> None:
        self._write(message="Fetching and unpacking the data.")
        if self._finish(self._start("stage")):
            if self.task.kind is RunKind.CHECK:
                self._write(message=CHECKING)
                self._finish(self._start("solve"))
            else:
                self._solve_and_score()
        self._write(message="Storing the results.")
        self._finish_surely(self._start("publish"))

    def _solve_and_score(self) -> None:
        """Score beside the solution; a scorer that died goes on when the solution has stopped."""
        self._write(message=LOADING)
        score = self._start("score")
        self._finish(self._start("solve"))
        (self.folder / "over").touch()
        self._write(message="Scoring the last predictions.")
        self._finish_surely(score)

    def _finish_surely(self, program: Program) -> None:
        """A run of twenty minutes is not lost because one of our own programs was killed."""
        for number in range(2, STARTS + 1):
            if self._finish(program):
                return
            program = self._start(program.name, f"{program.name}-{number}.log")
        self._finish(program)

    def _start(self, name: str, log: str | None = None) -> Program:
        program = Program(name, self.task, self.folder, log or f"{name}.log")
        self._running.append(program)
        return program

    def _finish(self, program: Program) -> bool:
        """Wait until the program ends or has had its time, then end what it left behind."""
        limit = program.seconds + self.task.limits[program.name]
        timed_out = False
        while not program.is_over() and not timed_out:
            if self.interrupted:
                raise Interrupted
            time.sleep(POLL_SECONDS)
            message = self.read_news()
            if message != self.status.message:
                self._write(message=message)
            timed_out = program.seconds > limit
        end = program.close(timed_out)
        self._running.remove(program)
        self._write(programs=self.status.programs | {program.name: end})
        if self.interrupted:  # who ended us may have ended the program with the same word
            raise Interrupted
        return end.exit_code == 0

    def read_news(self) -> str:
        """What a program at work says of itself by its files, whose content is not trusted."""
        output, message = self.folder / "output", self.status.message
        if message == LOADING and (output / "start.txt").exists():
            return "The solution is learning."
        if message == CHECKING or message.startswith(FORMATTING):
            with suppress(OSError), open_plain(output / PROGRESS_NAME) as file:
                if (percent := file.read(3)).isdigit():
                    return f"{FORMATTING}: {min(100, int(percent))} %."
            return CHECKING
        return message

    def _judge(self) -> tuple[End, str]:
        """``publish`` recorded the outcome, whatever it was; or we failed."""
        publish = self.status.programs["publish"]
        if publish.exit_code == 0:
            return End.OK, "The outcome is recorded."
        error = (read_json(self.folder / "publish.result.json") or {}).get("error")
        how = "took too long" if publish.timed_out else f"ended with code {publish.exit_code}"
        return End.INFRA, error["message"] if error else f"Storing the results {how}."

    def _interrupt(self, _number: int, _frame: object) -> None:
        self.interrupted = True

    def _write(self, **changes: object) -> bool:
        """False on a full disk, where an older status stays: that is no reason to end a run."""
        self.status = self.status.model_copy(update=changes)
        try:
            write_json(self.folder / "status.json", self.status.model_dump(mode="json"))
        except OSError as error:
            print(f"the status could not be written: {error}", file=sys.stderr)  # noqa: T201 its log
            return False
        return True


@contextmanager
def hold(folder: Path, patience_seconds: float = 0.0) -> Iterator[bool]:
    """Hold the run's lock for the block; ``False`` when its supervisor does.

    The system releases it with the process, however that dies, and no clock or reused process id
    can mislead it.
    """
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + patience_seconds
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    yield False
                    return
                time.sleep(0.02)
            else:
                yield True
                return
    finally:
        os.close(descriptor)


def main() -> None:
    """Supervise the run whose task is named, unless somebody does."""
    path = Path(sys.argv[1])
    task = SupervisorTask.model_validate_json(path.read_bytes())
    # The executor's own look at the lock is short; a supervisor that holds it stays.
    with hold(path.parent, patience_seconds=1.0) as held:
        # A run is never begun twice: what a dead supervisor left is for the reconciler to judge.
        if held and read_status(path.parent) is None:
            Supervisor(path.parent, task).run()


if __name__ == "__main__":
    main()
