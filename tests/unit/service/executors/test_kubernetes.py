"""Runs as Jobs: what is made, what is seen, and what is lost on the way."""

import json
import threading
import time
from types import SimpleNamespace
from unittest.mock import Mock

import kubernetes_validate
import pytest
from urllib3.exceptions import ReadTimeoutError

from autodl.errors import PlatformError
from service.executors import pauses
from service.executors.base import (
    End,
    Phase,
    PublishSpec,
    RunKind,
    RunSpec,
    SolveSpec,
    StageSpec,
)
from service.executors.kubernetes import KubernetesExecutor
from service.settings import KubernetesSettings, Settings
from tests.cluster import Cluster, each_program, wait_until

OLDEST, NEWEST = "1.30", "1.37"
TOKEN = "the-token-of-the-run"
QUEUED = {"queue": "lab", "queue_priority": "low", "runtime_class": "gvisor", "priority_class": "p"}
QUEUED |= {"weights_claim": "pretrained"}


@pytest.fixture
def cluster():
    cluster = Cluster()
    yield cluster
    cluster.close()


def make_executor(cluster: Cluster, tmp_path, **options) -> KubernetesExecutor:
    settings = Settings(data=tmp_path, gpus=())
    where = KubernetesSettings(image="worker@sha256:00", api_url="http://api:8000", **options)
    return KubernetesExecutor(settings, where, cluster.connect())


@pytest.fixture
def executor(cluster, tmp_path) -> KubernetesExecutor:
    return make_executor(cluster, tmp_path)


def make_spec(run_id: str = "01", kind: RunKind = RunKind.SOLVE) -> RunSpec:
    return RunSpec(
        run_id=run_id,
        tenant="ada",
        kind=kind,
        stage=StageSpec(url="https://s/x?sig", size_bytes=3, sha256="0" * 64, limit_seconds=9),
        solve=SolveSpec(
            solution="winner", budget_seconds=60, construction_seconds=20, check_seconds=30
        ),
        publish=PublishSpec(prefix=f"runs/{run_id}", token=TOKEN, limit_seconds=9),
        backstop_seconds=700.5,
    )


def look(executor: KubernetesExecutor, run_id: str = "01"):
    (seen,) = [o for o in executor.observe([run_id]) if o.run_id == run_id]
    return seen


def terminated(name: str, code: int, reason: str = "Error") -> dict:
    state = {"terminated": {"exitCode": code, "reason": reason}}
    return {"name": name, "image": "", "imageID": "", "ready": False, "restartCount": 0} | {
        "state": state
    }


def waiting(name: str, reason: str) -> dict:
    state = {"waiting": {"reason": reason, "message": "no such image"}}
    return terminated(name, 0) | {"state": state}


def running(name: str) -> dict:
    return terminated(name, 0) | {"state": {"running": {}}}


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("kind", list(RunKind))
@pytest.mark.parametrize("options", [{}, {"gpu_resource": ""}, QUEUED], ids=str)
def test_every_job_is_valid(cluster, tmp_path, version, kind, options) -> None:
    make_executor(cluster, tmp_path, **options).ensure(make_spec(kind=kind))
    job = {key: value for key, value in cluster.jobs["adl-01"].items() if key != "status"}
    kubernetes_validate.validate(job, version, strict=True)


def test_asking_again_makes_no_second_job(cluster, executor) -> None:
    executor.ensure(make_spec())
    executor.ensure(make_spec())
    assert list(cluster.jobs) == ["adl-01"]


def test_only_those_that_report_hold_the_token_and_only_stage_the_bundle(cluster, executor) -> None:
    executor.ensure(make_spec())
    told = {c["name"]: json.dumps(c) for c in each_program(cluster.jobs["adl-01"])}
    assert [n for n, text in told.items() if TOKEN in text] == ["score", "publish"]
    assert [n for n, text in told.items() if "https://s/x" in text] == ["stage"]
    assert [n for n, text in told.items() if "nvidia.com/gpu" in text] == ["solve"]
    seen = {
        c["name"]: {m["name"] for m in c["volumeMounts"]}
        for c in each_program(cluster.jobs["adl-01"])
    }
    assert [n for n, volumes in seen.items() if "labels" in volumes] == [
        "stage",
        "score",
        "publish",
    ]


def test_the_time_limit_is_on_the_pod_and_retries_are_ours(cluster, executor) -> None:
    executor.ensure(make_spec())
    job = cluster.jobs["adl-01"]["spec"]
    assert "activeDeadlineSeconds" not in job
    assert job["template"]["spec"]["activeDeadlineSeconds"] == 700
    assert job["backoffLimit"] == 0
    assert job["template"]["spec"]["automountServiceAccountToken"] is False


def test_a_gpu_may_be_a_slice_of_one(cluster, tmp_path) -> None:
    slice_of_one = "nvidia.com/mig-1g.10gb"
    make_executor(cluster, tmp_path, gpu_resource=slice_of_one).ensure(make_spec())
    programs = {c["name"]: c["resources"] for c in each_program(cluster.jobs["adl-01"])}
    asking = {name: r["limits"] for name, r in programs.items() if "nvidia" in json.dumps(r)}
    assert {name: limits[slice_of_one] for name, limits in asking.items()} == {"solve": "1"}
    assert "nvidia.com/gpu" not in json.dumps(cluster.jobs["adl-01"])


