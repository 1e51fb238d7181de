"""Fixtures that every level of tests shares."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of golden and practice data; tests that need it skip, saying so, without it."""
    folder = Path(os.environ.get("AUTODL_SHARED", ROOT.parent / "shared"))  # noqa: TID251 tests read it here only
    if not (folder / "golden").is_dir():
        pytest.skip(f"no golden data at {folder}: set AUTODL_SHARED")
    return folder
