"""A throw-away S3 server: the SeaweedFS wheel's, which verifies signatures and checksums."""

import json
import socket
import subprocess
import sys
import time
from itertools import count
from pathlib import Path
from urllib.parse import quote

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

BUCKET = "autodl-tests"
KEY, SECRET = "test-key", "test/secret+of=tests"
PORTS = [
    f"{part}.port{kind}" for part in ("master", "volume", "filer", "s3") for kind in ("", ".grpc")
]


class Server:
    """One server on this machine; each test gets a prefix of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._numbers = count()
        self._process: subprocess.Popen[bytes] | None = None
        grant = {
            "name": "tests",
            "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
            "actions": ["Admin", "Read", "Write", "List"],
        }
        (folder / "s3.json").write_text(json.dumps({"identities": [grant]}), encoding="utf-8")
        sse = f'[s3.sse]\nkek = "{"ab" * 32}"\n'  # it encrypts the keys of objects
        (folder / "security.toml").write_text(sse, encoding="utf-8")
        (folder / "data").mkdir()
        self._ports = dict(zip(PORTS, _free_ports(len(PORTS)), strict=True))
        self.endpoint = f"http://127.0.0.1:{self._ports['s3.port']}"
        self.client = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
        )

    def start(self) -> None:
        """Return when it has a bucket."""
        weed = Path(sys.executable).with_name("weed")
        ports = [f"-{name}={port}" for name, port in self._ports.items()]
        command = [weed, "server", "-ip=127.0.0.1", f"-dir={self.folder / 'data'}", "-filer", "-s3"]
        command += [f"-s3.config={self.folder / 's3.json'}", "-s3.port.iceberg=0", *ports]
        command += ["-master.telemetry=false", "-s3.port.lance=0", "-master.volumeSizeLimitMB=64"]
        command += ["-volume.max=100"]  # a bucket takes several
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )
        deadline = time.monotonic() + 120
        while True:
            assert self._process.poll() is None, (self.folder / "log").read_text()
            try:
                self.client.create_bucket(Bucket=BUCKET)
            except (BotoCoreError, ClientError):
                assert time.monotonic() < deadline, (self.folder / "log").read_text()
                time.sleep(0.2)
            else:
                return

    def kill(self) -> None:
        """As a power cut would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def create(self) -> str:
        """The URL, for ``AUTODL_STORAGE``, of a new and empty store."""
        user = f"{quote(KEY)}:{quote(SECRET, safe='')}"
        where = f"{BUCKET}/test-{next(self._numbers)}"
        return f"s3://{user}@{where}?endpoint={quote(self.endpoint)}&region=us-east-1"


def _free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports
