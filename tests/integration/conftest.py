"""An application over a temporary installation, whose runs a test plays itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from service.app import create_app
from service.context import Context
from service.executors.base import Capabilities
from service.models import Json, Run, RunKind, Submission
from service.settings import Settings
from service.submissions import repository, service

SECRET = "of these integration tests"
MAX_UPLOAD_BYTES = 3 * 1024 * 1024


class IdleExecutor:
    """Takes no run; its log is what a test puts there."""

    name = "idle"
    log = b""

    def capabilities(self) -> Capabilities:
        slots = {RunKind.CHECK: 1, RunKind.SOLVE: 1}
        return Capabilities(slots=slots, isolation="none", gpus=0, enforced=frozenset())

    def logs(self, run_id: str, tail_bytes: int) -> bytes:
        return self.log[-tail_bytes:]


@dataclass
class Installation:
    """The application, an authorised client of it, and the steps of a run."""

    app: FastAPI
    http: TestClient
    token: str
    executor: IdleExecutor

    @property
    def context(self) -> Context:
        return self.app.state.context

    def submit(self, content: bytes = b"PK data", **fields: str) -> str:
        answer = self.http.post(
            "/v1/submissions", files={"file": ("flowers.zip", content)}, data=fields
        )
        assert answer.status_code == 202, answer.text
        return answer.json()["id"]

    def begin(self, submission_id: str, kind: RunKind) -> tuple[str, str]:
        """A run that has started, and its token."""
        with self.context.database.write() as session:
            submission = session.get_one(Submission, submission_id)
            run = service.create_run(session, submission, kind, "idle", SECRET)
            service.note_submitted(session, run.id)
            service.note_started(session, submission, session.get_one(Run, run.id))
            return run.id, repository.make_token(SECRET, run.id)

    def pass_check(self, submission_id: str) -> None:
        run_id, token = self.begin(submission_id, RunKind.CHECK)
        subsets = {"train": {"examples": 7, "class_counts": [4, 3]}, "test": {"examples": 2}}
        summary = {"classes": 2, "label_names": ["<a>", "b"], "subsets": subsets}
        report: Json = {"ok": True, "findings": [], "summary": summary}
        with self.context.database.write() as session:
            service.finish_check(session, run_id, token, report, None)

    def score(self, run_id: str, token: str, *points: tuple[float, float, float]) -> None:
        """Points of (seconds, NAUC, ALC)."""
        with self.context.database.write() as session:
            for index, (seconds, nauc, alc) in enumerate(points):
                point = {"index": index, "seconds": seconds, "nauc": nauc, "accuracy": 0.5}
                service.record_point(session, run_id, token, point | {"alc": alc})

    def succeed(self, submission_id: str, files: dict[str, bytes] | None = None) -> str:
        """A whole good life; the id of its solve run."""
        self.pass_check(submission_id)
        run_id, token = self.begin(submission_id, RunKind.SOLVE)
        self.score(run_id, token, (2.0, 0.5, 0.4), (30.0, 0.9, 0.6))
        for path, content in (files or {}).items():
            self.context.storage.put(f"{service.run_prefix(run_id)}/{path}", [content])
        with self.context.database.write() as session:
            points = repository.list_points(session, run_id)
            result = service.summarize(points, "", 31.0)
            service.finish_solve(session, run_id, token, result=result, error=None)
        return run_id


@pytest.fixture
def part_bytes() -> int:
    """Of an upload; a module may say otherwise."""
    return 64 * 1024


@pytest.fixture
def installation(tmp_path: Path, database_url: str, part_bytes: int) -> Iterator[Installation]:
    executor = IdleExecutor()
    settings = Settings(
        data=tmp_path / "data",
        database_url=database_url,
        secret=SECRET,
        max_upload_bytes=MAX_UPLOAD_BYTES,
        part_bytes=part_bytes,
        default_budget_seconds=60,
        gpus=(),
    )
    app = create_app(settings, executor)
    with TestClient(app, raise_server_exceptions=False) as http:
        token = (settings.data / "token").read_text().strip()
        http.headers["Authorization"] = f"Bearer {token}"
        yield Installation(app, http, token, executor)
