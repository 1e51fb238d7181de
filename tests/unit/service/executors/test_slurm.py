"""Runs as Slurm jobs: what is asked of Slurm, and what is made of its answers."""

import json
import os
from pathlib import Path

import pytest

from autodl import sandbox
from autodl.confine import Strength
from autodl.errors import PlatformError, UsageError
from service.executors import open_executor
from service.executors.base import End, Observation, Phase, RunKind
from service.executors.queue import SEPARATOR, STUCK, observe_job, read_jobs
from service.executors.slurm import SlurmExecutor
from service.settings import Settings, SlurmSettings
from service.worker import job, supervisor
from service.worker.supervisor import Status
from tests.unit.service.executors.test_kubernetes import TOKEN, make_spec

FULL = {
    "partition": "gpu",
    "check_partition": "cpu",
    "account": "lab",
    "qos": "normal",
    "constraint": "a100",
    "container": "apptainer exec --nv worker.sif",
}


class Scripted(SlurmExecutor):
    """Its commands are noted, and answered as a test says."""

    def __init__(self, settings: Settings, **options) -> None:
        super().__init__(settings, SlurmSettings(api_url="http://api:8000", **options))
        self.calls: list[tuple[str, ...]] = []
        self.scripts: list[str] = []
        self.answers: dict[str, str | PlatformError] = {}

    def _call(self, *command: str, script: str | None = None) -> str:
        self.calls.append(command)
        self.scripts += [script] if script else []
        answer = self.answers.get(command[0], "")
        if command[0] == "sacct":
            answer = self.answers.get("sacct -c" if "--completion" in command else "sacct", "")
        if isinstance(answer, PlatformError):
            raise answer
        return answer

    def asked(self, name: str) -> list[tuple[str, ...]]:
        return [call for call in self.calls if call[0] == name]


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(data=tmp_path, gpus=())


@pytest.fixture
def executor(settings) -> Scripted:
    return Scripted(settings)


def line(executor: SlurmExecutor, run_id: str, state: str, reason: str = "None") -> str:
    """As squeue and sacct write it."""
    folder = executor.root / run_id
    times = "2026-11-30T20:00:00|2026-11-30T20:01:00"
    fields = f"7|adl-{run_id}|{state}|{reason}|{times}|node1|{folder}\n"
    return fields.replace("|", SEPARATOR)


def look(executor: SlurmExecutor, run_id: str = "01") -> Observation:
    (seen,) = [o for o in executor.observe([run_id]) if o.run_id == run_id]
    return seen


def write_status(executor: SlurmExecutor, phase: Phase, end: End | None = None) -> None:
    status = Status(pid=1, phase=phase, end=end, message="At work.", started_at="2026-11-30T20:02Z")
    path = executor.root / "01" / "status.json"
    path.write_text(status.model_dump_json(), encoding="utf-8")


def play(executor: SlurmExecutor, **programs: str) -> None:
    """Put shell scripts in the place of Slurm's commands."""
    folder = executor.settings.data / "bin"
    folder.mkdir(exist_ok=True)
    for name, script in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (folder / name).chmod(0o755)
    executor._environment["PATH"] = f"{folder}:{os.defpath}"


def test_a_job_is_asked_for_as_the_operator_says(settings) -> None:
    executor = Scripted(settings, **FULL, cpus=6, memory_bytes=3 << 30)
    executor.ensure(make_spec())
    (asked,) = executor.asked("sbatch")
    wanted = {"--partition=gpu", "--account=lab", "--qos=normal", "--constraint=a100"}
    wanted |= {"--gres=gpu:1", "--cpus-per-task=6", "--mem=3072M", "--job-name=adl-01"}
    assert wanted | {"--no-requeue", "--time=12"} <= {*asked}
    assert "\nexec apptainer exec --nv worker.sif " in executor.scripts[0]
    executor.ensure(make_spec("02", RunKind.CHECK))
    asked = executor.asked("sbatch")[1]
    assert "--partition=cpu" in asked
    assert not [option for option in asked if "gres" in option]


def test_what_is_not_said_is_left_to_the_cluster(executor) -> None:
    executor.ensure(make_spec())
    names = {option.split("=")[0] for option in executor.asked("sbatch")[0]}
    assert not names & {"--partition", "--account", "--qos", "--constraint"}


