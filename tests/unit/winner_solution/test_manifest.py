"""The manifest names every file, and tells when one is not what it was."""

import shutil
import subprocess
from pathlib import Path

import pytest

from winner_solution import manifest


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    folder = tmp_path / "solution"
    shutil.copytree(manifest.FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    manifest.write(folder)
    return folder


def test_the_solution_is_frozen() -> None:
    assert manifest.differences() == [], "freeze it: python -m winner_solution.manifest --write"


def test_a_frozen_solution_is_as_it_was(copy: Path) -> None:
    assert manifest.differences(copy) == []


def test_changed_added_and_missing_files_are_named(copy: Path) -> None:
    (copy / "config.py").write_text("SEED = 1\n")
    (copy / "learners" / "new.py").touch()
    (copy / "model.py").unlink()
    assert manifest.differences(copy) == [
        "config.py: changed",
        "learners/new.py: added",
        "model.py: missing",
    ]


def test_a_solution_without_manifest_is_not_frozen(copy: Path) -> None:
    (copy / manifest.NAME).unlink()
    assert "not frozen" in manifest.differences(copy)[0]


def test_sha256sum_can_read_it(copy: Path) -> None:
    done = subprocess.run(["sha256sum", "-c", manifest.NAME], cwd=copy, capture_output=True)
    assert done.returncode == 0
