"""Everything that the API's description allows, and much that it does not, asked of a real server.

Requests are generated from the description: at its edges, at random, and in sequences in which one
takes what another gave. Nothing may be a 500, and answers must be as they are described.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.serving import Server

pytestmark = pytest.mark.slow
SECONDS = 25
# Much that is right in form is refused for good reasons that a description cannot tell: a cursor of
# elsewhere, a key that was used before, a retention that is over.
EXCEPT = "positive_data_acceptance"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "data", max_upload_bytes=10**6, part_bytes=1000)
    server.start()
    yield server
    server.kill()


@pytest.mark.timeout(900)
def test_no_request_meets_a_fault(server: Server) -> None:
    program = Path(sys.executable).with_name("st")
    token = (server.data / "token").read_text().strip()
    command = [
        program,
        "run",
        f"{server.url}/v1/openapi.json",
        "-H",
        f"Authorization: Bearer {token}",
    ]
    command += ["--exclude-checks", EXCEPT, "--exclude-path-regex", "/events$"]  # those never end
    command += ["--max-time", str(SECONDS), "--max-examples", "15", "--seed", "1"]
    command += ["--suppress-health-check", "all", "--warnings", "off", "--request-timeout", "120"]
    done = subprocess.run(
        [*command, "--no-color"],
        capture_output=True,
        text=True,
        cwd=server.data,  # it leaves files where it runs
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "Stateful" in done.stdout