def test_the_token_is_in_private_files_only(executor) -> None:
    executor.ensure(make_spec())
    assert TOKEN not in str(executor.calls) + str(executor.scripts)
    assert TOKEN not in str(executor._environment)
    folder = executor.root / "01"
    assert folder.stat().st_mode & 0o777 == 0o700
    holding = [path for path in folder.iterdir() if TOKEN in path.read_text(encoding="utf-8")]
    assert sorted(path.name for path in holding) == ["publish.json", "score.json"]
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    told = json.loads((folder / "publish.json").read_text(encoding="utf-8"))
    assert told["report_to"]["api_url"] == "http://api:8000"
    assert told["report_to"]["database_url"] == ""


def test_a_job_of_its_name_or_a_run_that_has_begun_is_not_submitted_again(executor) -> None:
    executor.ensure(make_spec())
    executor.answers["squeue"] = line(executor, "01", "PENDING", "Priority")
    executor.ensure(make_spec())
    executor.answers["squeue"] = ""
    write_status(executor, Phase.RUNNING)
    executor.ensure(make_spec())
    assert len(executor.asked("sbatch")) == 1


@pytest.mark.parametrize(
    ("state", "end"),
    [
        ("TIMEOUT", End.TIMEOUT),
        ("OUT_OF_MEMORY", End.OOM),
        ("NODE_FAIL", End.NODE_LOST),
        ("BOOT_FAIL", End.INFRA),
        ("PREEMPTED", End.KILLED),
        ("DEADLINE", End.KILLED),
        ("REVOKED", End.KILLED),
        ("CANCELLED by 1000", End.KILLED),
        ("FAILED", End.KILLED),
        ("COMPLETED", End.KILLED),
    ],
)
@pytest.mark.parametrize("program", ["squeue", "sacct", "sacct -c"])
def test_how_a_job_ended_is_read_from_its_state(executor, state, end, program) -> None:
    executor.ensure(make_spec())
    write_status(executor, Phase.RUNNING)
    executor.answers["sacct"] = PlatformError("cluster-unavailable", "No accounting.")
    executor.answers[program] = line(executor, "01", state)
    seen = look(executor)
    assert (seen.phase, seen.end) == (Phase.ENDED, end)
    assert seen.message
    assert "node1" in seen.where


@pytest.mark.parametrize("end", [End.OK, End.INFRA, End.CANCELED])
@pytest.mark.parametrize("state", ["OUT_OF_MEMORY", "COMPLETED", "RUNNING"])
def test_the_supervisor_knows_better_how_its_run_ended(executor, state, end) -> None:
    executor.ensure(make_spec())
    write_status(executor, Phase.ENDED, end)
    executor.answers["squeue"] = line(executor, "01", state)
    assert (look(executor).phase, look(executor).end) == (Phase.ENDED, end)
    executor.answers["squeue"] = ""  # and the cluster has forgotten
    assert (look(executor).phase, look(executor).end) == (Phase.ENDED, end)


def test_a_supervisor_that_was_told_to_end_does_not_know_why(executor) -> None:
    executor.ensure(make_spec())
    write_status(executor, Phase.ENDED, End.KILLED)
    executor.answers["squeue"] = line(executor, "01", "COMPLETING")
    assert look(executor).phase is Phase.RUNNING
    executor.answers["squeue"] = line(executor, "01", "PREEMPTED")
    assert look(executor).end is End.KILLED
    assert "goes first" in look(executor).message
    executor.answers["squeue"] = ""
    assert look(executor).end is End.KILLED


def test_a_job_that_could_not_begin_is_our_fault(executor) -> None:
    executor.ensure(make_spec())
    executor.answers["squeue"] = line(executor, "01", "FAILED", "JobLaunchFailure")
    assert look(executor).end is End.INFRA
    assert "JobLaunchFailure" in look(executor).message


def test_what_a_job_waits_for_is_said(executor) -> None:
    executor.ensure(make_spec())
    executor.answers["squeue"] = line(executor, "01", "PENDING", "Resources")
    assert (look(executor).phase, "Resources" in look(executor).message) == (Phase.QUEUED, True)
    executor.answers["squeue"] = line(executor, "01", "CONFIGURING")
    assert (look(executor).phase, look(executor).started_at.minute) == (Phase.STARTING, 1)
    executor.answers["squeue"] = line(executor, "01", "RUNNING")
    assert (look(executor).phase, look(executor).message) == (Phase.RUNNING, "The job has started.")
    write_status(executor, Phase.RUNNING)
    assert look(executor).message == "At work."


