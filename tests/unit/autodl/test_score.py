"""Scoring agrees with the contest's own programs, and is fast, and cannot be fooled."""

import json
import math
import re
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from autodl.errors import AutoDLError, SolutionError
from autodl.predictions import write_predictions
from autodl.score import (
    RULES,
    LearningCurve,
    Point,
    accuracy,
    alc,
    follow,
    is_one_hot,
    nauc,
    soft_accuracy,
    time_transform,
    write_scores,
)

EXACT = 1e-10
ERRORS = {"TypeError": TypeError, "IndexError": IndexError, "ValueError": ValueError}
ONE_HOT = np.array([[1, 0], [0, 1], [1, 0], [0, 1]], float)


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, Any]:
    return json.loads((shared / "golden/scoring.json").read_text(encoding="utf-8"))


def as_array(rows: list[list[Any]]) -> np.ndarray:
    return np.array([[math.nan if v is None else float(v) for v in row] for row in rows])


@pytest.mark.parametrize(("rule", "key"), [("kit", "nauc_rank"), ("master", "nauc_sklearn")])
def test_nauc_agrees_with_each_original_on_every_vector(golden, rule, key) -> None:
    for vector in golden["nauc"]:
        truth, scores = as_array(vector["solution"]), as_array(vector["prediction"])
        expected = vector[key]
        if isinstance(expected, dict):
            with pytest.raises(ERRORS[expected["error"]]):
                nauc(truth, scores, rule=rule)
        else:
            assert nauc(truth, scores, rule=rule) == pytest.approx(expected, abs=EXACT), vector


def test_default_nauc_agrees_wherever_the_original_gives_a_number(golden) -> None:
    for vector in golden["nauc"]:
        truth, scores = as_array(vector["solution"]), as_array(vector["prediction"])
        if not isinstance(vector["nauc_rank"], dict) and not np.isnan(scores).any():
            assert nauc(truth, scores) == pytest.approx(vector["nauc_rank"], abs=EXACT)


def test_soft_accuracy_and_the_multiclass_test_agree_with_the_original(golden) -> None:
    for vector in golden["nauc"]:
        truth, scores = as_array(vector["solution"]), as_array(vector["prediction"])
        assert is_one_hot(truth) == vector["is_multiclass"]
        if isinstance(vector["accuracy"], dict):
            with pytest.raises(ERRORS[vector["accuracy"]["error"]]):
                soft_accuracy(truth, scores)
        else:
            expected = pytest.approx(float(vector["accuracy"]), abs=EXACT, nan_ok=True)
            assert soft_accuracy(truth, scores) == expected, vector["name"]


def test_alc_agrees_under_both_rules_for_late_predictions(golden) -> None:
    for vector in golden["alc"]:
        points = (vector["timestamps"], vector["scores"], vector["time_budget"])
        start = vector["t0"]
        for late, key in (("legacy", "alc_scores_txt"), ("drop", "alc_figure")):
            area = alc(*points, late=late, start_seconds=start)
            assert area == pytest.approx(vector[key], abs=EXACT), vector["name"]
        area = alc(*points, late="legacy", start_seconds=300.0)
        assert area == pytest.approx(vector["alc_with_t0_300"], abs=EXACT)


def test_time_transform_agrees(golden) -> None:
    for v in golden["time_transform"]:
        assert time_transform(v["t"], v["T"], v["t0"]) == pytest.approx(v["x"], abs=EXACT)


def test_times_that_decrease_are_refused() -> None:
    with pytest.raises(ValueError, match="decrease"):
        alc([5.0, 3.0], [0.1, 0.2], 60.0)
    with pytest.raises(ValueError, match="negative"):
        alc([-1.0], [0.1], 60.0)


def test_a_test_set_with_one_class_scores_zero_and_says_so(caplog) -> None:
    assert nauc([[1, 0], [1, 0]], [[0.9, 0.1], [0.2, 0.8]]) == 0.0
    assert "NAUC is 0" in caplog.text


def test_soft_labels_without_a_positive_are_left_out() -> None:
    truth = np.array([[0.5, 1], [0.5, 0]])
    assert nauc(truth, [[0.1, 0.9], [0.2, 0.1]]) == 1.0


def test_nan_and_wrong_shapes_are_the_solutions_errors() -> None:
    scores = np.full((4, 2), 0.5)
    scores[2, 1] = math.nan
    with pytest.raises(SolutionError, match="1 rows") as caught:
        nauc(ONE_HOT, scores)
    assert caught.value.code == "prediction-nan"
    with pytest.raises(SolutionError) as caught:
        nauc(ONE_HOT, scores[:3])
    assert caught.value.code == "prediction-shape"


