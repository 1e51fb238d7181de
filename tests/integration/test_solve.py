"""The supervisor: whatever a solution does, it is ended in time, and the end has its right name."""

import json
import os
import time
from pathlib import Path

import pytest

from autodl import cgroup
from autodl.bundle import find_bundle, split_bundle
from autodl.confine import Strength
from autodl.predictions import read_start
from autodl.solve import Outcome, solve
from autodl.verdict import Limits
from tests.processes import descendants

BUDGET = 1.5
OVERRUN = 15.0


@pytest.fixture
def public(tiny_bundle: Path, tmp_path: Path) -> Path:
    split_bundle(find_bundle(tiny_bundle), tmp_path / "public", tmp_path / "labels")
    return tmp_path / "public"


@pytest.fixture
def attempt(public: Path, guests: Path, tmp_path: Path):
    """Solve with the guest of a name; fails if any process is left, or the deadline is missed."""

    def attempt(name: str, budget: float = BUDGET, construction: float = 60.0, **limits) -> Outcome:
        before = descendants()
        outcome = solve(
            public,
            guests / name,
            tmp_path / "output",
            budget_seconds=budget,
            construction_seconds=construction,
            limits=Limits(**limits),
        )
        assert descendants() <= before
        assert outcome.seconds < budget + OVERRUN
        return outcome

    return attempt


def code(outcome: Outcome) -> str | None:
    return None if outcome.error is None else outcome.error.code


def test_a_good_solution_leaves_the_files_of_the_protocol(attempt, tmp_path) -> None:
    outcome = attempt("constant", budget=30.0)
    output = tmp_path / "output"
    assert (outcome.end, outcome.exit_code, outcome.predictions) == ("ok", 0, 2)
    assert 0 < outcome.first_prediction_seconds < outcome.seconds < 30
    assert outcome.peak_rss_bytes > 1 << 20
    assert (output / "toy.predict_1").read_text() == "0.5 0.5 0.5\n" * 20
    assert (output / "labelled/dataset.predict").read_text() == "0.5 0.5 0.5\n" * 5
    assert "tested 2" in (output / "log.txt").read_text()
    assert json.loads((output / "solve.json").read_text()) == outcome.to_json()
    lines = [line.split(": ") for line in (output / "start.txt").read_text().splitlines()]
    assert [key for key, _ in lines] == [
        "ingestion_pid",
        "task_name",
        "time_budget",
        "start_time",
        "0",
        "1",
    ]
    assert abs(float(lines[3][1]) - time.time()) < 60
    end = dict(line.split(": ") for line in (output / "end.txt").read_text().splitlines())
    assert end.keys() == {"ingestion_duration", "ingestion_success", "end_time"}
    assert end["ingestion_success"] == "1"
    assert not (output / "scratch").exists()


@pytest.mark.parametrize(
    ("guest", "end", "expected", "predictions", "success"),
    [
        ("raises", "solution_error", "solution-train", 0, "0"),
        ("raises_later", "solution_error", "solution-train", 1, "0"),
        ("exits", "solution_error", "solution-train", 0, "0"),
        ("wrong_shape", "solution_error", "prediction-shape", 0, "0"),
        ("returns_list", "solution_error", "prediction-shape", 0, "0"),
        ("no_test", "solution_error", "solution-api", 0, "0"),
        ("no_model", "solution_error", "solution-missing", 0, "0"),
        ("broken_import", "solution_error", "solution-import", 0, "0"),
        ("returns_none", "ok", None, 0, "1"),
        ("leaves", "solution_error", "solution-exited", 0, None),
        ("crashes", "solution_error", "solution-crashed", 0, None),
    ],
)
def test_a_failure_has_its_name_and_keeps_what_was_done(
    attempt, tmp_path, guest, end, expected, predictions, success
) -> None:
    outcome = attempt(guest, budget=20.0)
    assert (outcome.end, code(outcome), outcome.predictions) == (end, expected, predictions)
    text = tmp_path / "output/end.txt"
    if success is None:
        assert not text.exists()
    else:
        assert f"ingestion_success: {success}\n" in text.read_text()
    assert (tmp_path / "output/start.txt").exists()


def test_the_log_of_a_failure_holds_the_traceback(attempt, tmp_path) -> None:
    attempt("raises")
    log = (tmp_path / "output/log.txt").read_text()
    assert 'raise ValueError("no luck")' in log
    assert log.rstrip().endswith("The log holds the traceback.")


@pytest.mark.parametrize("guest", ["sleeper", "ignores_term", "closes_pipes"])
def test_the_deadline_is_hard_and_what_was_done_before_counts(attempt, tmp_path, guest) -> None:
    outcome = attempt(guest)
    assert (outcome.end, outcome.error) == ("timeout", None)
    assert outcome.predictions >= 1
    assert BUDGET - 0.2 <= outcome.seconds < BUDGET + 5
    assert (tmp_path / "output/toy.predict_0").exists()


@pytest.mark.parametrize(("guest", "end"), [("ignores_term", "timeout"), ("orphans", "ok")])
def test_a_kernel_without_signal_scopes_is_no_way_out(attempt, monkeypatch, guest, end) -> None:
    monkeypatch.setattr("autodl.sandbox.strength", lambda: Strength(0, True))
    outcome = attempt(guest)
    assert (outcome.end, outcome.predictions) == (end, 1)
    assert outcome.seconds < BUDGET + 5