@pytest.mark.parametrize("reason", STUCK)
def test_a_job_that_waits_for_what_will_never_come_counts_as_stuck(executor, reason) -> None:
    executor.ensure(make_spec())
    executor.answers["squeue"] = line(executor, "01", "PENDING", reason)
    seen = look(executor)
    assert (seen.phase, seen.message) == (Phase.STARTING, f"{STUCK[reason]}.")
    assert seen.started_at is not None


def test_a_job_that_nobody_knows_is_absent(executor) -> None:
    executor.ensure(make_spec())
    assert look(executor).phase is Phase.ABSENT
    # accounting that lags behind, or never heard of the end, does not keep it alive
    executor.answers["sacct"] = line(executor, "01", "RUNNING")
    assert look(executor).phase is Phase.ABSENT


def test_accounting_is_asked_only_for_what_the_controller_has_forgotten(executor) -> None:
    executor.ensure(make_spec())
    executor.answers["squeue"] = line(executor, "01", "RUNNING")
    executor.observe(["01", "02"])
    assert executor.asked("sacct") == []


def test_the_jobs_of_another_service_are_not_ours(executor) -> None:
    other = line(executor, "01", "RUNNING").replace(str(executor.root), "/lab/other/runs")
    named = line(executor, "02", "RUNNING").replace("adl-02", "somebody's")
    odd = line(executor, "03", "RUNNING").replace("adl-03", "a\nb")
    executor.answers["squeue"] = other + named + odd
    assert executor.observe([]) == []


def test_orphans_are_seen_and_what_we_forgot_is_not(executor) -> None:
    executor.answers["squeue"] = line(executor, "01", "RUNNING") + line(executor, "02", "FAILED")
    assert {o.run_id: o.phase for o in executor.observe(["02"])} == {
        "01": Phase.RUNNING,
        "02": Phase.ABSENT,
    }


def test_the_job_at_work_counts_should_there_be_two_of_a_name(executor) -> None:
    executor.ensure(make_spec())
    lines = [line(executor, "01", state) for state in ("RUNNING", "PENDING", "COMPLETED")]
    executor.answers["squeue"] = "".join(lines)
    assert look(executor).phase is Phase.RUNNING


def test_canceling_uses_more_force_when_asked_again(executor, monkeypatch) -> None:
    executor.ensure(make_spec())
    executor.cancel("01")
    assert "--signal=TERM" in executor.asked("scancel")[-1]
    os.utime(executor.root / "01" / "cancel", (0, 0))
    executor.cancel("01")
    first, last = executor.asked("scancel")[-2:]
    assert "--signal=KILL" in first
    assert last == ("scancel", "--name=adl-01")
    executor.answers["squeue"] = line(executor, "01", "FAILED", "RaisedSignal:9")
    assert look(executor).end is End.CANCELED


def test_a_run_that_nobody_knows_can_be_canceled_and_forgotten(executor) -> None:
    assert look(executor).phase is Phase.ABSENT
    executor.cancel("01")
    executor.forget("01")
    assert executor.logs("01", 100) == b""
    assert not executor.root.exists()


def test_a_run_at_work_is_ended_before_it_is_forgotten(executor) -> None:
    executor.ensure(make_spec())
    executor.answers["squeue"] = line(executor, "01", "RUNNING")
    executor.forget("01")
    assert (executor.root / "01" / "cancel").exists()
    executor.answers["squeue"] = line(executor, "01", "CANCELLED")
    executor.forget("01")
    assert not (executor.root / "01").exists()
    assert look(executor).phase is Phase.ABSENT


def test_a_folder_that_cannot_be_written_is_our_fault(tmp_path, settings) -> None:
    (tmp_path / "full").touch()
    executor = Scripted(settings, folder=tmp_path / "full")
    with pytest.raises(PlatformError) as caught:
        executor.ensure(make_spec())
    assert caught.value.code == "disk-unavailable"
    assert executor.asked("sbatch") == []


def test_without_slurm_it_says_so(settings) -> None:
    executor = SlurmExecutor(settings, SlurmSettings(api_url="http://api:8000"))
    executor._environment["PATH"] = "/nowhere"
    with pytest.raises(PlatformError, match="no program 'squeue'") as caught:
        executor.observe([])
    assert caught.value.code == "cluster-unavailable"


