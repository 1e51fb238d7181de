"""Labels, predictions and times are read tolerantly, written fast, and never trusted."""

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from autodl.errors import BundleError, SolutionError
from autodl.predictions import read_labels, read_predictions, read_start, write_predictions
from autodl.score import nauc


@pytest.mark.parametrize(
    "text",
    [
        "0 1 0\n1 0 0\n",
        "0.0 1.0 0.0 \n1.0 0.0 0.0 \n",
        "# c\n\n0\t1  0\n1 0 0 # last",
        "0 1 0\r\n1 0 0\r\n",
    ],
)
def test_every_writers_style_of_labels_is_read(tmp_path, text) -> None:
    path = tmp_path / "toy.solution"
    path.write_bytes(text.encode())
    assert read_labels(path, 3).tolist() == [[0, 1, 0], [1, 0, 0]]


def test_one_row_of_labels_stays_one_row(tmp_path) -> None:
    path = tmp_path / "toy.solution"
    path.write_text("0 1 0\n", encoding="utf-8")
    assert read_labels(path, 3).shape == (1, 3)


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("0 1\n\n0 x\n", "labels-malformed", 3),
        ("# h\n0 1\n0 1 0\n", "labels-malformed", 3),
        ("0 1\n# c\n\nnan 1\n", "labels-not-finite", 4),
        ("\n0 1 1\n", "labels-width", 2),
        ("\n# nothing\n", "labels-empty", None),
    ],
)
def test_bad_labels_name_the_line(tmp_path, text, code, line) -> None:
    path = tmp_path / "toy.solution"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BundleError) as caught:
        read_labels(path, 2)
    assert (caught.value.code, caught.value.file, caught.value.line) == (code, path.name, line)


def test_missing_labels_are_named(tmp_path) -> None:
    with pytest.raises(BundleError) as caught:
        read_labels(tmp_path / "toy.solution", 2)
    assert caught.value.code == "labels-missing"


def test_numbers_are_written_as_the_original_did(shared, tmp_path) -> None:
    golden = json.loads((shared / "golden/scoring.json").read_text(encoding="utf-8"))
    path = tmp_path / "toy.predict_0"
    for entry in golden["predict_number_format"]:
        write_predictions([[float(entry["value"])]], path)
        assert path.read_text(encoding="ascii") == entry["text"] + "\n"
    rounding = golden["predict_text_rounding"]
    write_predictions(rounding["prediction"], path)
    assert path.read_text(encoding="ascii") == rounding["file_text"]
    before = nauc(rounding["solution"], rounding["prediction"])
    after = nauc(rounding["solution"], read_predictions(path))
    assert before == pytest.approx(rounding["nauc_before_rounding"], abs=1e-10)
    assert after == pytest.approx(rounding["nauc_after_rounding"], abs=1e-10)


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(float, st.tuples(st.integers(1, 6), st.integers(1, 4)), elements=st.floats()))
def test_predictions_come_back_to_six_digits(tmp_path_factory, values) -> None:
    path = tmp_path_factory.mktemp("p") / "toy.predict_0"
    write_predictions(values, path)
    again = read_predictions(path, values.shape)
    np.testing.assert_allclose(again, values, rtol=1e-5)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_million_numbers_are_written_in_well_under_a_second(tmp_path) -> None:
    values = np.random.default_rng(0).random((10_000, 100))
    start = time.process_time()
    write_predictions(values, tmp_path / "toy.predict_0")
    assert time.process_time() - start < 0.8


def test_a_prediction_must_be_an_honest_file(tmp_path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    huge = tmp_path / "huge"
    huge.write_text("1 " * 10_000, encoding="ascii")
    words = tmp_path / "words"
    words.write_text("a b\n", encoding="ascii")
    found = {}
    for path in (pipe, huge, words):
        with pytest.raises(SolutionError) as caught:
            read_predictions(path, (2, 2))
        found[path.name] = caught.value.code
    assert found == {
        "pipe": "prediction-unreadable",
        "huge": "prediction-too-large",
        "words": "prediction-malformed",
    }


def test_start_txt_is_read_up_to_what_is_complete(tmp_path) -> None:
    path = tmp_path / "start.txt"
    assert read_start(path) is None
    path.write_text("ingestion_pid: 1\ntask_name: toy\n", encoding="utf-8")
    assert read_start(path) is None
    path.write_text(
        "task_name: toy\ntime_budget: 20\nstart_time: 100.5\n0: 101.5\njunk\n1: inf\n2: 103",
        "utf-8",
    )
    start = read_start(path)
    assert start is not None
    assert (start.task_name, start.budget_seconds, start.relative()) == ("toy", 20.0, {0: 1.0})


def test_a_task_name_cannot_lead_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "start.txt"
    path.write_text("task_name: ../x\ntime_budget: 20\nstart_time: 1\n", encoding="utf-8")
    assert read_start(path) is None