@pytest.mark.parametrize(
    ("options", "queues"),
    [
        ({}, {}),
        ({"queue": "runs"}, {"check": ("runs", None), "solve": ("runs", None)}),
        (
            {"queue": "runs", "check_queue": "checks", "queue_priority": "p"},
            {"check": ("checks", "p"), "solve": ("runs", "p")},
        ),
        (
            {"queue": "runs", "queue_priority": "p", "check_queue_priority": "q"},
            {"check": ("runs", "q"), "solve": ("runs", "p")},
        ),
    ],
    ids=str,
)
def test_checks_and_runs_wait_in_queues_of_their_own(cluster, tmp_path, options, queues) -> None:
    executor = make_executor(cluster, tmp_path, **options)
    for kind in RunKind:
        executor.ensure(make_spec(kind.value, kind))
    seen = {}
    for kind in RunKind:
        job = cluster.jobs[f"adl-{kind.value}"]
        labels = job["metadata"]["labels"]
        if "kueue.x-k8s.io/queue-name" in labels:
            assert job["spec"]["suspend"]
            priority = labels.get("kueue.x-k8s.io/priority-class")
            seen[kind.value] = labels["kueue.x-k8s.io/queue-name"], priority
        # Kueue would suspend a Job that has had this time, which nobody would see end.
        assert "max-exec-time" not in json.dumps(job)
    assert seen == queues


def test_further_weights_are_a_volume_that_no_run_can_write(cluster, tmp_path) -> None:
    make_executor(cluster, tmp_path, weights_claim="pretrained").ensure(make_spec())
    spec = cluster.jobs["adl-01"]["spec"]["template"]["spec"]
    claim = {"claimName": "pretrained", "readOnly": True}
    assert {"name": "weights", "persistentVolumeClaim": claim} in spec["volumes"]
    mount = {"name": "weights", "mountPath": "/weights", "readOnly": True}
    programs = list(each_program(cluster.jobs["adl-01"]))
    assert [p["name"] for p in programs if mount in p["volumeMounts"]] == [
        "score",
        "solve",
        "publish",
    ]
    for program in programs:
        task = json.loads(program["env"][0]["value"])
        assert task.get("weights", "/weights") == "/weights"


def test_a_killed_solution_whose_results_are_being_stored_is_at_work(cluster, executor) -> None:
    executor.ensure(make_spec())
    cluster.schedule(
        "01", initContainerStatuses=[running("score"), terminated("solve", 137, "OOMKilled")]
    )
    seen = look(executor)
    assert seen.phase is Phase.RUNNING
    assert "is being stored" in seen.message


def test_a_run_that_nobody_knows_is_absent_and_its_end_is_no_error(executor) -> None:
    assert look(executor).phase is Phase.ABSENT
    executor.cancel("01")
    executor.forget("01")
    assert executor.logs("01", 100) == b""


def test_what_a_run_waits_for_is_said(cluster, tmp_path) -> None:
    executor = make_executor(cluster, tmp_path, **QUEUED)
    executor.ensure(make_spec())
    assert (look(executor).phase, look(executor).message) == (
        Phase.QUEUED,
        "Waiting in the cluster's queue.",
    )
    cluster.jobs["adl-01"]["spec"]["suspend"] = False  # and its quota is exhausted: no pod comes
    assert "quota" in look(executor).message
    unscheduled = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes have a GPU"}
    cluster.schedule("01", conditions=[unscheduled])
    assert (look(executor).phase, "0/3 nodes" in look(executor).message) == (Phase.QUEUED, True)
    cluster.change(
        "01", conditions=[], initContainerStatuses=[waiting("stage", "ImagePullBackOff")]
    )
    assert (look(executor).phase, "image" in look(executor).message) == (Phase.STARTING, True)
    cluster.change("01", initContainerStatuses=[running("stage")])
    assert look(executor).phase is Phase.RUNNING
    cluster.change("01", initContainerStatuses=[running("score"), running("solve")])
    assert look(executor).message == "The solution is at work."


@pytest.mark.parametrize(
    ("status", "end"),
    [
        ({"phase": "Succeeded"}, End.OK),
        ({"reason": "DeadlineExceeded"}, End.TIMEOUT),
        ({"reason": "Evicted", "message": "exceeds emptyDir limit 40Gi"}, End.DISK),
        ({"reason": "Evicted", "message": "the node was low on memory"}, End.KILLED),
        ({"reason": "NodeShutdown"}, End.NODE_LOST),
        ({"conditions": [{"type": "DisruptionTarget", "status": "True"}]}, End.KILLED),
        ({"initContainerStatuses": [terminated("solve", 137, "OOMKilled")]}, End.OOM),
        ({"initContainerStatuses": [terminated("stage", 137, "OOMKilled")]}, End.INFRA),
        ({"initContainerStatuses": [terminated("solve", 137)]}, End.KILLED),
        (
            {
                "initContainerStatuses": [terminated("score", 143), terminated("solve", 0)],
                "containerStatuses": [terminated("publish", 1)],
            },
            End.INFRA,
        ),
        ({}, End.INFRA),
    ],
)
def test_how_a_pod_ended_is_read_from_the_pod(cluster, executor, status, end) -> None:
    executor.ensure(make_spec())
    cluster.schedule("01", **({"phase": "Failed"} | status))
    seen = look(executor)
    assert (seen.phase, seen.end) == (Phase.ENDED, end)
    assert seen.message or end is End.OK


