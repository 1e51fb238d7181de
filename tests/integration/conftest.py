"""An installation in a temporary folder, spoken to over HTTP; its runs go as a test says."""

from collections.abc import Collection, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from service.app import create_app, prepare
from service.executors.base import Capabilities, Observation, Phase, RunSpec
from service.models import RunKind, Submission
from service.settings import Settings
from service.submissions import repository, service

MAX_UPLOAD_BYTES = 1_000_000
POINTS = [
    {"index": 0, "seconds": 2.0, "nauc": 0.5, "accuracy": 0.6, "alc": 0.4},
    {"index": 1, "seconds": 30.0, "nauc": 0.9, "accuracy": 0.8, "alc": 0.6},
]


class IdleExecutor:
    """Runs nothing; ``log`` is what every run has written."""

    name = "idle"
    log = b""

    def capabilities(self) -> Capabilities:
        slots = dict.fromkeys(RunKind, 1)
        return Capabilities(slots=slots, isolation="none", gpus=0, enforced=frozenset())

    def ensure(self, spec: RunSpec) -> None:
        """Nothing is started."""

    def observe(self, run_ids: Collection[str]) -> list[Observation]:
        return [Observation(run_id=run_id, phase=Phase.RUNNING) for run_id in run_ids]

    def cancel(self, run_id: str) -> None:
        """Nothing is at work."""

    def forget(self, run_id: str) -> None:
        """Nothing is kept."""

    def logs(self, run_id: str, tail_bytes: int) -> bytes:
        return self.log[-tail_bytes:]


class Installation:
    """The application, a client that is signed in, and a run's own reports."""

    def __init__(self, data: Path) -> None:
        settings = Settings(data=data, gpus=(), max_upload_bytes=MAX_UPLOAD_BYTES)
        self.executor = IdleExecutor()
        self.app = create_app(settings, self.executor)
        self.context = self.app.state.context
        self.token = prepare(self.context)
        self.http = TestClient(
            self.app,
            base_url="http://127.0.0.1:8000",
            headers={"Authorization": f"Bearer {self.token}"},
            raise_server_exceptions=False,
        )

    def submit(self, **fields: str) -> str:
        answer = self.http.post("/v1/submissions", data=fields, files={"file": ("toy.zip", b"PK")})
        assert answer.status_code == 202, answer.text
        submission_id: str = answer.json()["id"]
        return submission_id

    def start_run(self, submission_id: str, kind: RunKind) -> tuple[str, str]:
        """A run of the submission, and its token."""
        secret = self.context.settings.read_secret()
        with self.context.database.write() as session:
            submission = session.get_one(Submission, submission_id)
            run = service.create_run(session, submission, kind, "idle", secret)
            return run.id, repository.make_token(secret, run.id)

    def pass_check(self, submission_id: str) -> None:
        run_id, token = self.start_run(submission_id, RunKind.CHECK)
        report = {"ok": True, "findings": [], "summary": {"classes": 3}}
        with self.context.database.write() as session:
            service.finish_check(session, run_id, token, report, None)

    def succeed(self, submission_id: str, files: dict[str, bytes] | None = None) -> None:
        """Check and solve, with two points and these files."""
        self.pass_check(submission_id)
        run_id, token = self.start_run(submission_id, RunKind.SOLVE)
        for path, content in (files or {}).items():
            self.context.storage.put(f"{service.run_prefix(run_id)}/{path}", [content])
        with self.context.database.write() as session:
            for point in POINTS:
                service.record_point(session, run_id, token, point)
            result = service.summarize(repository.list_points(session, run_id))
            service.finish_solve(session, run_id, token, result=result, error=None)


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    installation = Installation(tmp_path / "data")
    with installation.http:
        yield installation