@pytest.mark.parametrize(
    ("script", "code", "word"),
    [
        ("echo 'error: Invalid account' >&2; exit 1", "cluster-unavailable", "Invalid account"),
        ("exit 1", "cluster-unavailable", "sbatch ended with 1"),
        ("exec sleep 60", "cluster-unavailable", "no answer"),
        ("echo QOSMaxSubmitJobPerUserLimit >&2; exit 1", "no-free-slot", "QOSMax"),
        ("echo temporarily unable >&2; exec sleep 60", "no-free-slot", "no more jobs"),
    ],
)
def test_why_a_job_is_not_taken_is_said(settings, script, code, word) -> None:
    executor = SlurmExecutor(settings, SlurmSettings(api_url="http://api:8000", timeout_seconds=1))
    play(executor, squeue="exit 0", sbatch=script)
    with pytest.raises(PlatformError, match=word) as caught:
        executor.ensure(make_spec())
    assert caught.value.code == code


def test_a_command_that_hangs_is_waited_for_once(settings) -> None:
    executor = SlurmExecutor(settings, SlurmSettings(api_url="http://api:8000", timeout_seconds=1))
    asked = settings.data / "asked"
    play(executor, squeue=f"echo >> {asked}; exec sleep 60")
    for _ in range(3):
        with pytest.raises(PlatformError, match="squeue gave no answer"):
            executor.observe(["01"])  # which is not to say that the run is absent
    assert asked.read_text() == "\n"


def test_canceling_what_has_just_ended_is_success(settings) -> None:
    executor = SlurmExecutor(settings, SlurmSettings(api_url="http://api:8000"))
    play(executor, scancel="exit 229")
    executor.cancel("01")
    play(executor, scancel="echo 'error: Access/permission denied' >&2; exit 1")
    with pytest.raises(PlatformError, match="permission denied"):
        executor.cancel("01")


def test_times_are_read_as_utc_and_none_is_none() -> None:
    line = "7|adl-01|PENDING|Priority|2026-11-30T20:00:00|N/A||/lab/runs/01\n"
    (job,) = read_jobs(line.replace("|", SEPARATOR))
    assert job.submitted_at.isoformat() == "2026-11-30T20:00:00+00:00"
    assert job.started_at is None
    assert observe_job("01", job, None, canceled=False).where == "job 7 on no node yet"


def test_the_executor_is_chosen_and_its_settings_are_explained(tmp_path, monkeypatch) -> None:
    settings = Settings(data=tmp_path, executor="slurm", require_isolation="process")
    with pytest.raises(UsageError) as caught:
        open_executor(settings)
    assert caught.value.code == "setting-invalid"
    assert "AUTODL_SLURM_API_URL" in caught.value.hint
    monkeypatch.setenv("AUTODL_SLURM_API_URL", "http://api:8000")
    monkeypatch.setenv("AUTODL_SLURM_FOLDER", "/lab/runs")
    executor = open_executor(settings)
    assert isinstance(executor, SlurmExecutor)
    assert executor.root == Path("/lab/runs")
    assert executor.capabilities().isolation == "process"  # which each run sees to on its node


@pytest.mark.parametrize("wanted", ["none", "process", "sandbox"])
def test_a_node_that_holds_solutions_less_than_asked_refuses(executor, monkeypatch, wanted) -> None:
    executor.ensure(make_spec())
    supervised = []
    monkeypatch.setattr(sandbox, "strength", lambda: Strength(6, True))  # "process"
    monkeypatch.setattr(supervisor, "main", lambda: supervised.append(True))
    monkeypatch.setattr("sys.argv", ["job", str(executor.root / "01/supervisor.json"), wanted])
    job.main()
    if wanted == "sandbox":
        assert (look(executor).end, supervised) == (End.INFRA, [])
        assert "'process'" in look(executor).message
    else:
        assert supervised


@pytest.mark.parametrize(
    ("given", "gpu"),
    [
        ({}, None),
        ({"CUDA_VISIBLE_DEVICES": "0", "SLURM_JOB_GPUS": "3"}, "3"),
        ({"CUDA_VISIBLE_DEVICES": "MIG-9f", "SLURM_JOB_GPUS": "3"}, "MIG-9f"),
        ({"SLURM_JOB_GPUS": "1,2"}, "1,2"),
    ],
)
def test_the_solution_gets_the_cards_that_slurm_gave_the_job(
    executor, monkeypatch, given, gpu
) -> None:
    executor.ensure(make_spec())
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(supervisor, "main", lambda: None)
    monkeypatch.setattr("sys.argv", ["job", str(executor.root / "01/supervisor.json"), "none"])
    job.main()
    told = json.loads((executor.root / "01/solve.json").read_text(encoding="utf-8"))
    assert told["gpu"] == gpu
