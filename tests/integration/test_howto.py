"""The how-to pages are true: each of their commands is run, in order, and succeeds."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.settings import inherited_environment

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(p for p in (ROOT / "docs/howto").glob("*.md") if "```console" in p.read_text())
PROGRAMS = {"python": [sys.executable], "autodl": [sys.executable, "-m", "cli.main"]}


def commands(page: Path) -> list[list[str]]:
    (block,) = re.findall(r"```console\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    return [shlex.split(line.removeprefix("$ ")) for line in block.splitlines()]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What a command needs to find a running service."""
    data = tmp_path_factory.mktemp("service")
    environment = inherited_environment() | {"AUTODL_GPUS": ""}
    with subprocess.Popen(
        [*PROGRAMS["autodl"], "serve", "--json", "--port", "0", "--data", str(data)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdout is not None
        url = json.loads(server.stdout.readline())["url"]
        yield environment | {"AUTODL_URL": url, "AUTODL_TOKEN_FILE": str(data / "token")}
        server.terminate()


def test_there_is_a_page_for_each_kind_of_data() -> None:
    assert {p.stem for p in PAGES} >= {"images", "tables", "texts", "sounds", "videos", "series"}
    for page in PAGES:
        assert commands(page)[-1][:2] == ["autodl", "submit"]


@pytest.mark.slow
@pytest.mark.timeout(600)  # a machine may be loaded; the budgets are ten seconds each
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_of_the_page_succeeds(
    page: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    (tmp_path / "demo").symlink_to(ROOT / "demo")
    for program, *words in commands(page):
        done = subprocess.run(
            [*PROGRAMS[program], *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{program} {shlex.join(words)}\n{done.stderr}"
