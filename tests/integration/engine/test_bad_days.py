"""What goes wrong around the service: each has its words, and none needs a hand.

On a cluster's stand-in, whose pods do what a test says, and under a clock that it moves. A store
that answers 503 is in `faults.py`, a kill for memory with real programs in `test_kubernetes.py`.
"""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from autodl.errors import PlatformError
from service.executors.kubernetes import KubernetesExecutor
from service.models import Account, LedgerEntry, Run, RunState
from service.models import SubmissionState as S
from service.reconciler import reconciling
from service.settings import KubernetesSettings, Settings
from service.submissions import service
from service.worker.program import PATIENCE_SECONDS
from service.worker.report import DirectReporter
from service.worker.tasks import ReportTo
from tests.cluster import Cluster, wait_until
from tests.integration.engine.conftest import POINT, World

EVICTED = {
    "phase": "Failed",
    "reason": "Evicted",
    "message": "The node was low on resource: memory.",
    "conditions": [
        {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "TerminationByKubelet",
            "message": "low on memory",
        }
    ],
}


class Lab(World):
    """An installation whose runs are Jobs of the stand-in."""

    def __init__(self, settings: Settings, cluster: Cluster) -> None:
        super().__init__(settings)
        self.cluster = cluster
        where = KubernetesSettings(image="worker", api_url="http://api", gpu_resource="")
        self.executor = KubernetesExecutor(settings, where, cluster.connect())  # type: ignore[assignment]
        self.restart()

    def begin(self, submission_id: str, **status: object) -> Run:
        """Its next run has a pod, which is at work at once."""
        self.tick()
        run = self.run(submission_id)
        self.cluster.schedule(run.id, initContainerStatuses=[_at_work("solve")], **status)
        self.tick()
        return self.run(submission_id)

    def begin_solving(self, submission_id: str, **status: object) -> Run:
        check = self.begin(submission_id)
        with self.database.write() as session:
            service.finish_check(session, check.id, self.token(check.id), {"findings": []}, None)
        self.cluster.change(check.id, phase="Succeeded")
        return self.begin(submission_id, **status)

    def finish(self, run_id: str) -> None:
        """Its programs record a result, and its pod ends."""
        with self.database.write() as session:
            token = self.token(run_id)
            service.record_point(session, run_id, token, POINT)
            result = {"alc": 0.4, "note": ""}
            service.finish_solve(session, run_id, token, result=result, error=None)
        self.cluster.change(run_id, phase="Succeeded")
        self.tick()


def _at_work(name: str) -> dict:
    status = {"name": name, "image": "", "imageID": "", "ready": False, "restartCount": 0}
    return status | {"state": {"running": {}}}


def _waiting(name: str, reason: str) -> dict:
    return _at_work(name) | {"state": {"waiting": {"reason": reason, "message": "not found"}}}


@pytest.fixture
def lab(tmp_path, clock):
    cluster = Cluster()
    lab = Lab(Settings(data=tmp_path / "data", gpus=()), cluster)
    yield lab
    lab.database.close()
    cluster.close()


def test_a_pod_evicted_at_minute_nineteen_is_repeated_and_counted_once(lab, clock) -> None:
    submission_id = lab.submit(budget_seconds=1200.0)
    first = lab.begin_solving(submission_id)
    lab.add_point(first.id)
    clock.advance(minutes=19)
    lab.cluster.change(first.id, **EVICTED)
    lab.tick()
    assert lab.see(submission_id).state is S.QUEUED
    assert "node could not keep the run" in lab.see(submission_id).status_reason
    second = lab.begin(submission_id)
    assert second.id != first.id
    with pytest.raises(PlatformError, match="may no longer write"):
        lab.add_point(first.id)
    clock.advance(minutes=20)
    lab.finish(second.id)
    assert lab.see(submission_id).state is S.SUCCEEDED
    with lab.database.read() as session:
        used = session.scalar(select(func.sum(LedgerEntry.compute_milliseconds)))
    assert used == 20 * 60 * 1000  # not the nineteen minutes that were ours to lose


def test_an_image_that_cannot_be_pulled_ends_as_our_fault_with_its_reason(lab, clock) -> None:
    submission_id = lab.submit()
    for _ in range(1 + service.RETRIES):
        lab.tick()
        run = lab.run(submission_id)
        status = [_waiting("stage", "ImagePullBackOff")]
        lab.cluster.schedule(run.id, initContainerStatuses=status)
        lab.tick()
        assert "image cannot be fetched" in lab.see(submission_id).status_reason
        clock.advance(minutes=16)
        lab.tick()
    submission = lab.see(submission_id)
    assert submission.state is S.FAILED
    assert submission.error["family"] == "platform"
    assert "image cannot be fetched" in submission.error["message"]


