"""A model outlives its run, predicts the same again, and endangers nothing on its way."""

import json
import shutil
from pathlib import Path

import pytest

from autodl.bundle import find_bundle, split_bundle
from autodl.errors import UsageError
from autodl.exported import ExportedModel, open_model, require_same_kind
from autodl.metadata import read_metadata, write_metadata
from autodl.predictions import read_predictions
from autodl.solve import Outcome, predict, solve
from autodl.verdict import Limits


@pytest.fixture
def public(tiny_bundle: Path, tmp_path: Path) -> Path:
    split_bundle(find_bundle(tiny_bundle), tmp_path / "public", tmp_path / "labels")
    return tmp_path / "public"


@pytest.fixture
def guest(guests: Path, tmp_path: Path):
    """The guest that saves its model, in one of its ways."""

    def guest(how: str) -> Path:
        folder = tmp_path / "savable"
        shutil.copytree(guests / "savable", folder)
        (folder / "how.txt").write_text(how)
        return folder

    return guest


def learn(public: Path, solution: Path, output: Path, **limits: int) -> Outcome:
    return solve(public, solution, output, budget_seconds=20.0, limits=Limits(**limits))


def test_a_saved_model_predicts_the_same_again(public, guest, tmp_path) -> None:
    solution = guest("well")
    outcome = learn(public, solution, tmp_path / "out")
    assert (outcome.end, outcome.model) == ("ok", None)
    model = open_model(tmp_path / "out/model")
    assert (model.solution, len(model.digest)) == ("savable", 64)
    assert model.classes == ["0", "1", "2"]
    require_same_kind(model, public)
    done = predict(public, solution, model.folder, tmp_path / "again", limit_seconds=60)
    assert (done.end, done.error, done.predictions) == ("ok", None, 1)
    for name in ("toy.predict_0", "labelled/dataset.predict"):
        expected = read_predictions(tmp_path / "out" / name)
        assert (read_predictions(tmp_path / "again" / name) == expected).all()


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("raises", "saved no model"),
        ("crashes", "saved no model"),
        ("sleeps", "saved no model"),
        ("links", "has secret, which is no file"),
        ("grows", "larger than 1 MiB"),
        ("deep", "8 levels"),
    ],
)
def test_a_model_that_cannot_be_kept_costs_nothing_else(
    public, guest, tmp_path, monkeypatch, how, why
) -> None:
    monkeypatch.setattr("autodl.solve.SAVE_SECONDS", 3.0)
    outcome = learn(public, guest(how), tmp_path / "out", model_bytes=1 << 20)
    assert (outcome.end, outcome.error, outcome.predictions) == ("ok", None, 1)
    assert outcome.seconds < 20
    assert outcome.model is not None
    assert why in outcome.model
    assert not (tmp_path / "out/model").exists()
    assert not (tmp_path / "out/model.part").exists()


def test_a_solution_that_saves_none_is_said_to(public, guests, tmp_path) -> None:
    outcome = learn(public, guests / "constant", tmp_path / "out")
    assert outcome.model == "The solution has saved no model."


def test_a_solution_that_loads_none_is_refused(public, guests, tmp_path) -> None:
    done = predict(public, guests / "constant", tmp_path, tmp_path / "out", limit_seconds=60)
    assert done.error is not None
    assert done.error.code == "solution-api"


@pytest.fixture
def model(public, guest, tmp_path) -> ExportedModel:
    learn(public, guest("well"), tmp_path / "out")
    return open_model(tmp_path / "out/model")


@pytest.mark.parametrize("how", ["changed", "added", "missing", "manifest", "schema"])
def test_a_model_that_was_altered_is_refused(model, how) -> None:
    if how == "changed":
        (model.folder / "mean.npy").write_bytes(b"other")
    elif how == "added":
        (model.folder / "more.npy").write_bytes(b"")
    elif how == "missing":
        (model.folder / "mean.npy").unlink()
    elif how == "manifest":
        (model.folder / "manifest.json").write_text("[]")
    else:
        manifest = json.loads((model.folder / "manifest.json").read_text())
        (model.folder / "manifest.json").write_text(json.dumps(manifest | {"schema": "x"}))
    with pytest.raises(UsageError) as caught:
        open_model(model.folder)
    assert caught.value.code == "model-damaged"


def test_a_folder_without_a_model_is_said_to_be_one(tmp_path) -> None:
    with pytest.raises(UsageError) as caught:
        open_model(tmp_path)
    assert caught.value.code == "model-missing"


def test_data_of_another_kind_are_refused(model, public) -> None:
    path = find_bundle(public).train / "metadata.textproto"
    spec = read_metadata(path)
    write_metadata(type(spec)(**{**vars(spec), "output_dim": 4}), path)
    with pytest.raises(UsageError) as caught:
        require_same_kind(model, public)
    assert caught.value.code == "model-of-other-data"
    assert "output_dim is 4, the model learnt 3" in str(caught.value)
