"""Datasets of the other challenges' layouts are taken as they are, unlabelled part included."""

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from autodl.bundle import sha256_file
from autodl.check import check
from autodl.run import run
from service.worker.stage import StageTask, stage
from tests.hostile import datasets as make

UNLABELLED = 3


def autospeech(root: Path) -> None:
    waves = [np.linspace(-1, 1, 30 + i, dtype="f4") for i in range(UNLABELLED)]
    (make.speech(root) / "unlabelled.pkl").write_bytes(pickle.dumps(waves))


def autonlp(root: Path) -> None:
    (make.lines(root) / "unlabelled.data").write_text("alpha new\n" * UNLABELLED)


def automl(root: Path) -> None:
    make.matrix(root)
    (root / "d_unlabelled.data").write_text("1 2 3 NaN\n" * UNLABELLED)


@pytest.mark.parametrize("build", [autospeech, autonlp, automl])
def test_a_zip_of_the_layout_is_staged_checked_and_learnt(
    build: Callable[[Path], None], tmp_path: Path, guests: Path
) -> None:
    (tmp_path / "source").mkdir()
    build(tmp_path / "source")
    archive = tmp_path / "d.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted((tmp_path / "source").rglob("*")):
            file.write(path, path.relative_to(tmp_path / "source"))
    stored = {"url": archive.as_uri(), "sha256": sha256_file(archive)}
    stored |= {"size_bytes": archive.stat().st_size, "result": tmp_path / "result.json"}
    stage(StageTask(kind="check", bundle=tmp_path / "bundle", labels=None, **stored))
    report = check(tmp_path / "bundle")
    assert report.ok, report.findings
    assert report.summary["subsets"]["unlabelled"]["examples"] == UNLABELLED
    folders = {"bundle": tmp_path / "public", "labels": tmp_path / "labels"}
    stage(StageTask(kind="solve", **folders, **stored))
    assert [p.name for p in folders["labels"].iterdir()] == ["d.solution"]
    assert not (tmp_path / "public/d.solution").exists()
    assert not list((tmp_path / "public").rglob("*_test.solution"))
    result = run(archive, guests / "constant", 20.0, tmp_path / "out")
    assert result.status == "succeeded"
    (predictions,) = (tmp_path / "out").rglob("dataset.predict")
    assert len(predictions.read_text().splitlines()) == UNLABELLED