def test_an_image_that_comes_late_is_waited_for(lab, clock) -> None:
    submission_id = lab.submit()
    lab.tick()
    run = lab.run(submission_id)
    lab.cluster.schedule(run.id, initContainerStatuses=[_waiting("stage", "ErrImagePull")])
    lab.tick()
    clock.advance(minutes=14)
    lab.cluster.change(run.id, initContainerStatuses=[_at_work("stage")])
    lab.tick()
    clock.advance(minutes=14)
    lab.tick()
    assert lab.run(submission_id).id == run.id
    assert lab.run(submission_id).state is RunState.RUNNING


def test_a_quota_that_is_used_up_is_waited_for_and_said(lab, clock) -> None:
    submission_id = lab.submit()
    lab.cluster.quota = 0
    for _ in range(72):  # three days
        lab.tick()
        clock.advance(hours=1)
        lab.tick()
    submission = lab.see(submission_id)
    assert submission.state is S.VALIDATING
    assert "quota is used up" in submission.status_reason
    assert len(lab.runs(submission_id)) == 1
    lab.cluster.quota = None
    lab.begin(submission_id)
    assert lab.run(submission_id).state is RunState.RUNNING


def test_a_job_that_gets_no_pod_waits_and_says_why(lab, clock) -> None:
    submission_id = lab.submit()
    lab.tick()
    for _ in range(48):
        clock.advance(hours=1)
        lab.tick()
    assert "its quota may be used up" in lab.see(submission_id).status_reason
    assert len(lab.runs(submission_id)) == 1
    lab.begin(submission_id)
    assert lab.run(submission_id).state is RunState.RUNNING


def test_a_job_deleted_by_somebodys_hand_is_made_anew(lab) -> None:
    submission_id = lab.submit()
    first = lab.begin(submission_id)
    lab.cluster.lose(first.id)
    lab.tick(2)
    assert "disappeared" in lab.see(submission_id).status_reason
    lab.tick()
    second = lab.run(submission_id)
    assert second.id != first.id
    assert list(lab.cluster.jobs) == [f"adl-{second.id}"]


def test_a_cluster_that_is_away_changes_nothing(lab) -> None:
    submission_id = lab.submit()
    run = lab.begin(submission_id)
    for fault in (503, 0, 500):
        lab.cluster.faults = [fault]
        lab.tick()
    lab.tick()
    assert lab.run(submission_id).id == run.id
    assert lab.see(submission_id).state is S.VALIDATING


@pytest.mark.parametrize("hours", [-3, 3])
def test_a_nodes_clock_that_is_wrong_misleads_nobody(lab, clock, hours) -> None:
    submission_id = lab.submit()
    lab.tick()
    run = lab.run(submission_id)
    at = f"{clock.at + timedelta(hours=hours):%Y-%m-%dT%H:%M:%SZ}"
    lab.cluster.schedule(
        run.id, startTime=at, initContainerStatuses=[_waiting("stage", "PodInitializing")]
    )
    lab.tick(2)
    assert len(lab.runs(submission_id)) == 1
    solving = lab.begin_solving(lab.submit(), startTime=at)
    clock.advance(minutes=-10)  # the replica that takes the result is behind
    lab.finish(solving.id)
    assert lab.see(solving.submission_id).state is S.SUCCEEDED
    with lab.database.read() as session:
        used = session.scalar(select(func.sum(LedgerEntry.compute_milliseconds)))
        (tag,) = session.scalars(select(Account.fair_tag))
    assert used >= 0
    assert tag >= 0  # nobody is paid for the time that did not pass


def test_a_database_that_is_away_is_waited_for_by_all(tmp_path, postgresql) -> None:
    assert PATIENCE_SECONDS >= 60  # it may be away for a minute, here it is for a moment
    url = postgresql.create()
    world = World(Settings(data=tmp_path / "data", database_url=url, gpus=(), poll_seconds=0.05))
    submission_id, run = world.start_solving()
    to = ReportTo(
        run_id=run.id,
        token=world.token(run.id),
        prefix="runs/x",
        database_url=url,
        storage=world.settings.effective_storage,
    )
    with reconciling(world.settings, world.database, world.storage, world.executor):
        postgresql.kill()
        try:
            point = threading.Thread(target=DirectReporter(to).point, args=(POINT,))
            point.start()
            with pytest.raises(PlatformError) as caught:
                world.see(submission_id)
            point.join(0.5)
            assert point.is_alive()
        finally:
            postgresql.start()
        point.join(60)
        assert caught.value.code == "database-unavailable"
        DirectReporter(to).solve_ended({"alc": 0.4, "note": ""}, None)
        other = world.submit()
        wait_until(lambda: world.runs(other))  # the loop goes on by itself
    assert world.see(submission_id).state is S.SUCCEEDED
    assert len(world.runs(submission_id)) == 2
    world.database.close()
