"""Runs as jobs of a real Slurm: Debian's controller and node daemon, and what befalls both."""

import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from autodl.errors import PlatformError
from service.executors import slurm
from service.executors.base import End, Observation, Phase, RunSpec
from service.executors.slurm import SlurmExecutor
from service.models import RunKind
from service.settings import Settings, SlurmSettings
from service.worker.supervisor import read_status
from tests.integration.engine.test_local_executor import (
    FINE,
    TOKEN,
    is_ended,
    make_spec,
    processes_of,
    says,
    shell,
)
from tests.slurm import Cluster

SLEEP = "touch started; while ! test -e go; do sleep 0.1; done"


def look(executor: SlurmExecutor, run_id: str) -> Observation:
    (found,) = [o for o in executor.observe([run_id]) if o.run_id == run_id]
    return found


def wait(
    executor: SlurmExecutor,
    spec: RunSpec,
    until: Callable[[Observation], bool],
    seconds: float = 30.0,
) -> Observation:
    deadline = time.monotonic() + seconds
    while not until(seen := look(executor, spec.run_id)):
        assert time.monotonic() < deadline, seen
        time.sleep(0.1)
    return seen


@pytest.fixture
def start(slurm_cluster: Cluster, tmp_path):
    """Submit a run with some programs replaced; ends every job at the end of the test."""
    executors = []

    def start(spec: RunSpec, options=None, **programs: str) -> SlurmExecutor:
        replaced = FINE | {name: shell(script) for name, script in programs.items()}
        site = {"cpus": 1, "memory_bytes": 512 << 20, "gres": ""} | (options or {})
        where = SlurmSettings(api_url="http://127.0.0.1:9", conf=slurm_cluster.conf, **site)
        executor = SlurmExecutor(Settings(data=tmp_path, gpus=()), where, replaced)
        executors.append(executor)
        executor.ensure(spec)
        return executor

    yield start
    for executor in executors:
        for seen in executor.observe([]):
            executor.cancel(seen.run_id)
    slurm_cluster.wait_until_empty()


def has_started(executor: SlurmExecutor, spec: RunSpec) -> Callable[[Observation], bool]:
    return lambda _: (executor.root / spec.run_id / "started").exists()


def test_a_run_is_one_job_that_holds_no_secret(start, slurm_cluster) -> None:
    spec = make_spec()
    note = 'echo "$(basename "$0" .json)" >> order'
    environ = "tr '\\0' '\\n' < /proc/$PPID/environ > environment"
    solve = f"{environ}; sleep 1; {note}"
    site = {"container": "env INSIDE=container"}
    executor = start(spec, site, stage=note, solve=solve, score=note, publish=note)
    assert "job " in wait(executor, spec, says("loaded")).where
    shown = slurm_cluster.call("scontrol", "show", "job", "--details")
    number = slurm_cluster.call("squeue", "-h", "-o", "%i", f"--name={spec.name}").strip()
    shown += slurm_cluster.call("scontrol", "write", "batch_script", number, "-")
    assert spec.name in shown
    seen = wait(executor, spec, is_ended)
    assert (seen.end, seen.message) == (End.OK, "The outcome is recorded.")
    folder = executor.root / spec.run_id
    assert (folder / "order").read_text().split() == ["stage", "score", "solve", "publish"]
    environment = (folder / "environment").read_text()
    assert {"SLURM_JOB_ID", "INSIDE"} <= {line.split("=")[0] for line in environment.splitlines()}
    assert TOKEN not in shown + environment
    assert "AUTODL_" not in environment


def test_asking_again_begins_nothing_new(start, monkeypatch) -> None:
    spec = make_spec()
    executor = start(
        spec, stage="touch started; echo x >> starts; while ! test -e go; do sleep 0.1; done"
    )
    executor.ensure(spec)
    with monkeypatch.context() as patch:  # two at once would both find none
        patch.setattr(executor, "_list_jobs", lambda name="": [])
        patch.setattr(slurm, "read_status", lambda folder: None)
        executor.ensure(spec)
    wait(executor, spec, has_started(executor, spec))
    states = sorted(job.state for job in executor._list_jobs(spec.name))
    assert states == ["PENDING", "RUNNING"]
    (executor.root / spec.run_id / "go").touch()
    wait(executor, spec, is_ended)
    executor.ensure(spec)
    while not all(job.is_over for job in executor._list_jobs(spec.name)):
        time.sleep(0.1)
    assert look(executor, spec.run_id).end is End.OK
    assert (executor.root / spec.run_id / "starts").read_text() == "x\n"


def test_cancel_frees_the_slot_within_ten_seconds(start, slurm_cluster) -> None:
    spec = make_spec()
    stubborn = 'trap "" TERM; (setsid sh -c \'trap "" TERM; sleep 60\' &); touch started; sleep 60'
    executor = start(spec, solve=stubborn)
    wait(executor, spec, has_started(executor, spec))
    began = time.monotonic()
    executor.cancel(spec.run_id)
    executor.cancel(spec.run_id)
    assert wait(executor, spec, is_ended).end is End.CANCELED
    slurm_cluster.wait_until_empty()
    assert time.monotonic() - began < 10
    assert processes_of(executor.root / spec.run_id) == []


def test_a_supervisor_that_ignores_us_is_killed_in_the_end(
    start, slurm_cluster, monkeypatch
) -> None:
    monkeypatch.setattr(slurm, "PATIENCE_SECONDS", 0.5)
    spec = make_spec()
    executor = start(spec, solve=SLEEP)
    wait(executor, spec, has_started(executor, spec))
    status = read_status(executor.root / spec.run_id)
    psutil.Process(status.pid).suspend()
    executor.cancel(spec.run_id)
    time.sleep(0.6)
    executor.cancel(spec.run_id)
    assert wait(executor, spec, is_ended, seconds=10).end is End.CANCELED
    slurm_cluster.wait_until_empty()
    (executor.root / spec.run_id / "go").touch()  # no keeper holds what the job's end has orphaned


