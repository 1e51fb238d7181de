"""A submission's whole life on a cluster: the Job is the service's own, its programs really run."""

import os
import threading
from pathlib import Path

import pytest
import uvicorn

from service.app import create_app
from service.executors.base import Phase
from service.executors.kubernetes import KubernetesExecutor
from service.models import CurvePoint, RunKind, new_id
from service.models import SubmissionState as S
from service.settings import KubernetesSettings, Settings
from service.submissions import repository, service
from tests.cluster import Cluster, run_pod, wait_until
from tests.integration.engine.conftest import World
from tests.integration.engine.test_restart import zip_folder
from tests.unit.service.executors.test_kubernetes import look, make_executor, make_spec

pytestmark = pytest.mark.slow
REAL = os.environ.get("AUTODL_TEST_KUBECONFIG")  # noqa: TID251 of the tests alone


class ClusterWorld(World):
    """An installation whose runs are Jobs; each pod is carried out when a test says so."""

    def __init__(self, settings: Settings, cluster: Cluster, api_url: str) -> None:
        super().__init__(settings)
        self.cluster = cluster
        where = KubernetesSettings(image="worker", api_url=api_url, gpu_resource="")
        self.executor = KubernetesExecutor(settings, where, cluster.connect())  # type: ignore[assignment]
        self.restart()

    def points(self, run_id: str) -> list[CurvePoint]:
        with self.database.read() as session:
            return list(repository.list_points(session, run_id))

    def carry_out(self, submission_id: str, kind: RunKind) -> None:
        """The next run, to the end of its pod."""
        self.tick()
        run = self.run(submission_id)
        assert run.kind is kind
        self.cluster.schedule(run.id)
        run_pod(self.cluster, run.id, self.settings.data / "pods" / run.id)
        self.tick()


@pytest.fixture
def cluster():
    cluster = Cluster()
    yield cluster
    cluster.close()


@pytest.fixture
def on_cluster(tmp_path, guests, database_url, cluster):
    solutions = {folder.name: folder for folder in guests.iterdir()}
    settings = Settings(
        data=tmp_path / "data", database_url=database_url, gpus=(), solutions=solutions
    )
    app = create_app(settings, executor=None)  # type: ignore[arg-type]
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    world = ClusterWorld(settings, cluster, f"http://127.0.0.1:{port}")
    yield world
    server.should_exit = True
    thread.join(timeout=60)
    world.database.close()


def test_a_run_reports_from_its_pod_and_its_results_are_stored(on_cluster, tiny_bundle) -> None:
    submission_id = on_cluster.submit(
        content=zip_folder(tiny_bundle), solution="steady", budget_seconds=5.0
    )
    on_cluster.carry_out(submission_id, RunKind.CHECK)
    assert on_cluster.see(submission_id).state is S.QUEUED
    on_cluster.carry_out(submission_id, RunKind.SOLVE)
    submission = on_cluster.see(submission_id)
    assert submission.state is S.SUCCEEDED, submission.error
    run = on_cluster.run(submission_id)
    points = on_cluster.points(run.id)
    assert points
    assert submission.result["alc"] == points[-1].alc
    files = on_cluster.storage.list(service.run_prefix(run.id))
    assert {f"runs/{run.id}/{name}" for name in ("predictions.csv", "curve.svg", "log.txt")} <= {
        *files
    }


def test_data_that_are_no_archive_are_rejected_with_their_reason(on_cluster) -> None:
    submission_id = on_cluster.submit(content=b"not a zip at all", solution="steady")
    on_cluster.carry_out(submission_id, RunKind.CHECK)
    submission = on_cluster.see(submission_id)
    assert (submission.state, submission.error["code"]) == (S.REJECTED, "not-a-zip")


def test_a_pod_killed_for_memory_in_the_middle_still_has_its_results(
    on_cluster, tiny_bundle
) -> None:
    submission_id = on_cluster.submit(
        content=zip_folder(tiny_bundle), solution="steady", budget_seconds=60.0
    )
    on_cluster.carry_out(submission_id, RunKind.CHECK)
    on_cluster.tick()
    run = on_cluster.run(submission_id)
    assert run.kind is RunKind.SOLVE
    on_cluster.cluster.schedule(run.id)
    pod = on_cluster.settings.data / "pods" / run.id
    run_pod(on_cluster.cluster, run.id, pod, bomb=lambda: len(on_cluster.points(run.id)) >= 2)
    on_cluster.tick()
    submission = on_cluster.see(submission_id)
    assert submission.state is S.SUCCEEDED
    assert submission.status_reason == "The solution used more memory than it may."
    assert submission.result["note"] == submission.status_reason
    assert submission.result["points"] == len(on_cluster.points(run.id)) >= 2
    files = on_cluster.storage.list(service.run_prefix(run.id))
    assert {f"runs/{run.id}/{name}" for name in ("predictions.csv", "curve.svg", "log.txt")} <= {
        *files
    }


@pytest.fixture(params=["stand-in", "real"])
def anywhere(request, tmp_path, cluster) -> KubernetesExecutor:
    """Over our stand-in; and a real cluster, if there is one (`k8s/README.md`)."""
    if request.param == "stand-in":
        return make_executor(cluster, tmp_path)
    if not REAL:
        pytest.skip("AUTODL_TEST_KUBECONFIG names no cluster")
    where = KubernetesSettings(kubeconfig=Path(REAL), gpu_resource="")
    return KubernetesExecutor(Settings(data=tmp_path, gpus=()), where)


def test_a_job_lives_as_the_reconciler_expects(anywhere, cluster) -> None:
    spec = make_spec(new_id())
    assert look(anywhere, spec.run_id).phase is Phase.ABSENT
    anywhere.cancel(spec.run_id)
    anywhere.forget(spec.run_id)
    try:
        anywhere.ensure(spec)
        anywhere.ensure(spec)  # it is there: a success
        seen = [o for o in anywhere.observe([spec.run_id]) if o.run_id == spec.run_id]
        assert [o.phase in (Phase.QUEUED, Phase.STARTING) for o in seen] == [True]
        anywhere.cancel(spec.run_id)
        cluster.collect()
        wait_until(lambda: look(anywhere, spec.run_id).phase in (Phase.ENDED, Phase.ABSENT))
        assert anywhere.logs(spec.run_id, 100) == b""
    finally:
        anywhere.forget(spec.run_id)
    wait_until(lambda: look(anywhere, spec.run_id).phase is Phase.ABSENT)
