"""The resumable upload of the how-to page, run as it stands there."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.settings import inherited_environment
from tests.integration.serving import Server

PAGE = Path(__file__).resolve().parents[2] / "docs/howto/curl.md"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "data", part_bytes=70_000)
    server.start()
    yield server
    server.kill()


@pytest.mark.slow
def test_the_page_uploads_in_parts_and_asks_for_a_run(server: Server, tmp_path: Path) -> None:
    (script,) = re.findall(r"```bash\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "flowers.zip").write_bytes(bytes(range(256)) * 1000)
    token = (server.data / "token").read_text().strip()
    given = {"URL": server.url, "AUTH": f"Authorization: Bearer {token}"}
    done = subprocess.run(
        ["bash", "-euc", script],
        cwd=tmp_path,
        env=inherited_environment() | given,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    with server.client() as http:
        (submission,) = http.get("/v1/submissions").json()["items"]
    assert submission["bundle"]["size_bytes"] == 256_000
    assert (submission["name"], submission["budget_seconds"]) == ("flowers", 60)