def test_a_job_canceled_by_hand_is_worth_another_run(start, slurm_cluster) -> None:
    spec = make_spec()
    executor = start(spec, solve=SLEEP)
    wait(executor, spec, has_started(executor, spec))
    slurm_cluster.call("scancel", f"--name={spec.name}")
    seen = wait(executor, spec, is_ended)
    assert (seen.end, seen.message) == (End.KILLED, "Somebody canceled the job in the cluster.")


def test_each_run_has_a_gpu_of_its_own_and_others_wait(start) -> None:
    specs = [make_spec() for _ in range(3)]
    solve = "cp $0 told.json; " + SLEEP
    site = {"gres": "gpu:1", "check_partition": "first"}
    executors = [start(spec, site, solve=solve) for spec in specs]
    for executor, spec in zip(executors[:2], specs[:2], strict=True):
        wait(executor, spec, has_started(executor, spec))
    told = [(e.root / s.run_id / "told.json") for e, s in zip(executors, specs, strict=True)]
    gpus = [path.read_text().split('"gpu": ')[1].split(",")[0] for path in told[:2]]
    assert sorted(gpus) == ['"0"', '"1"']
    seen = wait(executors[2], specs[2], says("("))
    assert (seen.phase, "Resources" in seen.message) == (Phase.QUEUED, True)
    check = make_spec(RunKind.CHECK)
    assert wait(start(check, site), check, is_ended).end is End.OK
    executors[2].cancel(specs[2].run_id)
    assert wait(executors[2], specs[2], is_ended, seconds=5).end is End.CANCELED


def test_a_node_that_goes_away_takes_its_runs_along(start, slurm_cluster) -> None:
    spec = make_spec()
    executor = start(spec, solve=SLEEP)
    wait(executor, spec, has_started(executor, spec))
    slurm_cluster.lose_node()
    assert wait(executor, spec, is_ended).end is End.NODE_LOST
    slurm_cluster.wait_for_node()


def test_a_job_that_goes_first_takes_the_place(start, slurm_cluster) -> None:
    spec = make_spec()
    executor = start(spec, solve=SLEEP)
    wait(executor, spec, has_started(executor, spec))
    slurm_cluster.call("sbatch", "-p", "first", "-c", "8", "-o", "/dev/null", "--wrap=true")
    seen = wait(executor, spec, is_ended)
    assert (seen.end, "goes first" in seen.message) == (End.KILLED, True)


def test_what_the_cluster_will_never_run_is_said(start) -> None:
    spec = make_spec()
    executor = start(spec, {"partition": "short"})
    seen = wait(executor, spec, says("allows no job as long"))
    assert (seen.phase, seen.started_at is not None) == (Phase.STARTING, True)
    with pytest.raises(PlatformError, match="Invalid partition"):
        start(make_spec(), {"partition": "nowhere"})


def test_a_controller_killed_at_work_changes_nothing(start, slurm_cluster) -> None:
    spec = make_spec()
    executor = start(spec, solve=SLEEP)
    wait(executor, spec, has_started(executor, spec))
    slurm_cluster.wait_until_saved()
    slurm_cluster.kill("slurmctld")
    for act in (lambda: executor.observe([]), lambda: executor.cancel("01")):
        with pytest.raises(PlatformError) as caught:
            act()
        assert caught.value.code == "cluster-unavailable"
    slurm_cluster.start_daemon("slurmctld")
    slurm_cluster.wait_for_node("mixed")
    assert look(executor, spec.run_id).phase is Phase.RUNNING
    (executor.root / spec.run_id / "go").touch()
    assert wait(executor, spec, is_ended).end is End.OK


def test_a_node_daemon_killed_at_work_changes_nothing(start, slurm_cluster) -> None:
    spec = make_spec()
    executor = start(spec, solve=SLEEP)
    wait(executor, spec, has_started(executor, spec))
    slurm_cluster.kill("slurmd")
    (executor.root / spec.run_id / "go").touch()
    assert wait(executor, spec, is_ended).end is End.OK
    slurm_cluster.start_daemon("slurmd", "-N", "node")
    slurm_cluster.wait_until_empty()


def test_a_controller_that_lost_its_jobs_loses_runs_but_no_reasons(start, slurm_cluster) -> None:
    ended, lost = make_spec(), make_spec()
    executor = start(ended, solve=SLEEP)
    wait(executor, ended, has_started(executor, ended))
    slurm_cluster.lose_node()
    wait(executor, ended, is_ended)
    slurm_cluster.wait_for_node()
    executor = start(lost, solve=SLEEP)
    wait(executor, lost, has_started(executor, lost))
    slurm_cluster.kill("slurmctld")
    slurm_cluster.start_daemon("slurmctld", "-c")  # it begins anew
    slurm_cluster.wait_for_node("idle", "mixed")
    assert look(executor, ended.run_id).end is End.NODE_LOST  # by the log of completed jobs
    assert look(executor, lost.run_id).phase is Phase.ABSENT


def test_forgetting_removes_the_folder_but_not_under_a_run_at_work(start) -> None:
    spec = make_spec()
    executor = start(spec, solve=SLEEP)
    wait(executor, spec, has_started(executor, spec))
    folder: Path = executor.root / spec.run_id
    deadline = time.monotonic() + 20
    executor.forget(spec.run_id)
    assert folder.exists()
    while folder.exists():
        assert time.monotonic() < deadline
        executor.forget(spec.run_id)
        time.sleep(0.1)
    assert look(executor, spec.run_id).phase is Phase.ABSENT
