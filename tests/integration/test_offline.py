"""`autodl predict`: the run's own predictions again, without a service, and clear words if not."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from typer.testing import CliRunner

from autodl.errors import AutoDLError, UsageError
from autodl.golden import write_golden
from autodl.run import run
from autodl.solutions import resolve
from autodl.solve import NO_WEIGHTS, Equipment
from cli.main import app
from formatter.convert import convert


def call(*arguments: object):
    """The command's result; its own errors are raised as they are."""
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    if isinstance(done.exception, AutoDLError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done


def scores(table: pl.DataFrame) -> np.ndarray:
    return table.select(table.columns[5:]).to_numpy().astype(float)


def learn(bundle: Path, solution: str, out: Path, budget: float = 10.0) -> Path:
    result = run(bundle, resolve(solution), budget, out, equipment=Equipment(weights=NO_WEIGHTS))
    assert result.status == "succeeded"
    return out / "model"


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", ["tabular", "text", "audio", "video"])
def test_the_winner_is_as_good_as_frozen_and_its_model_predicts_alike(kind, tmp_path) -> None:
    write_golden(kind, tmp_path / "bundle")
    model = learn(tmp_path / "bundle", "winner", tmp_path / "out", 120.0)  # it ends by itself
    golden = json.loads((resolve("winner") / "golden.json").read_text())[kind]
    nauc = json.loads((tmp_path / "out/result.json").read_text())["nauc"]
    assert nauc >= golden["nauc"] - golden["tolerance"]
    shutil.make_archive(str(tmp_path / "model"), "zip", model)
    table = tmp_path / "p.parquet"
    call("predict", tmp_path / "bundle", "--model", tmp_path / "model.zip", "--out", table)
    expected = pl.read_parquet(tmp_path / "out/predictions.parquet")
    found = pl.read_parquet(table)
    assert found.columns == expected.columns
    assert scores(found) == pytest.approx(scores(expected), abs=1e-6)
    assert found["item"].to_list() == expected["item"].to_list()


@pytest.fixture
def model(tiny_bundle: Path, tmp_path: Path) -> Path:
    return learn(tiny_bundle, "constant", tmp_path / "out")


def test_the_table_goes_to_stdout_and_holds_unlabelled_rows_too(model, tiny_bundle) -> None:
    done = call("predict", tiny_bundle, "--model", model)
    lines = done.stdout.splitlines()
    assert lines[0] == "subset,row,item,prediction,score,0,1,2"
    assert [sum(line.startswith(part) for line in lines) for part in ("test", "unlab")] == [20, 5]


def test_raw_files_are_formatted_first(tmp_path: Path) -> None:
    for label, grey in (("dark", 30), ("light", 220)):
        (tmp_path / "raw" / label).mkdir(parents=True)
        for number in range(10):
            image = Image.new("L", (8, 8), grey + number)
            image.save(tmp_path / "raw" / label / f"{number}.png")
    convert(tmp_path / "raw", tmp_path / "bundle")
    model = learn(tmp_path / "bundle", "linear", tmp_path / "out")
    call("predict", tmp_path / "raw", "--model", model, "--out", tmp_path / "p.csv")
    expected = pl.read_csv(tmp_path / "out/predictions.csv")
    found = pl.read_csv(tmp_path / "p.csv")
    assert scores(found) == pytest.approx(scores(expected), abs=1e-6)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("no data", "path-missing"),
        ("no model", "path-missing"),
        ("empty model", "model-missing"),
        ("other data", "model-of-other-data"),
        ("other solution", "model-of-another-solution"),
        ("unknown solution", "solution-unknown"),
        ("no table", "output-kind"),
        ("no weights", "path-missing"),
    ],
)
def test_what_does_not_fit_is_said_in_words(model, tiny_bundle, tmp_path, change, code) -> None:
    (tmp_path / "empty").mkdir()
    write_golden("tabular", tmp_path / "other")
    data, options = tiny_bundle, ["--model", model]
    if change == "no data":
        data = tmp_path / "none"
    elif change == "no model":
        options = ["--model", tmp_path / "none"]
    elif change == "empty model":
        options = ["--model", tmp_path / "empty"]
    elif change == "other data":
        data = tmp_path / "other"
    elif change == "other solution":
        options += ["--solution", tmp_path / "empty"]
    elif change == "unknown solution":
        options += ["--solution", "nobody"]
    elif change == "no table":
        options += ["--out", tmp_path / "p.txt"]
    else:
        options += ["--weights", tmp_path / "none"]
    with pytest.raises(UsageError) as caught:
        call("predict", data, *options)
    assert caught.value.code == code
