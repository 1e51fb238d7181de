"""Ingestion keeps the contest's protocol, with or without a supervisor."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from autodl.errors import SolutionError
from autodl.ingest import Journal, Task, drive, open_task
from autodl.predictions import read_predictions, read_start

SCORES = np.full((25, 3), 0.5)


def ingest(bundle: Path, solution: Path, output: Path, *options: str) -> dict:
    """Run the program as the supervisor does; return what it says of its end."""
    command = [sys.executable, "-P", "-m", "autodl.ingest", "--dataset", str(bundle)]
    command += ["--solution", str(solution), "--output", str(output), *options]
    subprocess.run(command, check=True, timeout=60, stderr=subprocess.DEVNULL)
    return json.loads((output / "ingestion.json").read_text())


def test_a_folder_with_an_init_file_is_imported_as_a_package(tiny_bundle, guests, tmp_path) -> None:
    reason = ingest(tiny_bundle, guests / "package", tmp_path / "out", "--budget", "20")
    assert (reason["success"], reason["error"], reason["predictions"]) == (True, None, 1)
    assert read_predictions(tmp_path / "out/toy.predict_0").tolist() == [[0.25] * 3] * 20


def test_a_submission_nested_as_in_the_contests_kit_is_found(tiny_bundle, guests, tmp_path) -> None:
    nested = tmp_path / "zip/AutoDL_sample_code_submission"
    nested.mkdir(parents=True)
    (nested / "model.py").write_text((guests / "constant/model.py").read_text())
    assert ingest(tiny_bundle, tmp_path / "zip", tmp_path / "out")["success"]


def test_unlabelled_rows_are_split_off(tiny_bundle, guests, tmp_path) -> None:
    ingest(tiny_bundle, guests / "linear", tmp_path / "out")
    assert read_predictions(tmp_path / "out/toy.predict_0").shape == (20, 3)
    assert read_predictions(tmp_path / "out/labelled/dataset.predict").shape == (5, 3)


def test_bad_data_are_the_datas_fault(tiny_bundle, guests, tmp_path) -> None:
    path = tiny_bundle / "toy.data/train/sample-toy-train.tfrecord"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))
    reason = ingest(tiny_bundle, guests / "linear", tmp_path / "out")
    assert (reason["success"], reason["error"]["family"]) == (False, "data")
    assert "sample-toy-train.tfrecord, record" in reason["error"]["message"]


def test_a_bundle_that_cannot_be_opened_ends_before_the_start(
    tiny_bundle, guests, tmp_path
) -> None:
    (tiny_bundle / "toy.data/test/metadata.textproto").unlink()
    reason = ingest(tiny_bundle, guests / "linear", tmp_path / "out")
    assert reason["error"]["family"] == "data"
    assert not (tmp_path / "out/start.txt").exists()
    assert (tmp_path / "out/end.txt").exists()


@pytest.fixture
def task(tiny_bundle) -> Task:
    return open_task(tiny_bundle)


@pytest.fixture
def journal(tmp_path) -> Journal:
    output = tmp_path / "out"
    output.mkdir()
    return Journal(output, "toy", 1200.0)


class Recorder:
    """A model that notes how it is called."""

    done_training = False

    def __init__(self, tests: int, result=SCORES) -> None:
        self.calls: list[tuple[str, int, float]] = []
        self.tests = tests
        self.result = result

    def train(self, dataset, remaining_time_budget=None) -> None:
        self.calls.append(("train", id(dataset), remaining_time_budget))

    def test(self, dataset, remaining_time_budget=None):
        self.calls.append(("test", id(dataset), remaining_time_budget))
        self.tests -= 1
        return self.result if self.tests >= 0 else None


def test_train_and_test_take_turns_with_the_same_datasets(task, journal) -> None:
    journal.start()
    model = Recorder(tests=2)
    drive(model, task, journal)
    assert [name for name, _, _ in model.calls] == ["train", "test"] * 3
    assert {place for _, place, _ in model.calls} == {id(task.train), id(task.test)}
    left = [seconds for _, _, seconds in model.calls]
    assert left == sorted(left, reverse=True)
    assert 1199 < left[-1] < left[0] < 1200
    assert journal.predictions == 2


def test_a_model_that_is_done_before_it_begins_is_not_called(task, journal) -> None:
    model = Recorder(tests=2)
    model.done_training = True
    drive(model, task, journal)
    assert model.calls == []


def test_the_loop_ends_after_the_prediction_that_overran(task, tmp_path) -> None:
    (tmp_path / "out").mkdir()
    journal = Journal(tmp_path / "out", "toy", 0.0)
    journal.start()
    drive(Recorder(tests=5), task, journal)
    assert journal.predictions == 1


@pytest.mark.parametrize(
    "result", [SCORES[:20], SCORES.ravel(), SCORES.tolist(), 3.0, np.full((25, 3), "x")]
)
def test_what_is_no_prediction_gets_neither_file_nor_time(task, journal, tmp_path, result) -> None:
    journal.start()
    with pytest.raises(SolutionError, match=r"Model\.test returned"):
        drive(Recorder(tests=1, result=result), task, journal)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["start.txt"]
    assert read_start(tmp_path / "out/start.txt").stamps == {}


def test_times_do_not_follow_a_clock_that_is_set(task, journal, tmp_path, monkeypatch) -> None:
    journal.start()
    monkeypatch.setattr("autodl.ingest._epoch", lambda: 0.0)
    time.sleep(0.01)
    journal.predict(SCORES, task.test_rows)
    start = read_start(tmp_path / "out/start.txt")
    assert 0.01 <= start.relative()[0] < 1
    assert abs(start.start_time - time.time()) < 60
