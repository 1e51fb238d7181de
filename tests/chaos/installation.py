"""The service as processes of its own over a small disk, each started again when it dies."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import psutil

from service.executors.base import Phase
from service.settings import Settings, inherited_environment
from service.worker import supervisor
from tests.postgresql import Cluster

GUESTS = Path(__file__).resolve().parent.parent / "guests"
SOLUTIONS = ("constant", "raises", "ignores_term")
RESTART_SECONDS = 0.5
SERVER, RECONCILERS = "server", ("reconciler 1", "reconciler 2")


class Installation:
    """A server, two reconcilers of which one leads, and everything they keep, below ``data``."""

    def __init__(self, data: Path, cluster: Cluster | None = None, database_url: str = "") -> None:
        self.data = data
        self.objects, self.broken = data / "objects", data / "broken"  # one of them is the store
        self.objects.mkdir()
        self.broken.touch()
        self.point_store_at(self.objects)
        self.cluster = cluster
        self.database_url = cluster.create() if cluster else database_url
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.settings = Settings(
            data=data,
            database_url=self.database_url,
            gpus=(),
            solutions={name: GUESTS / name for name in SOLUTIONS},
            port=self.port,
        )
        self.starts: Counter[str] = Counter()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._stop = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Return when it answers."""
        self._launch(SERVER)  # alone, so that it makes the tables
        self.wait_for_server()
        self._keeper.start()

    def point_store_at(self, place: Path) -> None:
        """At once, for whoever opens something next."""
        link = self.data / "link"
        link.symlink_to(place.name)
        link.replace(self.data / "storage")

    def stop(self) -> None:
        """End everything that was started here, runs too."""
        self._stop.set()
        self._keeper.join()
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            process.wait()
        for process in self.find_processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def wait_for_server(self, seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with suppress(httpx2.TransportError):
                if httpx2.get(f"{self.url}/healthz").status_code == 200:
                    return
            time.sleep(0.1)
        raise TimeoutError((self.data.with_suffix(".log")).read_text()[-2000:])

    def find(self, name: str) -> psutil.Process | None:
        """The process of that name, if it is alive."""
        process = self._processes.get(name)
        return psutil.Process(process.pid) if process and process.poll() is None else None

    def find_processes(self) -> list[psutil.Process]:
        """Everything that belongs to a run."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                place = Path(process.environ().get("TMPDIR", "/"))
                if place.is_relative_to(self.data / "runs"):
                    found.append(process)
        return found

    def find_supervisors(self) -> list[psutil.Process]:
        """Those of the runs at work."""
        found = []
        for folder in (self.data / "runs").glob("*"):
            status = supervisor.read_status(folder)
            if status is not None and status.phase is not Phase.ENDED:
                with suppress(psutil.Error):
                    process = psutil.Process(status.pid)
                    if supervisor.__name__ in process.cmdline():
                        found.append(process)
        return found

    def _keep(self) -> None:
        """As an init system would: who has ended is started again."""
        while not self._stop.wait(RESTART_SECONDS):
            for name in (SERVER, *RECONCILERS):
                process = self._processes.get(name)
                if process is None or process.poll() is not None:
                    self._launch(name)

    def _launch(self, name: str) -> None:
        program = ["cli.main", "serve"] if name == SERVER else ["service.reconciler"]
        environment = inherited_environment() | {
            "AUTODL_DATA": str(self.data),
            "AUTODL_PORT": str(self.port),
            "AUTODL_DATABASE_URL": self.database_url,
            "AUTODL_RECONCILE": "false",
            "AUTODL_GPUS": "",
            "AUTODL_POLL_SECONDS": "0.1",
            "AUTODL_KEEP_RUN_SECONDS": "20",
            "AUTODL_LOG_FORMAT": "json",
            "AUTODL_SOLUTIONS": json.dumps({k: str(v) for k, v in self.settings.solutions.items()}),
        }
        with self.data.with_suffix(".log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", *program], env=environment, stdout=log, stderr=log
            )
        self.starts[name] += 1


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[bool]:
    """Mount a file system of that size at ``folder``; False where we may not.

    An ordinary user may inside a namespace of its own, into which ``__main__`` brings us.
    """
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def postgresql() -> Iterator[Cluster]:
    """A server that may be killed; elsewhere than the small disk."""
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o711)
        cluster = Cluster(Path(name))
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.kill()


def enter_namespace() -> None:
    """Begin anew as root of a namespace of our own, where an ordinary user may mount."""
    if os.geteuid() != 0:
        again = [sys.executable, "-m", "tests.chaos", *sys.argv[1:]]
        os.execvp("unshare", ["unshare", "--user", "--map-root-user", "--mount", *again])
