"""The benchmark reads curves rightly, and a run that fails is a line of its table."""

import importlib.util
import json
import platform
from pathlib import Path

import pytest

from benchmarks import curves, tables
from benchmarks import solution as bench
from winner_solution import config

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
    options = bench.parse(
        [str(tmp_path), "--solution", "constant", "--budget", "5", "--work", str(tmp_path / "work")]
    )
    ((missing, *where),) = bench.wanted(options)
    result = bench.run(missing, *where, options)
    assert result.status != "succeeded"
    assert result.message
    (line,) = tables.table([result], 5).splitlines()[2:]
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
    ours, theirs = (tables.Result("d", who, True, 60.0) for who in ("winner", "peer"))
    ours.status, ours.alc, theirs.status = "succeeded", 0.5, tables.SKIPPED
    lines = tables.summary([ours, theirs]).splitlines()
    assert lines[2:] == ["| winner | yes | 1 | 0.500 | 1.00 | 0 |"]


def test_equal_solutions_share_their_ranks() -> None:
    results = [tables.Result("d", who, True, 60.0, "succeeded", alc=0.5) for who in "ab"]
    assert tables.summary(results).count("| 1.50 |") == 2


def test_each_dataset_says_whether_we_are_above_every_other() -> None:
    runs = [
        tables.Result("d", who, True, 60.0, seed, status, alc=alc)
        for who, seed, status, alc in (
            ("winner", 0, "succeeded", 0.8),
            ("winner", 1, "succeeded", 0.6),
            ("linear", 0, "succeeded", 0.5),
            ("flaml", 0, "succeeded", 0.75),
            ("rocket", 0, tables.SKIPPED, None),
        )
    ]
    (line,) = tables.verdicts(runs).splitlines()[2:]
    assert line == "| d | yes | 0.700 | flaml | 0.750 | -0.050 | **no** |"
    assert tables.verdicts(runs[:2]) == ""
    (line,) = tables.noise(runs).splitlines()[2:]
    assert line.startswith("| d | winner | yes | 2 | 0.700 | 0.141 | 0.200 |")
    assert "| winner | yes | 1 | 0.700 | 2.00 | 0 |" in tables.summary(runs)


def test_another_seed_is_a_copy_of_the_winner_with_that_seed(tmp_path: Path) -> None:
    options = bench.parse(["d", "--seeds", "2", "--solution", "winner", "--solution", "linear"])
    runs = [(run.solution, run.seed) for run, *_ in bench.wanted(options)]
    assert runs == [("winner", 0), ("winner", 1), ("linear", 0)]
    copy = Path(bench.with_seed(1, tmp_path))
    spec = importlib.util.spec_from_file_location("config_of_another_seed", copy / "config.py")
    assert spec is not None
    assert spec.loader is not None
    knobs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(knobs)
    assert knobs.SEED == config.SEED + 1


def test_the_table_has_a_column_for_each_mark_inside_the_budget() -> None:
    head = tables.table([], 60).splitlines()[0]
    assert [f"{mark} s" in head for mark in tables.MARKS] == [True, True, True, *[False] * 4]


def test_the_machine_is_described_but_not_named() -> None:
    facts = bench.machine(2)
    assert {"cores", "processor", "memory_gib", "python"} <= set(facts)
    assert platform.node() not in json.dumps(facts)
