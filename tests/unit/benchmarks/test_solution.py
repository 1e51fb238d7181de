"""The benchmark reads curves rightly, and a run that fails is a line of its table."""

import json
import platform
from pathlib import Path

import pytest

from benchmarks import curves
from benchmarks import solution as bench

CURVE = ((2.0, 0.5), (9.0, 0.8), (40.0, 0.7))
POINTS = [{"seconds": seconds, "nauc": nauc} for seconds, nauc in CURVE]


@pytest.mark.parametrize(
    ("seconds", "expected"), [(1, None), (2, 0.5), (10, 0.8), (39.9, 0.8), (60, 0.7)]
)
def test_the_curve_is_a_step_function(seconds: float, expected: float | None) -> None:
    assert bench.nauc_at(POINTS, seconds) == expected


def test_the_largest_fall_is_between_neighbours() -> None:
    assert bench.largest_fall(POINTS) == pytest.approx(0.1)
    assert bench.largest_fall(POINTS[:2]) == 0
    assert bench.largest_fall([]) == 0


def test_a_dataset_that_cannot_be_used_is_a_failed_line(tmp_path: Path) -> None:
    options = bench.parse([str(tmp_path), "--work", str(tmp_path / "work")])
    result = bench.run(str(tmp_path), "constant", True, 5.0, options)
    assert result.status != "succeeded"
    assert result.message
    (line,) = bench.table([result], 5).splitlines()[2:]
    assert line.startswith(f"| {tmp_path.name} | constant | yes | - |")


def test_a_public_table_is_learnt_and_the_command_goes_on_where_it_was(tmp_path, monkeypatch):
    out = tmp_path / "results.json"
    command = ["solution", "sklearn:iris", "--solution", "constant", "--budget", "5"]
    command += ["--work", str(tmp_path / "work"), "--out", str(out)]
    monkeypatch.setattr(bench.sys, "argv", command)
    assert bench.main() == 0
    (result,) = bench.load(out)
    assert (result.dataset, result.status, result.nauc) == ("sklearn_iris", "succeeded", 0.0)
    assert "| constant | yes | 1 | 0.000 | 1.00 | 0 |" in out.with_suffix(".md").read_text()
    monkeypatch.setattr(bench, "run", lambda *_: pytest.fail("it was run again"))
    assert bench.main() == 0
    curves.main([str(out), str(tmp_path / "curves.svg")])
    assert "constant 0.000" in (tmp_path / "curves.svg").read_text().replace("\n", " ")


def test_what_a_peer_is_not_for_is_no_failure() -> None:
    ours, theirs = (bench.Result("d", who, True, 60.0) for who in ("winner", "peer"))
    ours.status, ours.alc, theirs.status = "succeeded", 0.5, bench.SKIPPED
    lines = bench.summary([ours, theirs]).splitlines()
    assert lines[2:] == ["| winner | yes | 1 | 0.500 | 1.00 | 0 |"]


def test_equal_solutions_share_their_ranks() -> None:
    results = [bench.Result("d", who, True, 60.0, "succeeded", alc=0.5) for who in "ab"]
    assert bench.summary(results).count("| 1.50 |") == 2


def test_the_table_has_a_column_for_each_mark_inside_the_budget() -> None:
    head = bench.table([], 60).splitlines()[0]
    assert [f"{mark} s" in head for mark in bench.MARKS] == [True, True, True, *[False] * 4]


def test_the_machine_is_described_but_not_named() -> None:
    facts = bench.machine(2)
    assert {"cores", "processor", "memory_gib", "python"} <= set(facts)
    assert platform.node() not in json.dumps(facts)