def test_a_clock_that_lies_does_not_stretch_the_budget(attempt) -> None:
    outcome = attempt("sets_the_clock")
    assert outcome.end in ("ok", "timeout")
    assert BUDGET - 0.2 <= outcome.seconds < BUDGET + 5


@pytest.mark.parametrize("guest", ["orphans", "headless"])
def test_a_process_left_behind_is_ended_with_its_run(attempt, guest) -> None:
    outcome = attempt(guest, budget=30.0)
    assert (outcome.end, outcome.predictions) == ("ok", 1)
    assert outcome.seconds < 20


@pytest.mark.parametrize("guest", ["slow_constructor", "stubborn_constructor"])
def test_construction_has_an_allowance_of_its_own(attempt, monkeypatch, guest) -> None:
    monkeypatch.setattr("autodl.solve.ALARM_SECONDS", 1.5)
    outcome = attempt(guest, construction=0.7)
    assert code(outcome) == "solution-construction-timeout"
    assert outcome.construction_seconds < 6


def test_a_fork_bomb_is_ended(attempt) -> None:
    outcome = attempt("fork_bomb", budget=30.0, processes=64)
    assert (outcome.end, code(outcome)) == ("too_many_processes", "solution-too-many-processes")
    assert outcome.predictions == 1


def test_threads_are_limited(attempt) -> None:
    outcome = attempt("thread_bomb", budget=30.0, threads=300)
    assert (outcome.end, code(outcome)) == ("too_many_processes", "solution-too-many-processes")
    assert outcome.predictions == 1


def test_memory_that_no_process_maps_is_limited_too(attempt) -> None:
    outcome = attempt("hidden_memory", budget=30.0, memory_bytes=400 << 20)
    assert (outcome.end, code(outcome)) == ("out_of_memory", "solution-out-of-memory")
    assert outcome.predictions == 1


def test_files_are_counted_not_only_weighed(attempt, monkeypatch) -> None:
    monkeypatch.setattr("autodl.meter.MAX_FILES", 2000)
    outcome = attempt("many_files", budget=30.0)
    assert (outcome.end, code(outcome)) == ("disk_full", "solution-disk-full")


def test_what_stands_at_our_files_names_is_replaced(attempt, tmp_path) -> None:
    outcome = attempt("plants_links", budget=30.0)
    assert (outcome.end, code(outcome), outcome.predictions) == (
        "solution_error",
        "solution-train",
        1,
    )
    output = tmp_path / "output"
    assert json.loads((output / "solve.json").read_text()) == outcome.to_json()
    assert "planted" in (output / "log.txt").read_text()
    assert not (output / "log.txt").is_symlink()
    assert not (output / "target").exists()
    assert not (output / "scratch").exists()


def test_memory_is_limited(attempt) -> None:
    outcome = attempt("memory_bomb", budget=30.0, memory_bytes=400 << 20)
    assert (outcome.end, code(outcome)) == ("out_of_memory", "solution-out-of-memory")
    assert outcome.predictions == 1
    assert outcome.peak_rss_bytes > 400 << 20


@pytest.mark.skipif(
    cgroup.find_subtree() is None, reason="no control groups are ours here: docs/howto/operate.md"
)
@pytest.mark.parametrize("guest", ["memory_bomb", "hidden_memory"])
def test_where_a_control_group_is_ours_the_kernel_holds_memory(attempt, monkeypatch, guest) -> None:
    monkeypatch.setattr("autodl.meter.Meter._measure", lambda *_: (0, None))
    outcome = attempt(guest, budget=30.0, memory_bytes=300 << 20)
    assert (outcome.end, code(outcome)) == ("out_of_memory", "solution-out-of-memory")
    assert (outcome.exit_code, outcome.predictions) == (-9, 1)
    assert outcome.confinement["memory"] == "cgroup"
    assert list(cgroup.find_subtree().glob("solution-*")) == []


def test_the_disk_is_limited(attempt) -> None:
    outcome = attempt("disk_bomb", budget=30.0, disk_bytes=64 << 20)
    assert (outcome.end, code(outcome)) == ("disk_full", "solution-disk-full")
    assert outcome.predictions == 1


def test_a_flood_of_output_is_cut_in_the_middle(attempt, tmp_path) -> None:
    outcome = attempt("prints", log_bytes=1 << 20)
    assert (outcome.end, outcome.predictions) == ("timeout", 1)
    log = (tmp_path / "output/log.txt").read_bytes()
    assert len(log) < 1.2 * (1 << 20)
    assert b"bytes left out" in log


def test_files_forged_by_the_solution_change_nothing(attempt, tmp_path) -> None:
    outcome = attempt("half_written")
    assert outcome.end == "timeout"
    start = read_start(tmp_path / "output/start.txt")
    assert start is not None
    assert start.relative()[0] < BUDGET
    assert abs(start.start_time - time.time()) < 60


def test_nothing_of_our_environment_reaches_the_solution(public, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("AUTODL_TOKEN", "secret")
    guest = tmp_path / "guest"
    guest.mkdir()
    (guest / "model.py").write_text("import os\nprint(sorted(os.environ), os.getcwd())\n1 / 0\n")
    solve(public, guest, tmp_path / "output", budget_seconds=BUDGET)
    log = (tmp_path / "output/log.txt").read_text()
    assert "'HOME'" in log
    assert "AUTODL_TOKEN" not in log
    assert os.environ["AUTODL_TOKEN"] == "secret"  # noqa: TID251
