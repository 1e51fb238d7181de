"""The outer wall's parts: which devices a run sees, how it leaves, what is said of its strength."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from autodl import sandbox
from autodl.confine import Plan, Strength

WALLED = Plan((), (), (), 1, Strength(6, True, True))


@pytest.fixture
def devices(tmp_path) -> Path:
    for name in ("nvidia0", "nvidia3", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    return tmp_path


def test_a_run_sees_the_card_of_its_slot_and_no_other(devices) -> None:
    found = {Path(path).name for path in sandbox.find_devices("3", devices)}
    assert {"nvidia3", "nvidiactl", "nvidia-uvm"} <= found
    assert "nvidia0" not in found
    assert sandbox.renumber("3", devices) == "0"
    assert sandbox.renumber("3,0", devices) == "0,1"


def test_a_card_by_another_name_is_left_to_cuda(devices) -> None:
    found = {Path(path).name for path in sandbox.find_devices("GPU-8a", devices)}
    assert {"nvidia0", "nvidia3"} <= found
    assert sandbox.renumber("GPU-8a", devices) == "GPU-8a"


@pytest.mark.parametrize(
    ("said", "meant"), [(0, 0), (1, 1), (126, 126), (137, -signal.SIGKILL), (None, None)]
)
def test_a_signal_comes_through_the_wall(said, meant) -> None:
    assert sandbox.read_exit_code(WALLED, said) == meant


def test_without_bubblewrap_there_is_no_wall_and_the_rest_is_said(monkeypatch) -> None:
    monkeypatch.setattr(sandbox, "find_bubblewrap", lambda: None)
    sandbox._wall_works.cache_clear()
    try:
        assert sandbox.describe(sandbox.strength())["wall"] == "none"
    finally:
        sandbox._wall_works.cache_clear()


def test_behind_the_wall_root_is_nobody_and_its_view_read_only(tmp_path) -> None:
    if not sandbox.strength().wall:
        pytest.skip("bubblewrap cannot make namespaces here")
    output = tmp_path / "output"
    output.mkdir()
    plan = sandbox.make_plan(read=(), write=(output,), file_bytes=1 << 20)
    code = "import os; print(os.getuid(), os.access('/usr', os.W_OK)); open('x', 'w').close()"
    command = sandbox.enclose(plan, [sys.executable, "-I", "-S", "-c", code], output)
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env={}, check=False
    )
    assert done.returncode == 0, done.stderr
    own = output.parent.stat().st_uid
    assert done.stdout.split() == [str(own or sandbox.GUEST), "False"]
    assert (output / "x").stat().st_uid == (own or sandbox.GUEST)
