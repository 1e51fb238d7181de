"""Raw data through a real run: staged, formatted and checked in the sandbox, stored, and learnt."""

import io
import time
import zipfile
from pathlib import Path

import pytest

from service.executors.local import LocalExecutor
from service.models import Submission
from service.models import SubmissionState as S
from service.reconciler import Reconciler
from service.settings import Settings
from tests.integration.engine.conftest import World

PATIENCE_SECONDS = 150.0
GUESTS = Path(__file__).resolve().parents[2] / "guests"
TABLE = "size,colour,kind\n" + "".join(f"{n % 7},{'rg'[n % 2]},{'ab'[n % 2]}\n" for n in range(60))


def pack(**files: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


@pytest.fixture
def lab(tmp_path) -> World:
    """An installation whose runs are real."""
    world = World(
        Settings(data=tmp_path / "data", gpus=(), solutions={"constant": GUESTS / "constant"})
    )
    executor = LocalExecutor(world.settings)
    world.executor = executor
    world.reconciler = Reconciler(world.settings, world.database, world.storage, executor)
    yield world
    world.database.close()


def submit(world: World, name: str, content: bytes, **source: object) -> str:
    submission_id = world.submit(content=content, solution="constant", budget_seconds=10)
    with world.database.write() as session:
        session.get_one(Submission, submission_id).source = {"name": name, **source}
    return submission_id


def follow(world: World, submission_id: str, *until: S) -> list[str]:
    """Rounds until then; what was said meanwhile."""
    said: list[str] = []
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (seen := world.see(submission_id)).state not in {*until, S.REJECTED, S.FAILED}:
        assert time.monotonic() < deadline, seen.status_reason
        said.append(seen.status_reason)
        world.tick()
        time.sleep(0.1)
    return said


@pytest.mark.slow
def test_a_table_is_formatted_and_learnt(lab) -> None:
    submission_id = submit(lab, "fruits.csv", TABLE.encode(), label=["kind"])
    follow(lab, submission_id, S.SUCCEEDED)
    submission = lab.see(submission_id)
    assert submission.state is S.SUCCEEDED, submission.error
    check, solve = lab.runs(submission_id)
    assert submission.bundle_key == f"runs/{check.id}/bundle.zip"
    assert solve.spec["stage"]["sha256"] == submission.bundle_sha256
    with zipfile.ZipFile(lab.storage.path(submission.bundle_key)) as archive:
        assert "fruits.solution" in archive.namelist()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("bomb.zip", pack(**{"a/1.txt": bytes(300 << 20)}), "zip-bomb"),
        ("slip.zip", pack(**{"../../1.txt": b"x", "a/2.txt": b"y"}), "zip-unsafe-path"),
    ],
)
def test_bad_raw_data_are_refused_with_a_reason_and_cost_nothing(lab, name, content, code) -> None:
    submission_id = submit(lab, name, content)
    follow(lab, submission_id, S.QUEUED)
    submission = lab.see(submission_id)
    assert submission.state is S.REJECTED
    assert submission.error["code"] == code
    assert submission.error["family"] == "data"
    assert not lab.storage.exists(f"runs/{lab.run(submission_id).id}/bundle.zip")
