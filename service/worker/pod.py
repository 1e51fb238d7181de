"""The programs of a run as containers of one pod, in place of the supervisor of a local run.

``python -m service.worker.pod NAME`` takes the program's task from the environment. An init
container that fails would end the pod before ``publish`` could say why: so a program that left a
result ends with 0 whatever the result is, the next one looks at it, and only one that was killed
fails its pod. ``score`` is a sidecar, which must not end before it is told to; it has what it needs
to store what a killed ``solve`` left.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import FrameType

from autodl.errors import PlatformError
from service.executors.base import Phase
from service.settings import inherited_environment, read_task
from service.worker.program import Json, read_guest_log, read_json, write_json
from service.worker.report import open_reporter
from service.worker.supervisor import ProgramEnd, Status
from service.worker.tasks import ReportTo

BEFORE = {"solve": ("stage",), "publish": ("stage", "solve", "score")}
SCORE_SECONDS = 600.0  # for the last predictions to be scored
POLL_SECONDS = 0.5
LOG_SECONDS = 5.0
TOLD_SECONDS = 2.0  # for `solve` to note that it was told to end, when `score` is


def main() -> None:
    """Do what the container is for."""
    name = sys.argv[1]
    task = read_task()
    own = Path(task["result"]).parent
    folders = own.parent
    if name == "score":
        _score(task, own)
        return
    if name == "publish":
        if task["kind"] == "solve":
            _wait_for_score(folders)
        _collect(folders, own)
    elif not _succeeded(folders, BEFORE.get(name, ())):
        return
    child = _start(name, own, task)
    signal.signal(signal.SIGTERM, partial(_pass_on, child, own))
    over = threading.Event()
    if name == "solve":
        threading.Thread(target=_print_log, args=(task, over), daemon=True).start()
    code = child.wait()
    over.set()
    if name == "publish" or not Path(task["result"]).exists():
        sys.exit(code if code >= 0 else 128 - code)


def _start(name: str, own: Path, task: Json) -> subprocess.Popen[bytes]:
    """The program as a child, so that we see how it ends, and can do something meanwhile."""
    path = own / f"{name}.json"
    write_json(path, task)
    command = [sys.executable, "-P", "-m", f"service.worker.{name}", str(path)]
    return subprocess.Popen(command, env=inherited_environment())


def _pass_on(child: subprocess.Popen[bytes], own: Path, number: int, _frame: FrameType) -> None:
    (own / "told").touch()
    child.send_signal(number)


def _score(task: Json, own: Path) -> None:
    """Score until the solution has stopped; then there is only the end of the pod to wait for.

    That comes before ``publish`` where ``solve`` was killed, as it is for memory: then what it left
    is scored and stored from here. How the run ended is seen from outside.
    """
    told, over = threading.Event(), threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())  # nobody else would, for process 1
    began, folders, salvage = time.monotonic(), own.parent, task["salvage"]
    if _succeeded(folders, ("stage",)) and not Path(task["result"]).exists():
        child = _start("score", own, task)
        threading.Thread(target=_send_log, args=(task, over), daemon=True).start()
        while child.poll() is None:
            if told.is_set() or (folders / "publish/over").exists():
                (own / "over").touch()
            with suppress(subprocess.TimeoutExpired):
                child.wait(POLL_SECONDS)
        over.set()
        if not Path(task["result"]).exists():
            sys.exit(child.returncode if child.returncode >= 0 else 128 - child.returncode)
    told.wait()
    if salvage is not None and _was_killed(folders):
        _collect(folders, own)
        end = ProgramEnd(exit_code=-signal.SIGKILL, seconds=round(time.monotonic() - began, 1))
        write_json(own / "status.json", _say_killed(end).model_dump(mode="json"))
        sys.exit(_start("publish", own, salvage).wait())


def _was_killed(folders: Path) -> bool:
    """Whether ``solve`` ended by no will of its own, nor because the whole pod was told to end."""
    solve = folders / "solve"
    if (solve / "solve.result.json").exists() or not _succeeded(folders, ("stage",)):
        return False
    time.sleep(TOLD_SECONDS)
    return not (solve / "told").exists()


def _say_killed(end: ProgramEnd) -> Status:
    """What a supervisor would have seen."""
    return Status(
        pid=os.getpid(), phase=Phase.RUNNING, message="", started_at="", programs={"solve": end}
    )


def _succeeded(folders: Path, names: tuple[str, ...]) -> bool:
    results = [read_json(folders / name / f"{name}.result.json") for name in names]
    return all(result is not None and result["error"] is None for result in results)


def _wait_for_score(folders: Path) -> None:
    """Tell it that the solution has stopped, and give it time to finish."""
    (folders / "publish" / "over").touch()
    if not _succeeded(folders, ("stage",)):
        return  # nothing was solved
    deadline = time.monotonic() + SCORE_SECONDS
    while time.monotonic() < deadline and not (folders / "score/score.result.json").exists():
        time.sleep(POLL_SECONDS)


def _collect(folders: Path, target: Path) -> None:
    """The results of the others into one folder, where ``publish`` looks for them."""
    for name in BEFORE["publish"]:
        source = folders / name / f"{name}.result.json"
        if source.parent != target and source.is_file() and not source.is_symlink():
            shutil.copyfile(source, target / source.name)


def _print_log(task: Json, over: threading.Event) -> None:
    """The solution's own words become the container's log."""
    position = 0
    while True:
        last = over.wait(POLL_SECONDS)
        log = read_guest_log(Path(task["output"]))
        sys.stdout.buffer.write(log[position:])
        sys.stdout.buffer.flush()
        position = len(log)
        if last:
            return


def _send_log(task: Json, over: threading.Event) -> None:
    """And the run's, while it lasts: the process that answers users cannot ask the cluster."""
    reporter = open_reporter(ReportTo.model_validate(task["report_to"]))
    sent = b""
    while not over.wait(LOG_SECONDS):
        log = read_guest_log(Path(task["output"]))
        if log != sent:
            try:
                reporter.storage.put(reporter.key("log.txt"), [log])
            except PlatformError as error:  # nothing depends on it, and `score` meets the same
                print(f"the log could not be sent: {error}", file=sys.stderr)  # noqa: T201
            sent = log


if __name__ == "__main__":
    main()
