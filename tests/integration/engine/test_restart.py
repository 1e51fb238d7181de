"""Real processes, real kills: nothing acknowledged is lost, nothing is counted twice."""

import csv
import io
import json
import random
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
from sqlalchemy.orm import undefer

from service.db import Database, migrate
from service.models import Account, CurvePoint, Run, RunKind, Submission, Upload, new_id
from service.models import SubmissionState as S
from service.settings import Settings, inherited_environment
from service.storage import open_storage
from service.submissions import asking, repository, service
from service.uploads import service as uploads
from service.worker.supervisor import read_status

pytestmark = pytest.mark.slow
ON_BOTH = pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)


def zip_folder(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return buffer.getvalue()


class Installation:
    """A data directory, and the reconciler's process over it, which can be killed."""

    def __init__(self, data: Path, guests: Path, database_url: str) -> None:
        solutions = {folder.name: folder for folder in guests.iterdir()}
        self.settings = Settings(data=data, database_url=database_url, gpus=(), solutions=solutions)
        data.mkdir()
        self.database = Database(self.settings.effective_database_url)
        migrate(self.database)
        self.storage = open_storage(self.settings.effective_storage)
        self.process: subprocess.Popen[bytes] | None = None
        with self.database.write() as session:
            account = Account(name="ada")
            session.add(account)
            session.flush()
            self.account_id = account.id

    def start(self) -> None:
        paths = {name: str(folder) for name, folder in self.settings.solutions.items()}
        environment = inherited_environment() | {
            "AUTODL_DATA": str(self.settings.data),
            "AUTODL_DATABASE_URL": self.settings.database_url,
            "AUTODL_GPUS": "",
            "AUTODL_POLL_SECONDS": "0.1",
            "AUTODL_SOLUTIONS": json.dumps(paths),
        }
        command = [sys.executable, "-m", "service.reconciler"]
        with (self.settings.data / "service.log").open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stderr=log)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def submit(self, bundle: bytes, solution: str, budget_seconds: float = 3.0) -> str:
        upload_id = new_id()
        stored = self.storage.put(uploads.upload_key(upload_id), [bundle])
        asked = asking.check_request(
            self.settings, budget_seconds=budget_seconds, solution=solution
        )
        upload = Upload(
            id=upload_id, key=stored.key, size_bytes=stored.size_bytes, sha256=stored.sha256
        )
        with self.database.write() as session:
            return service.create_submission(session, self.account_id, asked, upload).id

    def see(self, submission_id: str) -> Submission:
        with self.database.read() as session:
            report = undefer(Submission.report)
            return session.get_one(Submission, submission_id, options=[report])

    def runs(self, submission_id: str) -> list[Run]:
        with self.database.read() as session:
            return list(repository.list_runs(session, submission_id))

    def points(self, submission_id: str) -> list[CurvePoint]:
        run_id = self.see(submission_id).current_run_id or ""
        with self.database.read() as session:
            return list(repository.list_points(session, run_id))

    def file(self, submission_id: str, path: str) -> bytes:
        run_id = self.see(submission_id).current_run_id or ""
        return self.storage.read(f"{service.run_prefix(run_id)}/{path}")

    def folder(self, submission_id: str) -> Path:
        return self.settings.data / "runs" / (self.see(submission_id).current_run_id or "")

    def wait(self, done: Callable[[], object], seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < deadline, (self.settings.data / "service.log").read_text()
            time.sleep(0.05)

    def wait_for_points(self, submission_id: str, count: int) -> None:
        self.wait(
            lambda: self.is_solving(submission_id) and len(self.points(submission_id)) >= count
        )

    def wait_for_end(self, submission_id: str) -> Submission:
        self.wait(lambda: self.see(submission_id).state in service.ENDED)
        return self.see(submission_id)

    def is_solving(self, submission_id: str) -> bool:
        runs = self.runs(submission_id)
        return bool(runs) and runs[-1].kind is RunKind.SOLVE

    def find_process(self, submission_id: str, program: str) -> psutil.Process:
        status = read_status(self.folder(submission_id))
        assert status is not None
        supervisor = psutil.Process(status.pid)
        if program == "supervisor":
            return supervisor
        wanted = f"service.worker.{program}"
        alive = [p for p in supervisor.children() if p.status() != psutil.STATUS_ZOMBIE]
        (found,) = [p for p in alive if wanted in p.cmdline()]
        return found

    def check_once(self, submission_id: str) -> None:
        """Whatever happened on the way, the end is true and was recorded once."""
        submission = self.see(submission_id)
        with self.database.read() as session:
            steps = repository.list_transitions(session, submission_id)
            ends = [step for step in steps if step.to_state in service.ENDED]
        assert len(ends) == 1
        assert all(a.to_state is b.from_state for a, b in pairwise(steps))
        points = self.points(submission_id)
        assert [p.index for p in points] == list(range(len(points)))
        if submission.result is not None:
            assert submission.result["points"] == len(points)
            assert submission.result["alc"] == points[-1].alc


@pytest.fixture
def database_url(request) -> str:
    """These stories take long: those that are about the database are told on both."""
    kind = getattr(request, "param", "sqlite")
    return request.getfixturevalue("postgresql").create() if kind == "postgresql" else ""


@pytest.fixture
def installation(tmp_path, guests, database_url):
    installation = Installation(tmp_path / "data", guests, database_url)
    installation.start()
    yield installation
    installation.kill()
    for folder in (tmp_path / "data" / "runs").glob("*"):
        status = read_status(folder)
        if status is not None and psutil.pid_exists(status.pid):
            psutil.Process(status.pid).terminate()
    installation.database.close()


@pytest.fixture
def bundle(tiny_bundle) -> bytes:
    return zip_folder(tiny_bundle)


@ON_BOTH
def test_a_run_goes_on_while_the_service_is_dead_and_is_found_again(installation, bundle) -> None:
    submission_id = installation.submit(bundle, "steady")
    installation.wait_for_points(submission_id, 1)
    installation.kill()
    installation.wait_for_end(submission_id)  # its own programs recorded it
    installation.start()
    submission = installation.wait_for_end(submission_id)
    assert submission.state is S.SUCCEEDED
    assert [r.kind for r in installation.runs(submission_id)] == [RunKind.CHECK, RunKind.SOLVE]
    assert submission.result["points"] >= 3
    assert 2 < installation.points(submission_id)[-1].seconds <= 3
    installation.check_once(submission_id)


def test_results_name_every_item_of_both_parts(installation, bundle) -> None:
    submission_id = installation.submit(bundle, "linear")
    assert installation.wait_for_end(submission_id).state is S.SUCCEEDED
    text = installation.file(submission_id, "predictions.csv").decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [r["subset"] for r in rows] == ["test"] * 20 + ["unlabelled"] * 5
    assert {r["prediction"] for r in rows} == {"0", "1", "2"}
    for row in rows:
        assert row["prediction"] == max("012", key=lambda c: float(row[c]))
    labelled = installation.file(submission_id, "labelled/dataset.predict")
    assert len(labelled.splitlines()) == 5
    curve = json.loads(installation.file(submission_id, "curve.json"))
    assert curve["alc"] == installation.see(submission_id).result["alc"]
    assert curve["points"][0]["nauc"] > 0.8
    assert installation.file(submission_id, "curve.svg").startswith(b"<svg")
    assert b"score:" in installation.file(submission_id, "scores.txt")


@ON_BOTH
def test_kills_at_any_moment_lose_nothing(installation, bundle) -> None:
    moments = random.Random(0)
    submission_id = installation.submit(bundle, "steady", budget_seconds=1.5)
    for _ in range(8):  # a machine that is slow to start us must get somewhere in the end
        time.sleep(moments.uniform(0.5, 3.0))
        installation.kill()
        installation.start()
    assert installation.wait_for_end(submission_id).state is S.SUCCEEDED
    assert len(installation.runs(submission_id)) == 2
    installation.check_once(submission_id)


def test_a_killed_supervisor_costs_a_run_and_not_the_submission(installation, bundle) -> None:
    submission_id = installation.submit(bundle, "steady")
    installation.wait_for_points(submission_id, 1)
    installation.find_process(submission_id, "supervisor").kill()
    submission = installation.wait_for_end(submission_id)
    assert submission.state is S.SUCCEEDED
    _, lost, last = installation.runs(submission_id)
    assert lost.outcome["end"] == "node-lost"
    assert submission.current_run_id == last.id
    with installation.database.read() as session:
        assert repository.list_points(session, lost.id)
    installation.check_once(submission_id)


def test_what_was_predicted_before_a_kill_counts(installation, bundle) -> None:
    submission_id = installation.submit(bundle, "steady", budget_seconds=60)
    installation.wait_for_points(submission_id, 2)
    for process in installation.find_process(submission_id, "solve").children(recursive=True):
        if "autodl.keeper" not in process.cmdline():
            process.kill()
    submission = installation.wait_for_end(submission_id)
    assert submission.state is S.SUCCEEDED
    assert submission.error["code"] == "solution-killed"
    assert "killed from outside or by itself" in submission.result["note"]
    assert len(installation.runs(submission_id)) == 2
    installation.check_once(submission_id)


def test_a_driver_that_is_killed_costs_a_run_and_nobody_anything(installation, bundle) -> None:
    submission_id = installation.submit(bundle, "steady")
    installation.wait_for_points(submission_id, 1)
    installation.find_process(submission_id, "solve").kill()
    submission = installation.wait_for_end(submission_id)
    assert (submission.state, submission.error) == (S.SUCCEEDED, None)
    _, ended, last = installation.runs(submission_id)
    assert ended.outcome["end"] == "infra"
    assert "'solve' of the run was ended by signal 9" in ended.outcome["message"]
    assert submission.current_run_id == last.id
    installation.check_once(submission_id)


def test_a_killed_scorer_goes_on_where_it_was(installation, bundle) -> None:
    submission_id = installation.submit(bundle, "steady")
    installation.wait_for_points(submission_id, 1)
    installation.find_process(submission_id, "score").kill()
    submission = installation.wait_for_end(submission_id)
    assert submission.state is S.SUCCEEDED
    assert submission.result["points"] >= 3
    installation.check_once(submission_id)


def test_a_failure_has_its_class_its_reason_and_a_log(installation, bundle) -> None:
    submission_id = installation.submit(bundle, "raises")
    submission = installation.wait_for_end(submission_id)
    assert submission.state is S.FAILED
    assert submission.error["family"] == "solution"
    assert submission.error["code"] == "solution-train"
    log = installation.file(submission_id, "log.txt").decode()
    assert "no luck" in log
    assert "[solve ended with code 0" in log
    assert len(installation.runs(submission_id)) == 2  # not repeated


def test_a_solution_that_ignores_its_deadline_is_ended(installation, bundle) -> None:
    submission_id = installation.submit(bundle, "ignores_term", budget_seconds=1)
    installation.wait(lambda: installation.is_solving(submission_id))
    began = time.monotonic()
    submission = installation.wait_for_end(submission_id)
    assert time.monotonic() - began < 1 + 15 + 10  # and the four programs' own time
    assert submission.state in (S.SUCCEEDED, S.FAILED)
    installation.check_once(submission_id)


@ON_BOTH
def test_cancel_frees_the_slot_within_ten_seconds(installation, bundle) -> None:
    submission_id = installation.submit(bundle, "ignores_term", budget_seconds=60)
    installation.wait_for_points(submission_id, 0)
    installation.wait(lambda: "learning" in installation.see(submission_id).status_reason)
    supervisor = installation.find_process(submission_id, "supervisor")
    processes = [supervisor, *supervisor.children(recursive=True)]
    began = time.monotonic()
    with installation.database.write() as session:
        service.cancel_submission(session, installation.account_id, submission_id)
    submission = installation.wait_for_end(submission_id)
    assert submission.state is S.CANCELED
    assert time.monotonic() - began < 10
    psutil.wait_procs(processes, timeout=1)
    assert [p for p in processes if p.is_running()] == []


def test_bad_data_are_rejected_before_a_run_is_spent(installation, tiny_bundle) -> None:
    (tiny_bundle / "toy.solution").unlink()
    contents = {"not-a-zip": b"not a zip at all", "labels-missing": zip_folder(tiny_bundle)}
    ids = {code: installation.submit(content, "linear") for code, content in contents.items()}
    for code, submission_id in ids.items():
        submission = installation.wait_for_end(submission_id)
        assert submission.state is S.REJECTED
        assert (submission.error["family"], submission.error["code"]) == ("data", code)
        assert submission.report["findings"][0]["severity"] == "error"
        assert submission.status_reason == submission.error["message"]
        assert [r.kind for r in installation.runs(submission_id)] == [RunKind.CHECK]
        assert installation.storage.exists(submission.bundle_key)
