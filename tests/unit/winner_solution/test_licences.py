"""The page of licences names everything that the project builds on."""

import re
import tomllib
from pathlib import Path

from winner_solution.weights import manifest

ROOT = Path(__file__).resolve().parents[3]


def test_every_direct_dependency_has_its_licence() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [
        *project["project"]["dependencies"],
        *(r for extra in project["project"]["optional-dependencies"].values() for r in extra),
        *(r for group in project["dependency-groups"].values() for r in group),
    ]
    names = {re.split(r"[^A-Za-z0-9._-]", requirement)[0] for requirement in wanted}
    text = (ROOT / "docs/licences.md").read_text(encoding="utf-8")
    assert {name for name in names if not re.search(rf"\b{re.escape(name)}\b", text)} == set()


def test_every_weight_file_has_its_package_and_version() -> None:
    text = (ROOT / "docs/licences.md").read_text(encoding="utf-8")
    missing = {w.name for w in manifest().values() if f"{w.distribution} {w.version}" not in text}
    assert missing == set()
