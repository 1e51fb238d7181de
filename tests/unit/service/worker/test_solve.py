"""A check is confined; what it finds is a report, and its death our fault."""

import json
import sys
from contextlib import nullcontext

import pytest

from autodl import check, sandbox
from autodl.errors import BundleError, PlatformError
from formatter.convert import convert
from formatter.source import Options
from service.worker import check as worker_check
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


def test_texts_are_checked_within_the_limits_too(task, tmp_path) -> None:
    rows = "".join(
        f"the {word} film number {n},{word}\n" for n in range(20) for word in ("good", "bad")
    )
    (tmp_path / "opinions.csv").write_text("text,label\n" + rows)
    bundle = convert(tmp_path / "opinions.csv", tmp_path / "opinions", Options(kind="text"))
    assert bundle.kind == "text"
    solve(task.model_copy(update={"bundle": tmp_path / "opinions"}))
    summary = json.loads((task.output / "report.json").read_text())["summary"]
    assert summary["languages"] == {"en": 1.0}


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
    held = sandbox.strength()
    refused = bool(held.landlock_abi) and not held.wall  # behind the wall there is no such file
    with pytest.raises(PlatformError, match="code 1") if refused else nullcontext():
        solve(task)
    if held.wall:
        assert not json.loads((task.output / "report.json").read_text())["ok"]


def test_a_check_that_dies_is_our_fault(task, monkeypatch) -> None:
    monkeypatch.setattr(program, "ROOMS", (task.bundle,))  # it cannot even import itself
    with pytest.raises(PlatformError) as caught:
        solve(task)
    assert caught.value.code == "check-died"


def test_a_check_that_takes_too_much_memory_is_the_datas_fault(task) -> None:
    with pytest.raises(BundleError, match="16 MiB") as caught:
        solve(task.model_copy(update={"memory_bytes": 16 << 20}))
    assert caught.value.code == "check-out-of-memory"


def test_an_item_that_asks_for_more_memory_than_there_is_is_the_datas_fault(
    task, monkeypatch
) -> None:
    monkeypatch.setattr(check, "check", lambda bundle: bytearray(1 << 60))
    monkeypatch.setattr(sys, "argv", ["check", str(task.bundle), str(task.output), "{}"])
    with pytest.raises(SystemExit) as caught:
        worker_check.main()
    assert caught.value.code == worker_check.OUT_OF_MEMORY
