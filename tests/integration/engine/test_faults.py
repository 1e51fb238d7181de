"""Each fault of the table has its class, its reason, advice, a log, and costs its owner nothing.

The programs of a run are real, and the solution is held as in any run; they are called here one
after the other, which is faster than a process each.
"""

from __future__ import annotations

import io
import json
import sys
import threading
import traceback
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from autodl import confine, sandbox
from autodl.verdict import Limits
from service.executors.base import End, Phase
from service.executors.folders import list_programs, write_run
from service.models import LedgerEntry, RunKind
from service.models import SubmissionState as S
from service.settings import Settings
from service.submissions import service
from service.worker import program, publish, score, solve, stage
from service.worker.report import open_reporter
from service.worker.supervisor import ProgramEnd, Status
from service.worker.tasks import PublishTask, ReportTo, ScoreTask, SolveTask, StageTask
from tests.integration.engine.conftest import World
from tests.integration.engine.faults import FAULTS, Fault

PROGRAMS: dict[str, tuple[type[program.Task], Callable[[Any], Any]]] = {
    "stage": (StageTask, stage.stage),
    "solve": (SolveTask, solve.solve),
    "score": (ScoreTask, score.score),
    "publish": (PublishTask, publish.publish),
}


class Scene:
    """One run of one submission, and hands to spoil it."""

    confinement_failed = confine.FAILED

    def __init__(self, folder: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bundle = bundle
        self.content, self.file = zip_folder(bundle), "toy.zip"
        self.solution = folder / "solution"
        self.solution.mkdir()
        self.model = self.solution / "model.py"
        solutions = {"it": self.solution}
        self.world = World(
            Settings(
                data=folder / "data", gpus=(), solutions=solutions, require_isolation="process"
            )
        )
        self.monkeypatch = monkeypatch
        self.submission_id = ""
        self._server: HTTPServer | None = None
        self._changes: dict[str, Any] = {"budget_seconds": 30.0}

    def patch(self, name: str, value: Any) -> None:
        self.monkeypatch.setattr(name, value)

    def set(self, **changes: Any) -> None:
        """What ``solve`` is told."""
        self._changes |= changes

    def limit(self, **limits: int) -> None:
        """What the solution may use."""
        self.patch("service.worker.solve.Limits", lambda **given: Limits(**(given | limits)))

    def send(self, content: bytes, file: str = "toy.zip") -> None:
        self.content, self.file = content, file

    def send_without(self, name: str) -> None:
        (self.bundle / name).unlink()
        self.send(zip_folder(self.bundle))

    def send_cut(self, suffix: str, count: int) -> None:
        for path in self.bundle.rglob(f"*test*{suffix}"):
            path.write_bytes(path.read_bytes()[:-count])
        self.send(zip_folder(self.bundle))

    def check_by(self, code: str) -> None:
        """Another program in place of what decodes the data."""
        enclose = sandbox.enclose
        command = [
            sys.executable,
            "-c",
            f"import os, sys\nprint('reading a.jpg', flush=True)\n{code}",
        ]
        self.patch("autodl.sandbox.enclose", lambda plan, _, folder: enclose(plan, command, folder))

    @property
    def stored(self) -> Path:
        path = self.world.storage.path(self.world.see(self.submission_id).bundle_key)
        assert path is not None
        return path

    def break_store(self) -> None:
        """Only the bundle's own folder: what is told of the fault must be stored all the same."""
        folder = self.stored.parent
        folder.rename(folder.with_name("hidden"))
        folder.touch()

    def answer(self, status: int) -> None:
        """The bundle lies in a store that answers so."""

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_error(status)

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def open_without_database(self, to: ReportTo) -> Any:
        return open_reporter(
            to.model_copy(update={"database_url": "postgresql://nobody@127.0.0.1:1/none"})
        )

    def begin(self, fault: Fault) -> Path:
        """Bring the submission to the run in question; gives the run's folder."""
        world = self.world
        self.submission_id = world.submit(content=self.content, solution="it", budget_seconds=1.0)
        if fault.kind == "solve":
            world.pass_check(self.submission_id)
        world.tick()
        run = world.run(self.submission_id)
        assert run.kind is RunKind(fault.kind)
        return world.settings.data / "runs" / run.id

    def carry_out(self, fault: Fault, folder: Path) -> None:
        """The programs in their order, and what the executor then says of the run."""
        spec = self.world.executor.specs[folder.name]
        if self._server is not None:
            url = f"http://127.0.0.1:{self._server.server_port}/bundle"
            spec = spec.model_copy(update={"stage": spec.stage.model_copy(update={"url": url})})
        spec = spec.model_copy(
            update={"source": spec.source.model_copy(update={"name": self.file})}
        )
        report_to = ReportTo(
            run_id=spec.run_id,
            token=spec.publish.token,
            prefix=spec.publish.prefix,
            database_url=self.world.settings.effective_database_url,
            storage=self.world.storage.root.as_uri(),
        )
        write_run(
            folder,
            spec,
            self.world.settings,
            report_to,
            programs=list_programs(),
            gpu=None,
            memory_bytes=2 << 30,
        )
        told = json.loads((folder / "solve.json").read_text())
        (folder / "solve.json").write_text(json.dumps(told | self._changes))
        ends: dict[str, ProgramEnd] = {}
        for name in PROGRAMS:
            is_due = name == "publish" or not any(end.exit_code for end in ends.values())
            if is_due and (name != "score" or fault.kind == "solve"):
                end = {"exit_code": 0, "seconds": 1.0} | fault.ends.get(name, {})
                if name not in fault.ends:
                    end["exit_code"] = self._call(name, folder)
                ends[name] = ProgramEnd.model_validate(end)
                _write_status(folder, ends)
            (folder / "over").touch()
        self._observe(folder, ends["publish"].exit_code)

    def _call(self, name: str, folder: Path) -> int:
        task_type, work = PROGRAMS[name]
        self.monkeypatch.setattr(sys, "argv", [name, str(folder / f"{name}.json")])
        try:
            program.run_program(task_type, work)
        except SystemExit as left:
            return int(left.code or 0)
        except Exception:  # noqa: BLE001 as its process would
            traceback.print_exc()
            return 1
        return 0

    def _observe(self, folder: Path, exit_code: int) -> None:
        if exit_code == 0:
            self.world.executor.end(folder.name, End.OK)
        else:
            error = json.loads((folder / "publish.result.json").read_text())["error"]
            self.world.executor.end(folder.name, End.INFRA, error["message"])
        self.world.tick()

    def close(self) -> None:
        self.world.database.close()
        if self._server is not None:
            self._server.shutdown()


def _write_status(folder: Path, ends: dict[str, ProgramEnd]) -> None:
    status = Status(
        pid=1,
        phase=Phase.RUNNING,
        message="",
        started_at="2026-01-01T00:00:00+00:00",
        programs=ends,
    )
    program.write_json(folder / "status.json", status.model_dump(mode="json"))


def zip_folder(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return buffer.getvalue()


@pytest.fixture
def scene(tmp_path, tiny_bundle, monkeypatch) -> Iterator[Scene]:
    monkeypatch.setattr(program, "PATIENCE_SECONDS", 0.0)
    scene = Scene(tmp_path, tiny_bundle, monkeypatch)
    yield scene
    scene.close()


def test_there_are_enough_of_them() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 30
    assert {fault.family for fault in FAULTS} == {"data", "solution", "platform"}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_told_to_whom_it_concerns(scene: Scene, fault: Fault) -> None:
    scene.model.write_text(fault.model)
    if fault.family != "platform":
        fault.sabotage(scene)
    folder = scene.begin(fault)
    if fault.family == "platform":
        fault.sabotage(scene)
    scene.carry_out(fault, folder)

    world, submission = scene.world, scene.world.see(scene.submission_id)
    told = json.loads(world.storage.read(f"{service.run_prefix(folder.name)}/failure.json"))
    error = told["error"]
    assert (error["family"], error["code"]) == (fault.family, fault.code), error
    assert error["message"]
    assert "Traceback" not in error["message"]
    assert error["hint"], error
    log = world.storage.read(f"{service.run_prefix(folder.name)}/{service.LOG_NAME}")
    assert log.strip()
    assert len(log) < 5 << 20
    if fault.family == "platform":
        assert_another_run_is_due(scene)
        return
    state = S.REJECTED if fault.family == "data" else S.FAILED
    assert (submission.state, submission.error) == (state, error)
    assert submission.status_reason == error["message"]
    assert sum_ledger(scene) == (0, 0)
    kinds = [run.kind for run in world.runs(scene.submission_id)]
    assert kinds == [RunKind.CHECK, RunKind.SOLVE][: len(kinds)]  # none of them twice


def assert_another_run_is_due(scene: Scene) -> None:
    """And after the third failure it is told that nothing is wrong with the data."""
    world, submission_id = scene.world, scene.submission_id
    message = world.see(submission_id).status_reason
    assert world.see(submission_id).ended_at is None
    first = world.run(submission_id)
    assert first.outcome["message"] in message or first.outcome is None
    for _ in range(service.RETRIES):
        world.tick()
        world.executor.end(world.run(submission_id).id, End.INFRA, "It failed again.")
        world.tick()
    submission = world.see(submission_id)
    assert (submission.state, submission.error["code"]) == (S.FAILED, "run-lost")
    assert submission.error["hint"]
    assert sum_ledger(scene) == (0, 0)
    key = f"{service.run_prefix(world.run(submission_id).id)}/{service.LOG_NAME}"
    assert b"It failed again." in world.storage.read(key)


def sum_ledger(scene: Scene) -> tuple[int, int]:
    """Submissions and milliseconds that are charged."""
    with scene.world.database.read() as session:
        entries = session.scalars(
            select(LedgerEntry).where(LedgerEntry.submission_id == scene.submission_id)
        ).all()
    assert len(entries) == 2
    return sum(e.submissions for e in entries), sum(e.compute_milliseconds for e in entries)
