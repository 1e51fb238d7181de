"""An installation in a temporary folder, and an executor that does as it is told."""

from collections.abc import Collection
from typing import Any

import pytest
from sqlalchemy import event

from autodl.errors import PlatformError
from service.db import Database, migrate
from service.executors.base import Capabilities, End, Observation, Phase, RunSpec
from service.models import Account, Run, RunKind, Submission, Upload
from service.models import SubmissionState as S
from service.reconciler import Reconciler
from service.settings import Settings
from service.storage import FileStorage
from service.submissions import asking, repository, service
from tests.clock import simulated

POINT = {"index": 0, "seconds": 1.0, "nauc": 0.5, "accuracy": 0.7, "alc": 0.4}


def _do_not_wait_for_the_disk(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA synchronous=OFF")  # no test here pulls the plug


class FakeExecutor:
    """Holds what it was given until told otherwise; a canceled run ends at the next look."""

    name = "fake"

    def __init__(self) -> None:
        self.slots = {RunKind.CHECK: 1, RunKind.SOLVE: 1}
        self.held: dict[str, Observation] = {}
        self.specs: dict[str, RunSpec] = {}
        self.refuses = False
        self.refusal = "cluster-unavailable"
        self.forgotten: list[str] = []
        self.canceled: list[str] = []

    def capabilities(self) -> Capabilities:
        return Capabilities(slots=self.slots, isolation="none", gpus=0, enforced=frozenset())

    def ensure(self, spec: RunSpec) -> None:
        if self.refuses:
            raise PlatformError(self.refusal, "Not now.")
        self.specs[spec.run_id] = spec
        self.held.setdefault(spec.run_id, Observation(run_id=spec.run_id, phase=Phase.RUNNING))

    def observe(self, run_ids: Collection[str]) -> list[Observation]:
        absent = [i for i in run_ids if i not in self.held]
        return [
            *self.held.values(),
            *(Observation(run_id=i, phase=Phase.ABSENT) for i in absent),
        ]

    def cancel(self, run_id: str) -> None:
        self.canceled.append(run_id)
        if run_id in self.held and self.held[run_id].phase is not Phase.ENDED:
            self.end(run_id, End.CANCELED)

    def forget(self, run_id: str) -> None:
        self.held.pop(run_id, None)
        self.forgotten.append(run_id)

    def logs(self, run_id: str, tail_bytes: int) -> bytes:
        return b""

    def end(self, run_id: str, end: End, message: str = "It ended.") -> None:
        self.held[run_id] = Observation(run_id=run_id, phase=Phase.ENDED, end=end, message=message)


class World:
    """An installation, and hands to move what is outside the reconciler."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.database = Database(settings.effective_database_url)
        if self.database.is_sqlite:
            event.listen(self.database.engine, "connect", _do_not_wait_for_the_disk)
        migrate(self.database)
        self.storage = FileStorage(settings.data / "storage")
        self.executor = FakeExecutor()
        self.reconciler = self.restart()
        self.account_id = self.add_account("ada")

    def restart(self) -> Reconciler:
        """A new process would remember nothing."""
        self.reconciler = Reconciler(self.settings, self.database, self.storage, self.executor)
        return self.reconciler

    def add_account(self, name: str) -> str:
        with self.database.write() as session:
            account = Account(name=name)
            session.add(account)
            session.flush()
            return account.id

    def submit(
        self,
        account_id: str | None = None,
        *,
        content: bytes = b"zip",
        solution: str = "winner",
        budget_seconds: float = 60.0,
    ) -> str:
        stored = self.storage.put("uploads/x/bundle.zip", [content])
        bundle = Upload(key=stored.key, size_bytes=stored.size_bytes, sha256=stored.sha256)
        with self.database.write() as session:
            return service.create_submission(
                session,
                account_id or self.account_id,
                asking.Request("n", budget_seconds, solution),
                bundle,
            ).id

    def cancel(self, submission_id: str) -> None:
        with self.database.write() as session:
            service.cancel_submission(session, self.account_id, submission_id)

    def tick(self, times: int = 1) -> None:
        for _ in range(times):
            self.reconciler.tick()

    def see(self, submission_id: str) -> Submission:
        with self.database.read() as session:
            return session.get_one(Submission, submission_id)

    def runs(self, submission_id: str) -> list[Run]:
        with self.database.read() as session:
            return list(repository.list_runs(session, submission_id))

    def run(self, submission_id: str) -> Run:
        return self.runs(submission_id)[-1]

    def token(self, run_id: str) -> str:
        return repository.make_token(self.settings.read_secret(), run_id)

    def change_run(self, run_id: str, **values: object) -> None:
        with self.database.write() as session:
            run = session.get_one(Run, run_id)
            for name, value in values.items():
                setattr(run, name, value)

    def pass_check(self, submission_id: str) -> None:
        """The check run ends well, as its ``publish`` would say."""
        self.tick()
        run = self.run(submission_id)
        assert run.kind is RunKind.CHECK
        with self.database.write() as session:
            service.finish_check(session, run.id, self.token(run.id), {"findings": []}, None)
        self.executor.end(run.id, End.OK)

    def start_solving(self) -> tuple[str, Run]:
        submission_id = self.submit()
        self.pass_check(submission_id)
        self.tick()
        assert self.see(submission_id).state is S.RUNNING
        return submission_id, self.run(submission_id)

    def end_as_reported(self, run_id: str) -> None:
        """The solve run says itself that the solution raised."""
        fault = {"family": "solution", "code": "a-b", "message": "It raised."}
        with self.database.write() as session:
            service.finish_solve(session, run_id, self.token(run_id), result=None, error=fault)

    def add_point(self, run_id: str) -> None:
        with self.database.write() as session:
            service.record_point(session, run_id, self.token(run_id), POINT)


@pytest.fixture
def clock():
    """The time, which stands until the test moves it."""
    with simulated() as clock:
        yield clock


@pytest.fixture
def world(tmp_path, database_url):
    world = World(Settings(data=tmp_path / "data", database_url=database_url, gpus=()))
    yield world
    world.database.close()
