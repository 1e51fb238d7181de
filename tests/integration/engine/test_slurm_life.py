"""A submission's whole life on a real Slurm, by the one reconciler: its programs really run."""

import json
import threading
import time
from collections.abc import Callable

import pytest
import uvicorn

from autodl import sandbox
from service.app import create_app
from service.executors.slurm import SlurmExecutor
from service.models import RunKind
from service.models import SubmissionState as S
from service.settings import Settings, SlurmSettings
from service.submissions import repository, service
from tests.cluster import wait_until
from tests.integration.engine.conftest import World
from tests.integration.engine.test_restart import zip_folder
from tests.slurm import Cluster

pytestmark = pytest.mark.slow
HELD = sandbox.level(
    sandbox.strength()
)  # as strongly as this machine can, and a job is to see to it


class SlurmWorld(World):
    """An installation whose runs are jobs."""

    def __init__(self, settings: Settings, cluster: Cluster, api_url: str) -> None:
        super().__init__(settings)
        site = SlurmSettings(api_url=api_url, conf=cluster.conf, memory_bytes=2 << 30, cpus=2)
        self.executor = SlurmExecutor(settings, site)  # type: ignore[assignment]
        self.restart()

    def tick_until(self, done: Callable[[], object], seconds: float = 90.0) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < deadline
            self.tick()
            time.sleep(0.2)

    def end(self, submission_id: str) -> None:
        self.tick_until(lambda: self.see(submission_id).state in service.ENDED)


@pytest.fixture
def world(tmp_path, guests, slurm_cluster):
    solutions = {folder.name: folder for folder in guests.iterdir()}
    settings = Settings(
        data=tmp_path / "data", gpus=(), solutions=solutions, require_isolation=HELD
    )
    app = create_app(settings, executor=None)  # type: ignore[arg-type]
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    world = SlurmWorld(settings, slurm_cluster, f"http://127.0.0.1:{port}")
    yield world
    for seen in world.executor.observe([]):
        world.executor.cancel(seen.run_id)
    slurm_cluster.wait_until_empty()
    server.should_exit = True
    thread.join(timeout=60)
    world.database.close()


def test_a_run_reports_from_its_job_and_its_results_are_stored(world, tiny_bundle) -> None:
    content = zip_folder(tiny_bundle)
    submission_id = world.submit(content=content, solution="steady", budget_seconds=2.0)
    world.end(submission_id)
    submission = world.see(submission_id)
    assert submission.state is S.SUCCEEDED, submission.error
    assert [run.kind for run in world.runs(submission_id)] == [RunKind.CHECK, RunKind.SOLVE]
    run = world.run(submission_id)
    with world.database.read() as session:
        points = repository.list_points(session, run.id)
    assert submission.result["alc"] == points[-1].alc
    files = world.storage.list(service.run_prefix(run.id))
    assert {f"runs/{run.id}/{name}" for name in ("predictions.csv", "curve.svg", "log.txt")} <= {
        *files
    }
    log, manifest = (
        world.storage.read(f"{service.run_prefix(run.id)}/{name}")
        for name in ("log.txt", "manifest.json")
    )
    assert b"[solve ended with code 0" in log
    assert json.loads(manifest)["isolation"]["level"] == HELD


def test_bad_data_are_rejected_and_a_job_ended_by_hand_is_made_anew(
    world, tiny_bundle, slurm_cluster
) -> None:
    submission_id = world.submit(content=b"not a zip at all", solution="steady")
    world.tick()
    first = world.run(submission_id)
    slurm_cluster.call("scancel", f"--name=adl-{first.id}")
    world.end(submission_id)
    assert world.run(submission_id).id != first.id
    submission = world.see(submission_id)
    assert (submission.state, submission.error["code"]) == (S.REJECTED, "not-a-zip")


def test_cancel_ends_a_submission_within_ten_seconds_while_the_controller_comes_back(
    world, tiny_bundle, slurm_cluster
) -> None:
    submission_id = world.submit(content=zip_folder(tiny_bundle), solution="ignores_term")
    world.tick_until(lambda: "learning" in world.see(submission_id).status_reason)
    slurm_cluster.wait_until_saved()
    slurm_cluster.kill("slurmctld")
    world.cancel(submission_id)
    world.tick()
    assert world.see(submission_id).state is S.RUNNING
    slurm_cluster.start_daemon("slurmctld")
    slurm_cluster.wait_for_node("mixed", "idle")
    began = time.monotonic()
    world.end(submission_id)
    assert world.see(submission_id).state is S.CANCELED
    slurm_cluster.wait_until_empty()
    assert time.monotonic() - began < 10
