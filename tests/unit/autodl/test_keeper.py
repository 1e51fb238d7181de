"""The keeper holds a command's whole tree, leaves as it left, and outlives no supervisor."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from autodl.confine import strength
from autodl.sandbox import make_plan
from tests.processes import descendants

FORK_AND_LEAVE = """
import os, time
for _ in range(5):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(600)
        os._exit(0)
"""


def start(code: str, folder: Path, **options) -> subprocess.Popen[bytes]:
    plan = make_plan(read=(), write=(folder,), file_bytes=1 << 20)
    command = plan.command([sys.executable, "-I", "-S", "-c", code])
    return subprocess.Popen(command, **({"stdin": subprocess.PIPE} | options))


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("code", "returned"),
    [
        ("pass", 0),
        ("raise SystemExit(3)", 3),
        ("raise SystemExit(126)", 1),
        ("import os; os.kill(os.getpid(), 11)", -signal.SIGSEGV),
        ("import os; os.kill(os.getpid(), 9)", -signal.SIGKILL),
    ],
)
def test_it_leaves_as_the_command_did(tmp_path, code, returned) -> None:
    assert start(code, tmp_path).wait(30) == returned


def test_what_the_command_leaves_behind_is_ended(tmp_path) -> None:
    before = descendants()
    keeper = start(FORK_AND_LEAVE, tmp_path)
    assert keeper.wait(30) == 0
    if strength().landlock_abi >= 6:
        assert descendants() <= before


def test_asked_politely_the_command_may_end_by_itself(tmp_path) -> None:
    code = f"""
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
open({str(tmp_path / "ready")!r}, "w").close()
time.sleep(600)
"""
    keeper = start(code, tmp_path)
    wait_for(tmp_path / "ready")
    keeper.stdin.write(b"T")
    keeper.stdin.flush()
    assert keeper.wait(30) == 5


@pytest.mark.parametrize("stdin", ["PIPE", "DEVNULL"])
def test_when_its_supervisor_dies_everything_dies(tmp_path, stdin) -> None:
    plan = make_plan(read=(), write=(tmp_path,), file_bytes=1 << 20)
    ready = tmp_path / "ready"
    code = f"{FORK_AND_LEAVE}\nopen({str(ready)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)"
    command = plan.command([sys.executable, "-I", "-S", "-c", code])
    supervisor = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import subprocess, time\n"
            f"keeper = subprocess.Popen({command!r}, stdin=subprocess.{stdin})\n"
            f"time.sleep(600)",
        ]
    )
    wait_for(ready)
    tree = psutil.Process(supervisor.pid).children(recursive=True)
    assert len(tree) >= (7 if strength().landlock_abi >= 6 else 2)
    os.kill(supervisor.pid, signal.SIGKILL)
    supervisor.wait()
    _, alive = psutil.wait_procs(tree, timeout=20)
    if strength().landlock_abi >= 6:
        assert alive == []


def test_the_command_cannot_reach_its_keeper(tmp_path) -> None:
    if strength().landlock_abi < 6:
        pytest.skip(f"this kernel does not scope signals: {strength()}")
    code = """
import os, signal, sys
try:
    os.kill(os.getppid(), signal.SIGKILL)
except PermissionError:
    sys.exit(7)
"""
    assert start(code, tmp_path).wait(30) == 7
