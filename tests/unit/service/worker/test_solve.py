"""A check is confined; what it finds is a report, and its death our fault."""

import json
from contextlib import nullcontext

import pytest

from autodl import confine
from autodl.errors import PlatformError
from service.worker import solve as program
from service.worker.solve import solve
from service.worker.tasks import SolveTask


@pytest.fixture
def task(tiny_bundle, tmp_path) -> SolveTask:
    return SolveTask(
        kind="check",
        result=tmp_path / "result.json",
        bundle=tiny_bundle,
        output=tmp_path / "output",
        solution=None,
        budget_seconds=1,
        construction_seconds=1,
        gpu=None,
        weights=None,
    )


def test_a_check_leaves_its_report(task) -> None:
    assert solve(task) is None
    report = json.loads((task.output / "report.json").read_text())
    assert report["ok"]
    assert report["summary"]


def test_bad_data_are_in_the_report(task) -> None:
    (task.bundle / "toy.solution").unlink()
    solve(task)
    assert not json.loads((task.output / "report.json").read_text())["ok"]


def test_a_check_can_read_nothing_beside_the_bundle(task, tmp_path) -> None:
    outside = tmp_path / "secret"
    outside.write_text("1 0 0\n" * 20)
    labels = task.bundle / "toy.solution"
    labels.unlink()
    labels.symlink_to(outside)
    held = bool(confine.strength().landlock_abi)
    with pytest.raises(PlatformError, match="code 1") if held else nullcontext():
        solve(task)


def test_a_check_that_dies_is_our_fault(task, monkeypatch) -> None:
    monkeypatch.setattr(program, "SERVICE", task.bundle)  # it cannot even import itself
    with pytest.raises(PlatformError) as caught:
        solve(task)
    assert caught.value.code == "check-died"