def test_a_job_without_its_pod_still_tells_of_a_disruption(cluster, executor) -> None:
    executor.ensure(make_spec())
    failed = {"type": "Failed", "status": "True", "reason": "PodFailurePolicy"}
    cluster.jobs["adl-01"]["status"] = {"conditions": [failed | {"message": "node drained"}]}
    assert look(executor).end is End.KILLED
    assert "node drained" in look(executor).message


def test_the_newest_pod_counts(cluster, executor) -> None:
    executor.ensure(make_spec())
    cluster.schedule("01", phase="Failed", reason="NodeShutdown")
    cluster.schedule("01", phase="Running", containerStatuses=[running("publish")])
    assert look(executor).phase is Phase.RUNNING


def test_a_canceled_run_is_gone_when_its_processes_are(cluster, executor) -> None:
    executor.ensure(make_spec())
    cluster.schedule("01", phase="Running", initContainerStatuses=[running("solve")])
    executor.cancel("01")
    executor.cancel("01")
    assert look(executor).phase is Phase.RUNNING
    cluster.collect()
    assert look(executor).phase is Phase.ABSENT
    assert cluster.pods == {}


def test_runs_that_nobody_asked_for_are_seen_too(cluster, executor) -> None:
    executor.ensure(make_spec("02"))
    assert {o.run_id: o.phase for o in executor.observe(["01"])} == {
        "01": Phase.ABSENT,
        "02": Phase.QUEUED,
    }


def test_long_lists_come_in_pages_and_one_that_grew_too_old_is_begun_anew(
    cluster, executor
) -> None:
    cluster.page = 2
    for number in range(5):
        executor.ensure(make_spec(f"{number:02d}"))
    assert len(executor.observe([])) == 5
    cluster.faults = [410]
    assert len(executor.observe([])) == 5


@pytest.mark.parametrize("fault", [0, 500, 503, 429, 403])
def test_a_cluster_that_does_not_answer_is_our_fault_and_nothing_is_concluded(
    cluster, executor, fault
) -> None:
    for act in (
        lambda: executor.observe(["01"]),
        lambda: executor.ensure(make_spec()),
        lambda: executor.cancel("01"),
    ):
        cluster.faults = [fault]
        with pytest.raises(PlatformError) as caught:
            act()
        assert caught.value.code == "cluster-unavailable"
    executor.ensure(make_spec())
    assert look(executor).phase is Phase.QUEUED


def test_a_watch_wakes_at_each_change_whatever_happens_to_it(
    cluster, executor, monkeypatch
) -> None:
    monkeypatch.setattr("service.executors.kubernetes.WATCH_PAUSE_SECONDS", 0.01)
    wake, over = threading.Event(), threading.Event()
    watching = threading.Thread(target=executor.watch, args=(wake, over), daemon=True)
    cluster.faults = [410, 403, 0]  # too old, not allowed, cut
    watching.start()
    wait_until(lambda: cluster.watches)
    assert not cluster.faults
    executor.ensure(make_spec())
    events = [
        lambda: cluster.schedule("01"),
        lambda: cluster.change("01", phase="Running"),
        cluster.cut_watches,  # which tells what is there when it is begun anew
        lambda: cluster.lose("01"),
    ]
    for event in events:
        wake.clear()
        event()
        assert wake.wait(30)
    over.set()
    cluster.cut_watches()
    watching.join(30)
    assert not watching.is_alive()


def test_a_cluster_that_hangs_is_waited_for_once_and_asked_again_after_a_pause(
    executor, monkeypatch
) -> None:
    asked = Mock(side_effect=ReadTimeoutError(None, None, "No answer."))
    with monkeypatch.context() as patch:
        patch.setattr(executor._jobs, "list_namespaced_job", asked)
        for _ in range(3):
            with pytest.raises(PlatformError) as caught:
                executor.observe(["01"])
            assert caught.value.code == "cluster-unavailable"
    asked.assert_called_once()
    executor.ensure(make_spec())  # what is answered is asked
    later = time.monotonic() + pauses.PAUSE_SECONDS
    monkeypatch.setattr(pauses, "time", SimpleNamespace(monotonic=lambda: later))
    assert look(executor).phase is Phase.QUEUED


def test_the_log_is_the_solutions_own(cluster, executor) -> None:
    executor.ensure(make_spec())
    pod = cluster.schedule("01")
    assert executor.logs("01", 100) == b""
    cluster.logs[pod["metadata"]["name"]] = b"first\nlast\n"
    assert executor.logs("01", 5) == b"last\n"
