"""Drills for the winning solution as it is run: little time, little room, an end from outside.

Those on odd data that need no process of their own are in ``tests/unit/winner_solution``.
"""

import contextlib
from pathlib import Path

import numpy as np
import psutil
import pytest

from autodl.golden import write_golden
from autodl.run import RunResult, run
from autodl.solutions import resolve
from autodl.solve import NO_WEIGHTS, Equipment
from autodl.verdict import Limits
from tests.unit.winner_solution.fakes import FakeDataset, drive, generate
from winner_solution import portfolio
from winner_solution.metric import nauc
from winner_solution.model import Model

BARE = Equipment(weights=NO_WEIGHTS)


@pytest.fixture
def attempt(tmp_path: Path):
    """Let the winner learn the golden dataset of a kind."""

    def attempt(kind: str, budget: float, equipment=BARE, on_point=None, **limits) -> RunResult:
        write_golden(kind, tmp_path / "bundle")
        return run(
            tmp_path / "bundle",
            resolve(None),
            budget,
            tmp_path / "out",
            on_point,
            equipment=equipment,
            limits=Limits(**limits),
        )

    return attempt


@pytest.mark.parametrize(("kind", "budget"), [("tabular", 5.0), ("series", 20.0)])
def test_a_short_budget_is_kept_and_used(attempt, kind: str, budget: float) -> None:
    result = attempt(kind, budget)
    assert (result.status, result.error) == ("succeeded", None)
    assert result.outcome is not None
    assert result.outcome.end == "ok"  # it left by itself
    assert result.outcome.seconds <= budget
    assert result.curve.points[-1].nauc > 0.4


def test_a_full_disk_costs_the_model_and_nothing_else(attempt, tmp_path: Path) -> None:
    result = attempt("text", 20.0, disk_bytes=40_000)
    assert (result.status, result.error) == ("succeeded", None)
    assert result.curve.points[-1].nauc > 0.4
    assert result.outcome is not None
    assert result.outcome.model is not None
    assert not (tmp_path / "out/model").exists()


def test_two_gigabytes_of_memory_are_enough_with_all_weights(attempt) -> None:
    result = attempt("image", 20.0, Equipment(), memory_bytes=2 << 30)
    assert (result.status, result.error) == ("succeeded", None)
    assert result.outcome is not None
    assert result.outcome.peak_rss_bytes < 2 << 30


def test_a_killed_worker_leaves_what_it_had_predicted(attempt) -> None:
    def kill(point) -> None:
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):  # also one that has just ended
                command = process.cmdline()
                if "autodl.ingest" in command and "autodl.keeper" not in command:
                    process.kill()

    result = attempt("image", 60.0, on_point=kill)
    assert result.status == "succeeded"
    assert result.error is not None
    assert result.error.code == "solution-killed"
    assert len(result.curve.points) == 1


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without networks, whose loading takes longer than these runs."""
    monkeypatch.setattr(portfolio, "load_framework", lambda: False)
    monkeypatch.setattr(portfolio, "frozen_learners", lambda domain, shape: [])


@pytest.mark.usefixtures("light")
@pytest.mark.parametrize("domain", ["table", "text"])
def test_classes_of_two_examples_are_told_apart(domain: str) -> None:
    many = generate(domain, 60, 12, seed=1)
    truth = many.labels()
    chosen = [row for c in range(12) for row in np.flatnonzero(truth[:, c])[:2]]
    train = FakeDataset([many._examples[row] for row in chosen], truth[chosen], many.metadata)
    test = generate(domain, 60, 12, seed=2)
    predictions, _ = drive(Model, train, test, 10.0, 4)
    assert nauc(test.labels(), predictions[-1]) > 0.15


@pytest.mark.usefixtures("light")
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_label_that_never_changes_does_no_harm_to_the_others(value: float) -> None:
    train = generate("table", 120, 3, seed=1, multilabel=True)
    test = generate("table", 60, 3, seed=2, multilabel=True)
    train._labels[:, 1] = value
    predictions, _ = drive(Model, train, test, 10.0, 4)
    assert np.isfinite(predictions[-1]).all()
    others = [0, 2]
    assert nauc(test.labels()[:, others], predictions[-1][:, others]) > 0.4
