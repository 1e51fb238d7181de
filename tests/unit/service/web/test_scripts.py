"""What browsers load of scripts: little, and just what the sources make."""

import gzip
import json
import shutil
import subprocess
from pathlib import Path

import pytest

WEB = Path(__file__).resolve().parents[4] / "service/web"
SOURCES = WEB / "typescript"
MAX_GZIP_BYTES = 60_000  # of all scripts together


def test_the_scripts_are_small() -> None:
    scripts = list((WEB / "static").rglob("*.js"))
    assert scripts
    assert sum(len(gzip.compress(path.read_bytes())) for path in scripts) < MAX_GZIP_BYTES


def test_the_lock_names_no_host() -> None:
    lock = json.loads((SOURCES / "package-lock.json").read_text(encoding="utf-8"))
    assert {name for name, package in lock["packages"].items() if "resolved" in package} == set()


@pytest.mark.slow
def test_the_built_script_is_what_the_sources_make(tmp_path) -> None:
    """And they have the types that they say."""
    if shutil.which("npm") is None:
        pytest.skip("no npm here: the built script is not compared with its sources")
    sources = tmp_path / "web/typescript"
    shutil.copytree(SOURCES, sources, ignore=shutil.ignore_patterns("node_modules"))
    try:
        run(sources, "ci", "--prefer-offline")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no packages to be had from npm: {error.stderr[-300:]}")
    run(sources, "run", "check")
    run(sources, "run", "build")
    made = tmp_path / "web/static/upload.js"
    assert made.read_bytes() == (WEB / "static/upload.js").read_bytes(), (
        "build it: npm ci && npm run build, in service/web/typescript"
    )


def run(folder: Path, *command: str) -> None:
    subprocess.run(
        ["npm", *command], cwd=folder, check=True, capture_output=True, text=True, timeout=120
    )
