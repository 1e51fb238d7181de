"""A tree without a keeper is found and ended as well; a log never grows beyond its bound."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autodl.processes import BoundedLog, ProcessTree
from tests.processes import descendants

DEAF_ORPHANS = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(600)
        os._exit(0)
open("ready", "w").close()
time.sleep(600)
"""


def start(code: str, folder: Path) -> ProcessTree:
    tree = ProcessTree()
    tree.start([sys.executable, "-c", code], {}, folder).close()
    return tree


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_orphans_that_ignore_the_request_are_killed(tmp_path) -> None:
    before = descendants()
    tree = start(DEAF_ORPHANS, tmp_path)
    wait_for(tmp_path / "ready")
    assert len(tree.members()) >= 4
    assert tree.end(0.3) == -signal.SIGKILL
    assert tree.members() == []
    assert descendants() <= before


def test_who_ends_when_asked_is_not_killed(tmp_path) -> None:
    code = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
open("ready", "w").close()
time.sleep(600)
"""
    tree = start(code, tmp_path)
    wait_for(tmp_path / "ready")
    assert tree.end(20.0) == 5


def test_children_from_before_are_no_part_of_it(tmp_path) -> None:
    elder = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        tree = start("import time; time.sleep(600)", tmp_path)
        assert {p.pid for p in tree.members()} == {tree.root.pid}
        tree.end(0.0)
        assert elder.poll() is None
    finally:
        elder.kill()
        elder.wait()


def test_memory_that_is_shared_counts_once_near_the_limit(tmp_path) -> None:
    code = """
import os, time
held = bytearray(os.urandom(100 << 20))
for _ in range(3):
    if os.fork() == 0:
        time.sleep(600)
open("ready", "w").close()
time.sleep(600)
"""
    tree = start(code, tmp_path)
    try:
        wait_for(tmp_path / "ready")
        members = tree.members()
        assert tree.memory_bytes(members) > 400 << 20
        if sys.platform == "linux":
            assert 100 << 20 < tree.memory_bytes(members, limit_bytes=300 << 20) < 200 << 20
    finally:
        tree.end(0.0)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (b"", b""),
        (b"abc", b"abc"),
        (b"0123456789", b"0123456789"),
        (b"0123" + b"x" * 100_000 + b"6789", b"0123xx\n... 99996 bytes left out ...\nxx6789"),
    ],
)
def test_a_log_keeps_head_and_tail(tmp_path, said, kept) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as source:
        log = BoundedLog(source, tmp_path / "log.txt", 12)
        log.start()
        for k in range(0, len(said), 4):
            os.write(writing, said[k : k + 4])
        os.close(writing)
        log.close()
    assert (tmp_path / "log.txt").read_bytes() == kept
