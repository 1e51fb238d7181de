"""Confinement: a solution reaches its data and nothing else, and can still work."""

import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from autodl import sandbox
from autodl.bundle import find_bundle, split_bundle
from autodl.confine import FAILED, NUMBERS, SYSTEM, Plan, Strength, strength
from autodl.sandbox import describe
from autodl.solve import solve

NO_LIMIT = {"memory": "none"}  # these runs may use what there is


@pytest.fixture
def public(tiny_bundle: Path, tmp_path: Path) -> Path:
    split_bundle(find_bundle(tiny_bundle), tmp_path / "public", tmp_path / "labels")
    return tmp_path / "public"


def doors_opened(log: Path) -> set[str]:
    """What the nosy guest wrote of the doors it tried."""
    doors = json.loads(log.read_text().partition("DOORS ")[2].splitlines()[0])
    return {name for name, opened in doors.items() if opened}


def test_no_door_opens_that_the_kernel_can_hold(public, guests, tmp_path) -> None:
    if not (strength().landlock_abi >= 6 and strength().seccomp):
        pytest.skip(f"this kernel holds less: {strength()}")
    outcome = solve(public, guests / "nosy", tmp_path / "output", budget_seconds=10.0)
    assert doors_opened(tmp_path / "output/log.txt") == set()
    assert outcome.confinement == describe(sandbox.strength()) | NO_LIMIT
    reason = json.loads((tmp_path / "output/ingestion.json").read_text())
    assert reason["confinement"] == describe(sandbox.strength()) | NO_LIMIT
    assert not (guests / "nosy/left_behind").exists()


def test_where_the_kernel_holds_nothing_the_run_says_so(
    public, guests, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr("autodl.sandbox.strength", lambda: Strength(0, False))
    outcome = solve(public, guests / "nosy", tmp_path / "output", budget_seconds=10.0)
    assert outcome.confinement == describe(Strength(0, False)) | NO_LIMIT
    assert outcome.confinement["level"] == "none"
    assert doors_opened(tmp_path / "output/log.txt") >= {
        "read_beside_the_solution",
        "read_by_a_link",
        "read_by_a_child",
        "list_the_temporary_folder",
        "signal_the_supervisor",
        "open_an_internet_socket",
    }


@pytest.mark.slow
def test_frameworks_and_worker_processes_work_inside(public, guests, tmp_path) -> None:
    outcome = solve(public, guests / "frameworks", tmp_path / "output", budget_seconds=60.0)
    log = (tmp_path / "output/log.txt").read_text()
    assert (outcome.end, outcome.predictions) == ("ok", 1), log


def confined(code: str, tmp_path: Path, **changes) -> subprocess.CompletedProcess[str]:
    values = {
        "read": (*SYSTEM, sys.base_prefix, sys.prefix),
        "write": (str(tmp_path),),
        "devices": ("/dev/null",),
        "file_bytes": 1 << 20,
        "strength": strength(),
    }
    plan = Plan(**(values | changes))
    command = plan.command([sys.executable, "-I", "-S", "-c", code])
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_file_can_be_moved_between_folders_of_its_own_but_not_out(tmp_path) -> None:
    for name in ("mine/a", "mine/b", "other"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "mine/a/file").write_text("x")
    code = """
import os
os.rename("mine/a/file", "mine/b/file")
os.rename("mine/b/file", "other/file")
"""
    done = confined(f"import os; os.chdir({str(tmp_path)!r}){code}", tmp_path / "mine")
    assert (tmp_path / "mine/b/file").exists()
    if strength().landlock_abi:
        assert "mine/b/file' -> 'other/file" in done.stderr
        assert not (tmp_path / "other/file").exists()


def test_a_file_cannot_grow_beyond_the_disk_limit(tmp_path) -> None:
    code = f"open({str(tmp_path / 'big')!r}, 'wb').write(bytes(1 << 21))"
    assert "File too large" in confined(code, tmp_path).stderr
    assert (tmp_path / "big").stat().st_size <= 1 << 20


def test_without_landlock_the_other_half_still_holds(tmp_path) -> None:
    if not strength().seccomp:
        pytest.skip("this kernel has no seccomp filter")
    code = "open('/etc/passwd').close(); print('read'); import socket; socket.socket()"
    done = confined(code, tmp_path, strength=Strength(0, True))
    assert done.stdout == "read\n"
    assert "PermissionError" in done.stderr
    assert Strength(0, True).to_json() == {"files": "none", "network": "seccomp"}


def test_a_plan_that_cannot_be_fulfilled_stops_the_program(tmp_path, monkeypatch) -> None:
    if not strength().seccomp:
        pytest.skip("this kernel has no seccomp filter to refuse the next")
    inner = Plan((), (), (), 1 << 20, Strength(6, True))
    command = inner.command([sys.executable, "-c", "print('reached')"])
    # landlock_create_ruleset is refused by a filter of the outer process
    code = f"""
import ctypes, os, struct
lines = [(0x20, 0, 0, 0), (0x15, 0, 1, 444), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7FFF0000)]
buffer = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in lines))
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, struct.pack("@HP", len(lines), ctypes.addressof(buffer)), 0, 0) == 0
os.execv({command[0]!r}, {command!r})
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == FAILED
    assert "landlock_create_ruleset" in done.stderr
    assert "reached" not in done.stdout


def test_both_machines_name_the_same_calls() -> None:
    assert NUMBERS["x86_64"].keys() == NUMBERS["aarch64"].keys()
    assert platform.machine() in NUMBERS
