"""The benchmark reads curves rightly, and a run that fails is a line of its table."""

import json
import platform
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[3] / "benchmarks" / "solution.py"
spec = spec_from_file_location("benchmark_of_solutions", SOURCE)
assert spec is not None
assert spec.loader is not None
bench = module_from_spec(spec)
sys.modules[spec.name] = bench  # dataclasses look their module up
spec.loader.exec_module(bench)

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


def test_without_weights_means_the_same_code_and_an_empty_manifest(tmp_path: Path) -> None:
    source = bench.ROOT / "winner_solution"
    copy = bench.without_weights(source, tmp_path)
    assert json.loads((copy / "weights_manifest.json").read_text()) == []
    assert copy.name == source.name
    assert (copy / "model.py").read_bytes() == (source / "model.py").read_bytes()


def test_a_dataset_that_cannot_be_used_is_a_failed_line(tmp_path: Path) -> None:
    options = bench.parse([str(tmp_path), "--work", str(tmp_path / "work"), "--budget", "5"])
    result = bench.run(tmp_path, bench.ROOT / "winner_solution", True, options)
    assert result.status != "succeeded"
    assert result.message
    (line,) = bench.table([result], 5).splitlines()[2:]
    assert line.startswith(f"| {tmp_path.name} | winner_solution | yes | - |")


def test_the_table_has_a_column_for_each_mark_inside_the_budget() -> None:
    head = bench.table([], 60).splitlines()[0]
    assert [f"{mark} s" in head for mark in bench.MARKS] == [True, True, True, *[False] * 4]


def test_the_machine_is_described_but_not_named() -> None:
    facts = bench.machine(2)
    assert {"cores", "processor", "memory_gib", "python"} <= set(facts)
    assert platform.node() not in json.dumps(facts)
