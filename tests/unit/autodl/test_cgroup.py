"""Control groups, on a folder that stands in for the kernel's; ``test_solve`` has a real one."""

import subprocess

import pytest

from autodl import cgroup, sandbox
from autodl.confine import FAILED
from autodl.errors import PlatformError


@pytest.fixture
def subtree(tmp_path, monkeypatch):
    """What systemd would make of ``Delegate=memory`` and ``DelegateSubgroup=autodl``."""
    folder = tmp_path / "unit"
    (folder / "autodl").mkdir(parents=True)
    (folder / "cgroup.controllers").write_text("cpu memory pids\n")
    (folder / "cgroup.procs").touch()
    (tmp_path / "own").write_text("4:memory:/elsewhere\n0::/unit/autodl\n")
    monkeypatch.setattr(cgroup, "ROOT", tmp_path)
    monkeypatch.setattr(cgroup, "OWN", tmp_path / "own")
    return folder


def test_a_subtree_is_ours_where_the_operator_says_so(subtree) -> None:
    assert cgroup.find_subtree() == subtree
    assert sandbox.describe(sandbox.strength())["memory"] == "cgroup"


@pytest.mark.parametrize("own", ["0::/\n", "0::/unit/other\n", "4:memory:/unit/autodl\n", ""])
def test_any_other_group_is_left_alone(subtree, own) -> None:
    (subtree.parent / "own").write_text(own)
    assert cgroup.find_subtree() is None
    assert sandbox.describe(sandbox.strength())["memory"] == "watched"


def test_a_subtree_without_the_controller_is_none(subtree) -> None:
    (subtree / "cgroup.controllers").write_text("cpu pids\n")
    assert cgroup.find_subtree() is None


def test_a_group_has_its_limit_lets_a_command_in_and_goes(subtree) -> None:
    with cgroup.holding(300 << 20) as group:
        folder = group.folder
        said = {path.name: path.read_text() for path in folder.iterdir()}
        done = subprocess.run(group.enter(["/bin/echo", "in"]), capture_output=True, text=True)
        entered = (folder / "cgroup.procs").read_text()
        (folder / "memory.events").write_text("oom 3\noom_kill 0\noom_group_kill 0\n")
        assert not group.has_killed
        (folder / "memory.events").write_text("oom 4\noom_kill 2\noom_group_kill 1\n")
        assert group.has_killed
        for path in folder.iterdir():  # the kernel's own go with it
            path.unlink()
    assert said == {
        "memory.max": str(300 << 20),
        "memory.oom.group": "1",
        "memory.swap.max": "0",
    }
    assert (subtree / "cgroup.subtree_control").read_text() == "+memory"
    assert (done.stdout, entered) == ("in\n", "0\n")
    assert not folder.exists()


def test_a_group_that_cannot_be_entered_runs_nothing(tmp_path) -> None:
    command = cgroup.MemoryGroup(tmp_path / "gone").enter(["/bin/echo", "in"])
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (FAILED, "")


def test_a_subtree_with_processes_of_others_is_the_operators_to_mend(subtree) -> None:
    (subtree / "cgroup.subtree_control").mkdir()  # cannot be written, as where it is busy
    with pytest.raises(PlatformError, match="no control group") as caught, cgroup.holding(1 << 20):
        pass
    assert caught.value.code == "confinement-failed"


def test_without_a_limit_or_a_subtree_there_is_no_group(subtree) -> None:
    with cgroup.holding(None) as group:
        assert group.enter(["a", "b"]) == ["a", "b"]
        assert not group.has_killed
    (subtree.parent / "own").unlink()
    with cgroup.holding(1 << 20) as group:
        assert group.folder is None
