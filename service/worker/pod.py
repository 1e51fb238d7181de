"""The programs of a run as containers of one pod, in place of the supervisor of a local run.

``python -m service.worker.pod NAME`` takes the program's task from the environment. An init
container that fails would end the pod before ``publish`` could say why: so a program that left a
result ends with 0 whatever the result is, the next one looks at it, and only one that was killed
fails its pod. ``score`` is a sidecar, which must not end before it is told to.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType

from autodl.errors import PlatformError
from service.settings import inherited_environment, read_task
from service.worker.program import Json, read_guest_log, read_json, write_json
from service.worker.report import open_reporter
from service.worker.tasks import ReportTo

BEFORE = {"score": ("stage",), "solve": ("stage",), "publish": ("stage", "solve", "score")}
SCORE_SECONDS = 600.0  # for the last predictions to be scored
POLL_SECONDS = 0.5
LOG_SECONDS = 5.0


def main() -> None:
    """Do what the container is for."""
    name = sys.argv[1]
    task = read_task()
    result = Path(task["result"])
    folders = result.parent.parent
    if name == "publish":
        if task["kind"] == "solve":
            _wait_for_score(folders)
        _collect(folders, result.parent)
    scored = name == "score" and result.exists()  # and the sidecar was started again
    if name == "publish" or (_succeeded(folders, BEFORE.get(name, ())) and not scored):
        write_json(result.parent / f"{name}.json", task)
        beside = {"solve": _print_log, "score": _send_log}.get(name)
        code = _run(name, result, partial(beside, task) if beside else None)
        if name == "publish" or not result.exists():
            sys.exit(code)
    if name == "score":
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # nobody else would, for process 1
        while True:
            signal.pause()


def _run(name: str, result: Path, beside: Callable[[threading.Event], None] | None) -> int:
    """The program as a child, so that we see how it ends, and something to do meanwhile."""
    command = [sys.executable, "-P", "-m", f"service.worker.{name}"]
    over = threading.Event()
    if beside is not None:
        threading.Thread(target=beside, args=(over,), daemon=True).start()
    child = subprocess.Popen(
        [*command, str(result.parent / f"{name}.json")], env=inherited_environment()
    )

    def pass_on(number: int, _frame: FrameType | None) -> None:
        child.send_signal(number)

    signal.signal(signal.SIGTERM, pass_on)
    code = child.wait()
    over.set()
    return code if code >= 0 else 128 - code


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
        if source.is_file() and not source.is_symlink():
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
