"""The manifest: it freezes the solution, and finds whatever differs."""

import shutil
from pathlib import Path

from winner_solution import manifest


def test_the_solution_is_as_frozen() -> None:
    assert manifest.differences() == [], "freeze it: python -m winner_solution.manifest --write"


def test_every_kind_of_difference_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "solution"
    shutil.copytree(manifest.FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "config.py").write_text("SEED = 1\n")
    (folder / "split.py").unlink()
    (folder / "extra.py").write_text("")
    assert manifest.differences(folder) == [
        "config.py: changed",
        "extra.py: added",
        "split.py: missing",
    ]


def test_a_solution_without_a_manifest_is_not_frozen(tmp_path: Path) -> None:
    assert manifest.differences(tmp_path) == ["MANIFEST is missing: this solution is not frozen"]
