"""A server in a process of its own, which a test may kill; and a link that breaks."""

from __future__ import annotations

import multiprocessing
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import uvicorn

from service.app import create_app
from service.executors.local import LocalExecutor
from service.settings import Settings

PATIENCE_SECONDS = 120.0
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.integration.serving"])


def serve(settings: dict[str, Any], port: int) -> None:
    """The whole application, without a reconciler."""
    given = Settings(**settings)
    app = create_app(given, LocalExecutor(given))
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error")


class Server:
    """The service over one data directory, at one port for all its lives."""

    def __init__(self, data: Path, **settings: Any) -> None:
        self.data = data
        usual = Settings().database_url  # what is set here, in the process to come as well
        self.settings = {"data": data, "gpus": (), "database_url": usual} | settings
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.process: Any = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.process = _context.Process(target=serve, args=(self.settings, self.port), daemon=True)
        self.process.start()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            with suppress(httpx2.TransportError):
                if httpx2.get(f"{self.url}/healthz").status_code == 200:
                    return
            assert self.process.is_alive(), "the server ended by itself"
            time.sleep(0.05)
        raise TimeoutError("the server did not start")

    def kill(self) -> None:
        """-9: nothing in the process gets to tidy up."""
        if self.process is not None:
            self.process.kill()
            self.process.join()

    def client(self, url: str | None = None) -> httpx2.Client:
        token = (self.data / "token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        return httpx2.Client(base_url=url or self.url, headers=headers, timeout=60)

    def peak_bytes(self) -> int:
        """The most memory that the process has had."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024


class BreakingLink:
    """Passes bytes to a port; cuts each connection after so many of them, so many times."""

    def __init__(self, port: int, cut_after_bytes: int, cuts: int) -> None:
        self.target = port
        self.cut_after_bytes = cut_after_bytes
        self.cuts_left = cuts
        self.sent_bytes = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self.target))
                threading.Thread(target=self._pass, args=(far, near), daemon=True).start()
                threading.Thread(target=self._pass_some, args=(near, far), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def _pass_some(self, source: socket.socket, target: socket.socket) -> None:
        left = self.cut_after_bytes
        with suppress(OSError):
            while data := source.recv(4096):
                target.sendall(data)
                self.sent_bytes += len(data)
                left -= len(data)
                if left <= 0 and self.cuts_left > 0:
                    self.cuts_left -= 1
                    break
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