def pairwise_nauc(truth: np.ndarray, scores: np.ndarray) -> float:
    """The definition, by comparing every positive with every negative."""
    areas = []
    for labels, values in zip(truth.T, scores.T, strict=True):
        pairs = values[labels == 1][:, None] - values[labels == 0][None, :]
        if pairs.size:
            areas.append(((pairs > 0) + 0.5 * (pairs == 0)).mean())
    return 2 * float(np.mean(areas)) - 1 if areas else 0.0


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_nauc_is_the_share_of_pairs_in_order(data) -> None:
    shape = data.draw(st.tuples(st.integers(2, 30), st.integers(1, 5)))
    truth = data.draw(hnp.arrays(float, shape, elements=st.sampled_from([0.0, 1.0])))
    scores = data.draw(hnp.arrays(float, shape, elements=st.integers(-3, 3).map(float)))
    assert nauc(truth, scores) == pytest.approx(pairwise_nauc(truth, scores), abs=1e-12)
    assert nauc(truth, -scores) == pytest.approx(-nauc(truth, scores), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0, 2000), st.floats(-1, 1)), max_size=8, unique_by=lambda p: p[0]
    ).map(sorted)
)
def test_alc_lies_between_the_worst_and_the_best_score(points) -> None:
    seconds, scores = [p[0] for p in points], [p[1] for p in points]
    area = alc(seconds, scores, 1200.0)
    assert min([0.0, *scores]) - 1e-12 <= area <= max([0.0, *scores]) + 1e-12


def test_true_accuracy_counts_the_right_classes_or_the_right_entries() -> None:
    assert accuracy(ONE_HOT, [[0.9, 0.1], [0.6, 0.4], [0.2, 0.1], [0.1, 0.3]]) == 0.75
    assert accuracy([[1, 1], [0, 1]], [[0.9, 0.2], [0.6, 0.8]]) == 0.5
    assert accuracy([[1], [0]], [[0.9], [0.2]]) == 1.0


def test_ten_thousand_rows_of_a_hundred_classes_take_under_a_tenth_of_a_second() -> None:
    random = np.random.default_rng(0)
    truth = np.eye(100)[random.integers(0, 100, 10_000)]
    scores = random.random((10_000, 100))
    best = min(_cpu_seconds(truth, scores) for _ in range(5))
    assert best < 0.1


def _cpu_seconds(truth: np.ndarray, scores: np.ndarray) -> float:
    start = time.process_time()
    nauc(truth, scores)
    return time.process_time() - start


# --- following an ingestion


