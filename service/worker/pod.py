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
from pathlib import Path
from types import FrameType

from service.settings import inherited_environment, read_task
from service.worker.program import read_json, write_json

BEFORE = {"score": ("stage",), "solve": ("stage",), "publish": ("stage", "solve", "score")}
SCORE_SECONDS = 600.0  # for the last predictions to be scored
POLL_SECONDS = 0.2


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
        code = _run(name, result, Path(task["output"]) if name == "solve" else None)
        if name == "publish" or not result.exists():
            sys.exit(code)
    if name == "score":
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # nobody else would, for process 1
        while True:
            signal.pause()


def _run(name: str, result: Path, output: Path | None) -> int:
    """The program as a child, so that what it prints and how it ends is seen by us."""
    command = [sys.executable, "-P", "-m", f"service.worker.{name}"]
    over = threading.Event()
    if output is not None:  # the solution's own words become the container's log
        threading.Thread(target=_echo, args=(output / "log.txt", over), daemon=True).start()
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


def _echo(log: Path, over: threading.Event) -> None:
    position = 0
    while True:
        last = over.wait(POLL_SECONDS)
        if log.is_file() and not log.is_symlink():
            with log.open("rb") as file:
                file.seek(position)
                while chunk := file.read(65536):
                    sys.stdout.buffer.write(chunk)
                position = file.tell()
            sys.stdout.buffer.flush()
        if last:
            return


if __name__ == "__main__":
    main()
