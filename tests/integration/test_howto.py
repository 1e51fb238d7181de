"""The how-to pages are true: each of their commands is run, in order, and succeeds."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(p for p in (ROOT / "docs/howto").glob("*.md") if "```console" in p.read_text())
PROGRAMS = {"python": [sys.executable], "autodl": [sys.executable, "-m", "cli.main"]}


def commands(page: Path) -> list[list[str]]:
    (block,) = re.findall(r"```console\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    return [shlex.split(line.removeprefix("$ ")) for line in block.splitlines()]


def test_there_is_a_page_for_each_kind_of_data() -> None:
    assert {p.stem for p in PAGES} >= {"images", "tables", "texts", "sounds", "videos", "series"}


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_of_the_page_succeeds(page: Path, tmp_path: Path) -> None:
    (tmp_path / "demo").symlink_to(ROOT / "demo")
    for program, *words in commands(page):
        done = subprocess.run(
            [*PROGRAMS[program], *words], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{program} {shlex.join(words)}\n{done.stderr}"
