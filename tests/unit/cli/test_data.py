"""The verbs that look at a dataset: check, describe and show."""

import json
import shutil
import wave
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from autodl.errors import BundleError, UsageError
from autodl.records import Example
from cli.main import app
from tests.hostile import datasets as make


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    make.images(tmp_path / "set")
    return tmp_path / "set"


def test_check_tells_what_is_in_a_good_dataset(pictures: Path) -> None:
    result = run("check", pictures)
    assert result.exit_code == 0, result.output
    assert "Good to run." in result.stdout
    assert "image" in result.stdout
    assert "few-examples" in result.stdout


def test_check_of_a_broken_dataset_ends_as_invalid_data(tmp_path: Path) -> None:
    make.images(tmp_path, train={3: Example(3, **make.labels_of(3), compressed=[b"junk"])})
    result = run("check", tmp_path)
    assert result.exit_code == 3
    assert f"{make.TRAIN_FILE}, record 3" in result.stdout
    assert "image-unreadable" in result.stdout


def test_check_prints_one_json_object(tmp_path: Path) -> None:
    make.table(tmp_path)
    (tmp_path / "d.solution").unlink()
    result = run("check", tmp_path, "--json")
    report = json.loads(result.stdout)
    assert result.exit_code == 3
    assert report["ok"] is False
    assert report["findings"][0]["code"] == "labels-missing"
    assert report["summary"]["classes"] == 3


def test_check_writes_a_page(pictures: Path, tmp_path: Path) -> None:
    result = run("check", pictures, "--html", tmp_path / "page.html")
    assert result.exit_code == 0
    assert "<img" in (tmp_path / "page.html").read_text()


def test_a_zip_is_looked_into(pictures: Path, tmp_path: Path) -> None:
    archive = shutil.make_archive(str(tmp_path / "set"), "zip", pictures)
    assert run("check", archive).exit_code == 0
    assert json.loads(run("describe", archive, "--json").stdout)["name"] == "d"


def test_what_is_not_there_is_a_mistake_of_usage(tmp_path: Path) -> None:
    assert isinstance(run("check", tmp_path / "none").exception, UsageError)
    (tmp_path / "page.zip").write_text("<html>")
    assert isinstance(run("describe", tmp_path / "page.zip").exception, BundleError)


def test_a_bad_archive_is_reported_like_any_bad_data(tmp_path: Path) -> None:
    (tmp_path / "page.zip").write_text("<html>")
    result = run("check", tmp_path / "page.zip", "--json", "--html", tmp_path / "page.html")
    assert result.exit_code == 3
    finding = json.loads(result.stdout)["findings"][0]
    assert (finding["code"], finding["file"]) == ("not-a-zip", "page.zip")
    assert "[not-a-zip]" in (tmp_path / "page.html").read_text()


def test_describe_tells_classes_with_their_counts(tmp_path: Path) -> None:
    make.text(tmp_path)
    result = run("describe", tmp_path)
    assert result.exit_code == 0
    assert "3 classes, one label each; an example is ? x 1 x 1 x 1" in result.stdout
    assert "train   12" in result.stdout


@pytest.mark.parametrize(
    ("build", "shown"),
    [
        (make.images, "1 x 6 x 8 x 3"),
        (make.series, "from "),
        (make.table, "feature"),
        (make.sparse, "feature"),
        (make.text, "example 1: 1; 11 x 1 x 1 x 1"),
    ],
)
def test_show_prints_every_kind_of_example(build: make.Make, shown: str, tmp_path: Path) -> None:
    build(tmp_path)
    result = run("show", tmp_path, 1)
    assert result.exit_code == 0, result.output
    assert shown in result.stdout


def test_show_tells_programs_labels_and_shape(tmp_path: Path) -> None:
    make.table(tmp_path)
    told = json.loads(run("show", tmp_path, 1, "--json").stdout)
    assert told["number"] == 1
    assert list(told["labels"].values()) == [1.0]
    assert len(told["shape"]) == 4


def test_show_writes_pictures(pictures: Path, tmp_path: Path) -> None:
    assert run("show", pictures, 2, "--subset", "test", "--out", tmp_path / "a.png").exit_code == 0
    stored = make.open_picture(make.picture(make.TRAIN + 2))
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), stored)


def test_show_writes_animations(tmp_path: Path) -> None:
    make.videos(tmp_path)
    assert run("show", tmp_path, 2, "--out", tmp_path / "a.gif").exit_code == 0
    assert getattr(Image.open(tmp_path / "a.gif"), "n_frames", 1) == 4


def test_show_writes_sounds_texts_and_numbers(tmp_path: Path) -> None:
    for name, build in (("s", make.series), ("t", make.text), ("n", make.table)):
        build(tmp_path / name)
    assert run("show", tmp_path / "s", 5, "--out", tmp_path / "a.wav").exit_code == 0
    with wave.open(str(tmp_path / "a.wav")) as sound:
        assert sound.getnframes() == 25
    assert run("show", tmp_path / "t", 5, "--out", tmp_path / "a.txt").exit_code == 0
    assert len((tmp_path / "a.txt").read_text().strip()) == 15
    assert run("show", tmp_path / "n", 5, "--out", tmp_path / "a.csv").exit_code == 0
    written = np.loadtxt(tmp_path / "a.csv", delimiter=",")
    assert np.allclose(written, make.row(5)["dense"], rtol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["99"], "example-unknown"),
        (["1", "--subset", "unlabelled"], "subset-unknown"),
        (["1", "--out", "a.wav"], "output-kind"),
    ],
)
def test_show_refuses_what_is_not_there(tmp_path: Path, arguments: list[str], code: str) -> None:
    make.table(tmp_path)
    error = run("show", tmp_path, *arguments).exception
    assert isinstance(error, UsageError)
    assert error.code == code
