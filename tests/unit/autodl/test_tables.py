"""The tables of predictions: the same in every format, each row by its item's name."""

import csv
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from autodl import tables
from autodl.bundle import write_items
from autodl.errors import SolutionError
from autodl.metrics import measure
from autodl.predictions import write_predictions
from autodl.tables import Predicted, Predictions


@pytest.fixture
def written(tiny_bundle: Path, tmp_path: Path) -> Path:
    write_items([f"leaf, {i}.png" for i in range(20)], tiny_bundle / "toy.data/test")
    random = np.random.default_rng(0)
    files = {}
    for subset, rows in (("test", 20), ("unlabelled", 5)):
        files[subset] = tmp_path / f"{subset}.predict"
        write_predictions(random.dirichlet(np.ones(3), rows), files[subset])
    paths = tables.write(tables.read(tiny_bundle, files), tmp_path)
    assert [p.name for p in paths] == [f"predictions.{s}" for s in ("csv", "parquet", "json")]
    return tmp_path


def test_every_item_has_its_row_name_top_class_and_scores(written) -> None:
    with (written / "predictions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [r["item"] for r in rows[:2]] == ["leaf, 0.png", "leaf, 1.png"]
    assert [(r["subset"], r["row"], r["item"]) for r in rows[20:22]] == [
        ("unlabelled", "0", "0"),
        ("unlabelled", "1", "1"),
    ]
    for row in rows:
        scores = {name: float(row[name]) for name in "012"}
        assert row["prediction"] == max(scores, key=lambda name: scores[name])
        assert float(row["score"]) == max(scores.values())


def test_all_formats_hold_the_same_numbers_as_the_file_of_the_contest(written) -> None:
    as_csv = pl.read_csv(written / "predictions.csv", schema_overrides={"item": pl.String})
    as_parquet = pl.read_parquet(written / "predictions.parquet")
    as_json = json.loads((written / "predictions.json").read_text())
    original = np.loadtxt(written / "test.predict")
    assert (as_parquet[:20, ["0", "1", "2"]].to_numpy() == original).all()
    assert (as_csv[["0", "1", "2"]].to_numpy() == as_parquet[["0", "1", "2"]].to_numpy()).all()
    assert as_json["classes"] == ["0", "1", "2"]
    for item, row in zip(as_json["items"], as_parquet.iter_rows(named=True), strict=True):
        assert item["scores"] == [row[name] for name in "012"]
        assert {name: item[name] for name in tables.FIXED} == {
            name: row[name] for name in tables.FIXED
        }


def test_class_names_that_are_taken_get_a_column_of_their_own(tmp_path) -> None:
    part = Predicted("test", ["a"], np.array([[0.1, 0.2, 0.3, 0.4]]))
    predictions = Predictions(["item", "x", "x", "row"], [part])
    assert predictions.columns == ["item (0)", "x", "x (2)", "row (3)"]
    tables.write(predictions, tmp_path)
    frame = pl.read_parquet(tmp_path / "predictions.parquet")
    assert frame.rows()[0] == ("test", 0, "a", "row", 0.4, 0.1, 0.2, 0.3, 0.4)


def test_infinite_scores_are_null_in_json_which_has_no_word_for_them(tmp_path) -> None:
    part = Predicted("test", ["a"], np.array([[np.inf, 0.5]]))
    tables.write(Predictions(["x", "y"], [part]), tmp_path)
    (item,) = json.loads((tmp_path / "predictions.json").read_text())["items"]
    assert (item["prediction"], item["score"], item["scores"]) == ("x", None, [None, 0.5])


def test_a_list_of_names_of_another_length_is_not_believed(tiny_bundle, tmp_path) -> None:
    write_items(["only one"], tiny_bundle / "toy.data/test")
    write_predictions(np.ones((20, 3)), tmp_path / "test.predict")
    (part,) = tables.read(tiny_bundle, {"test": tmp_path / "test.predict"}).parts
    assert part.items == [str(row) for row in range(20)]


def test_predictions_for_other_rows_are_refused(tiny_bundle, tmp_path) -> None:
    write_predictions(np.ones((19, 3)), tmp_path / "test.predict")
    with pytest.raises(SolutionError) as caught:
        tables.read(tiny_bundle, {"test": tmp_path / "test.predict"})
    assert caught.value.code == "prediction-shape"


def test_answers_stand_beside_the_labels_they_are_measured_by(tmp_path) -> None:
    test = Predicted("test", ["a", "b", "c"], np.array([[0.9, 0.1], [0.4, 0.6], [0.7, 0.3]]))
    new = Predicted("unlabelled", ['x "y", z'], np.array([[0.25, 0.75]]))
    labels = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    path = tables.write_answers(Predictions(["cat", "dog"], [test, new]), labels, tmp_path)
    with path.open(newline="") as file:
        rows = [[*row.values()] for row in csv.DictReader(file)]
    assert rows == [
        ["test", "0", "a", "cat", "0.9", "cat", "yes"],
        ["test", "1", "b", "dog", "0.6", "cat", "no"],
        ["test", "2", "c", "cat", "0.7", "cat; dog", "yes"],
        ["unlabelled", "0", 'x "y", z', "dog", "0.75", "", ""],
    ]


def test_confusions_are_counted_by_true_and_predicted_class(tmp_path) -> None:
    truth, scores = np.eye(3)[[0, 0, 0, 1, 2]], np.eye(3)[[0, 1, 1, 1, 0]]
    metrics = measure(truth, scores, classes=["cat, big", "dog", "owl"])
    path = tables.write_confusion(metrics, tmp_path)
    assert path is not None
    assert path.read_text().splitlines() == [
        "true,predicted,items,share",
        '"cat, big",dog,2,0.666667',
        '"cat, big","cat, big",1,0.333333',
        "dog,dog,1,1",
        'owl,"cat, big",1,1',
    ]
    several = measure([[1, 1], [0, 1], [1, 0]], [[1, 0], [0, 1], [1, 1]])
    assert tables.write_confusion(several, tmp_path) is None
