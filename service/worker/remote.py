"""The reports of a run that is far from the database and from the store: over HTTP."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

import httpx2

from autodl.errors import PlatformError
from service.storage import StoredObject

if TYPE_CHECKING:
    from service.worker.report import Files
    from service.worker.tasks import ReportTo

Json = dict[str, Any]
PATIENCE_SECONDS = 120.0  # with a service that does not answer
PAUSE_SECONDS = 1.0
TIMEOUT_SECONDS = 60.0
CHUNK_BYTES = 1024 * 1024


class RemoteReporter:
    """See ``Reporter``; each call may be repeated without harm, and is."""

    def __init__(self, to: ReportTo) -> None:
        self.to = to
        self._client = httpx2.Client(
            base_url=f"{to.api_url.rstrip('/')}/internal/runs/{to.run_id}",
            headers={"Authorization": f"Bearer {to.token}"},
            timeout=TIMEOUT_SECONDS,
        )
        self.storage: Files = RemoteFiles(self)

    def key(self, path: str) -> str:
        """The name of one of the run's artefacts; it has no others."""
        return path

    def point(self, point: Json) -> None:
        """See ``Reporter``."""
        self.send("POST", "/points", json=point)

    def steps(self, steps: Json) -> None:
        """See ``Reporter``."""
        self.send("POST", "/steps", json=steps)

    def scoring(self) -> None:
        """See ``Reporter``."""
        self.send("POST", "/scoring")

    def check_ended(self, report: Json, error: Json | None, made: Json | None = None) -> None:
        """See ``Reporter``."""
        self.send("POST", "/check", json={"report": report, "error": error, "made": made})

    def solve_ended(self, result: Json | None, error: Json | None) -> None:
        """See ``Reporter``."""
        self.send("POST", "/solve", json={"result": result, "error": error})

    def send(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """One request, repeated while the service is away.

        Raises ``PlatformError``: what the service answers, or ``service-unreachable``.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                answer = self._client.request(method, path, **options)
                if answer.is_success:
                    return answer
                error = _read_problem(answer)
                passing = answer.status_code >= 500 or answer.status_code == 429
            except httpx2.HTTPError as problem:
                why = type(problem).__name__
                error = PlatformError(
                    "service-unreachable", f"The service cannot be reached: {why}."
                )
                passing = True
            if not passing or time.monotonic() > deadline:
                raise error
            time.sleep(PAUSE_SECONDS)


class RemoteFiles:
    """See ``Files``; what is sent can be sent again."""

    def __init__(self, reporter: RemoteReporter) -> None:
        self._reporter = reporter

    def put(self, key: str, chunks: Sequence[bytes] | BinaryIO) -> StoredObject:
        """Store the bytes under the run's prefix."""
        content: Any = _Again(chunks) if isinstance(chunks, io.IOBase) else b"".join(chunks)
        stored = self._reporter.send("PUT", f"/files/{key}", content=content).json()
        return StoredObject(key, stored["size_bytes"], stored["sha256"])

    def open(self, key: str) -> BinaryIO:
        """What was stored before."""
        return io.BytesIO(self._reporter.send("GET", f"/files/{key}").content)


class _Again:
    """A file as the body of a request, from its start each time."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def __iter__(self) -> Any:
        self._file.seek(0)
        return iter(lambda: self._file.read(CHUNK_BYTES), b"")


def _read_problem(answer: httpx2.Response) -> PlatformError:
    """The error that the service described (RFC 9457)."""
    try:
        problem = answer.json()
        return PlatformError(problem["code"], problem["detail"])
    except (ValueError, KeyError, TypeError):
        return PlatformError(
            "service-unreachable", f"The service answered with {answer.status_code}."
        )