def write_start(folder: Path, *stamps: float, start: float = 1.6e9, budget: float = 1200.0) -> None:
    lines = ["ingestion_pid: 999999", "task_name: toy", f"time_budget: {budget}"]
    lines += [f"start_time: {start}", *(f"{k}: {start + s}" for k, s in enumerate(stamps))]
    (folder / "start.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def score_once(folder: Path, truth: np.ndarray = ONE_HOT, **options: Any) -> list[Point]:
    return list(follow(folder, truth, 1200.0, lambda: True, **options))


@pytest.mark.parametrize("program", ["kit", "master", "speech"])
def test_whole_runs_score_as_the_original_programs_did(golden, tmp_path, program) -> None:
    for name, case in golden["end_to_end"]["cases"].items():
        folder = tmp_path / name
        folder.mkdir()
        start = case["start_txt_absolute"]
        if program == "speech":  # seconds consumed, under its own budget
            start = re.sub(r"16\d{8}\.\d+", lambda m: str(float(m[0]) - 1.6e9), start)
        (folder / "start.txt").write_text(start, encoding="utf-8")
        for k, text in enumerate(case["predictions"]):
            (folder / f"toy.predict_{k}").write_text(text, encoding="utf-8")
        truth = as_array([line.split() for line in case["solution"].splitlines()])
        budget = 1800.0 if program == "speech" else 1200.0
        refused: list[AutoDLError] = []
        rules = RULES[program]
        points = list(
            follow(
                folder,
                truth,
                budget,
                lambda: True,
                rules=rules,
                on_refused=lambda _, error: refused.append(error),  # noqa: B023 used at once
            )
        )
        expected = case[program]
        if expected["exit_code"]:
            assert [error.code for error in refused] == ["prediction-shape"]
            assert points == []
            continue
        write_scores(LearningCurve(budget, points, rules), folder / "scores.txt")
        written = dict(
            line.split(": ", 1)
            for line in (folder / "scores.txt").read_text(encoding="utf-8").splitlines()
        )
        assert written.keys() == expected["scores_txt"].keys()
        for key, value in expected["scores_txt"].items():
            assert json.loads(written[key]) == pytest.approx(value, abs=EXACT), (name, key)


def test_a_run_without_predictions_scores_zero(tmp_path) -> None:
    write_start(tmp_path)
    curve = LearningCurve(1200.0, score_once(tmp_path))
    write_scores(curve, tmp_path / "scores.txt")
    text = (tmp_path / "scores.txt").read_text(encoding="utf-8")
    assert text == "score: 0.0\nDuration: 0\ntimestamps: []\nnauc_scores: []\n"


def test_points_appear_while_the_ingestion_runs(tmp_path) -> None:
    write_start(tmp_path, start=time.time())
    over = threading.Event()
    points = follow(tmp_path, ONE_HOT, 1200.0, over.is_set)
    writer = threading.Timer(0.3, lambda: (_predict(tmp_path, 0), write_start(tmp_path, 0.3)))
    writer.start()
    first = next(points)
    assert (first.index, first.nauc, over.is_set()) == (0, 1.0, False)
    over.set()
    assert list(points) == []
    writer.join()


def _predict(folder: Path, index: int, scores: np.ndarray = ONE_HOT) -> None:
    write_predictions(scores, folder / f"toy.predict_{index}")


def test_a_follower_that_was_interrupted_goes_on_where_it_stopped(tmp_path) -> None:
    write_start(tmp_path, 10.0, 20.0, 30.0)
    for k, scores in enumerate([1 - ONE_HOT, ONE_HOT, ONE_HOT * 0.5]):
        _predict(tmp_path, k, scores)
    whole = score_once(tmp_path)
    assert score_once(tmp_path, resume=whole[:1]) == whole[1:]


def test_half_written_lines_and_files_without_a_time_wait(tmp_path) -> None:
    write_start(tmp_path, 10.0)
    with (tmp_path / "start.txt").open("a", encoding="utf-8") as file:
        file.write("1: 16000")
    _predict(tmp_path, 0)
    _predict(tmp_path, 1)
    assert [p.index for p in score_once(tmp_path)] == [0]


def test_a_bad_prediction_does_not_cost_the_good_ones(tmp_path) -> None:
    write_start(tmp_path, 1.0, 2.0, 3.0)
    _predict(tmp_path, 0, np.full((4, 2), math.nan))
    _predict(tmp_path, 1, ONE_HOT[:2])
    _predict(tmp_path, 2)
    refused: list[tuple[int, str]] = []
    points = score_once(tmp_path, on_refused=lambda k, error: refused.append((k, error.code)))
    assert [p.index for p in points] == [2]
    assert refused == [(0, "prediction-nan"), (1, "prediction-shape")]


def test_what_comes_after_the_budget_is_left_out(tmp_path) -> None:
    write_start(tmp_path, 10.0, 1200.1)
    _predict(tmp_path, 0)
    _predict(tmp_path, 1)
    assert [p.index for p in score_once(tmp_path)] == [0]
    assert [p.index for p in score_once(tmp_path, rules=RULES["kit"])] == [0, 1]


def test_a_link_is_never_followed(tmp_path) -> None:
    secret = tmp_path / "labels"
    write_predictions(ONE_HOT, secret)
    write_start(tmp_path, 1.0)
    (tmp_path / "toy.predict_0").symlink_to(secret)
    refused: list[str] = []
    assert score_once(tmp_path, on_refused=lambda _, error: refused.append(error.code)) == []
    assert refused == ["prediction-unreadable"]


def test_a_solution_cannot_claim_an_earlier_time_than_was_seen(tmp_path) -> None:
    write_start(tmp_path)
    over = threading.Event()
    points = follow(tmp_path, ONE_HOT, 1200.0, over.is_set)
    forger = threading.Timer(1.0, lambda: (_predict(tmp_path, 0), write_start(tmp_path, 0.0)))
    forger.start()
    first = next(points)
    forger.join()
    assert 0.5 < first.seconds < 1.2


def test_times_never_go_back(tmp_path) -> None:
    write_start(tmp_path, 30.0, 10.0)
    _predict(tmp_path, 0)
    _predict(tmp_path, 1)
    assert [p.seconds for p in score_once(tmp_path)] == [30.0, 30.0]
