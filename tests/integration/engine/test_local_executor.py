"""Local runs: real supervisors over small stand-ins for the four programs."""

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from autodl.errors import PlatformError
from service.executors import folders, local
from service.executors.base import (
    End,
    Observation,
    Phase,
    PublishSpec,
    RunSpec,
    SolveSpec,
    StageSpec,
)
from service.executors.local import LocalExecutor
from service.models import RunKind, new_id
from service.settings import Settings

FINE = {name: ["sh", "-c", "true"] for name in ("stage", "solve", "score", "publish")}
TOKEN = "the run's own token"


def shell(script: str) -> list[str]:
    """A program; it works in the run's folder, its task file is $0."""
    return ["sh", "-c", script]


def make_spec(kind: RunKind = RunKind.SOLVE, seconds: float = 60.0) -> RunSpec:
    run_id = new_id()
    return RunSpec(
        run_id=run_id,
        tenant="ada",
        kind=kind,
        stage=StageSpec(url="file:///x.zip", size_bytes=1, sha256="0" * 64, limit_seconds=seconds),
        solve=SolveSpec(
            solution="winner", budget_seconds=seconds, construction_seconds=0, check_seconds=seconds
        ),
        publish=PublishSpec(prefix=f"runs/{run_id}", token=TOKEN, limit_seconds=seconds),
        backstop_seconds=600,
    )


def look(executor: LocalExecutor, run_id: str) -> Observation:
    (found,) = [o for o in executor.observe([run_id]) if o.run_id == run_id]
    return found


def wait(
    executor: LocalExecutor,
    run_id: str,
    until: Callable[[Observation], bool],
    seconds: float = 20.0,
) -> Observation:
    deadline = time.monotonic() + seconds
    while not until(seen := look(executor, run_id)):
        assert time.monotonic() < deadline, seen
        time.sleep(0.02)
    return seen


def is_ended(observation: Observation) -> bool:
    return observation.phase is Phase.ENDED


def says(text: str) -> Callable[[Observation], bool]:
    return lambda observation: text in observation.message


def processes_of(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if str(folder) in process.environ().get("TMPDIR", ""):
                found += [process] if "supervisor" not in " ".join(process.cmdline()) else []
        except (psutil.Error, OSError):
            continue
    return [p for p in found if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(data=tmp_path, gpus=())


@pytest.fixture
def start(settings):
    """Start a run with some programs replaced; ends every process at the end of the test."""
    executors = []

    def start(spec: RunSpec, **programs: str) -> LocalExecutor:
        replaced = FINE | {name: shell(script) for name, script in programs.items()}
        executor = LocalExecutor(settings, replaced)
        executors.append((executor, spec.run_id))
        executor.ensure(spec)
        return executor

    yield start
    for executor, run_id in executors:
        executor.cancel(run_id)
        wait(executor, run_id, lambda o: o.phase in (Phase.ENDED, Phase.ABSENT))


def test_the_programs_run_in_their_order_and_each_has_its_task(start, settings) -> None:
    spec = make_spec()
    note = 'echo "$(basename "$0" .json)" >> order'
    executor = start(spec, stage=note, solve=f"sleep 0.3; {note}", score=note, publish=note)
    assert wait(executor, spec.run_id, is_ended).end is End.OK
    order = (settings.data / "runs" / spec.run_id / "order").read_text().split()
    assert order == ["stage", "score", "solve", "publish"]


def test_a_check_needs_no_scorer(start, settings) -> None:
    spec = make_spec(RunKind.CHECK)
    executor = start(spec, score="touch scored")
    assert wait(executor, spec.run_id, is_ended).end is End.OK
    assert not (settings.data / "runs" / spec.run_id / "scored").exists()


def test_after_a_failed_stage_only_publish_runs(start, settings) -> None:
    spec = make_spec()
    executor = start(spec, stage="exit 1", solve="touch solved", publish="touch published")
    wait(executor, spec.run_id, is_ended)
    folder = settings.data / "runs" / spec.run_id
    assert (folder / "published").exists()
    assert not (folder / "solved").exists()


def test_a_failed_publish_is_the_platforms_fault(start) -> None:
    spec = make_spec()
    executor = start(spec, publish="exit 3")
    seen = wait(executor, spec.run_id, is_ended)
    assert seen.end is End.INFRA
    assert "code 3" in seen.message


def test_a_scorer_that_died_is_started_again_when_the_solution_stops(start, settings) -> None:
    spec = make_spec()
    executor = start(spec, score="test -e over || exit 9; touch scored")
    assert wait(executor, spec.run_id, is_ended).end is End.OK
    assert (settings.data / "runs" / spec.run_id / "scored").exists()


def test_a_publish_that_was_killed_is_started_again(start) -> None:
    spec = make_spec()
    executor = start(spec, publish="test -e tried && exit 0; touch tried; kill -9 $$")
    assert wait(executor, spec.run_id, is_ended).end is End.OK


def test_asking_again_starts_nothing_new(start, settings) -> None:
    spec = make_spec()
    executor = start(spec, stage="echo x >> starts; sleep 1")
    for _ in range(3):
        executor.ensure(spec)
        LocalExecutor(settings, executor.programs).ensure(spec)
    wait(executor, spec.run_id, is_ended)
    executor.ensure(spec)
    time.sleep(0.5)
    assert (settings.data / "runs" / spec.run_id / "starts").read_text() == "x\n"


def test_it_says_when_the_budget_has_begun(start) -> None:
    spec = make_spec()
    executor = start(spec, solve="sleep 0.5; mkdir output; touch output/start.txt; sleep 0.5")
    wait(executor, spec.run_id, says("loaded"))
    wait(executor, spec.run_id, says("learning"))
    wait(executor, spec.run_id, is_ended)


def test_a_new_process_finds_the_run_again(start, settings) -> None:
    spec = make_spec()
    start(spec, solve="sleep 1")
    restarted = LocalExecutor(settings, FINE)
    wait(restarted, spec.run_id, says("loaded"))
    assert wait(restarted, spec.run_id, is_ended).end is End.OK


def test_cancel_ends_everything_within_ten_seconds(start, settings) -> None:
    spec = make_spec()
    stubborn = 'trap "" TERM; (setsid sh -c \'trap "" TERM; sleep 60\' &); sleep 60'
    executor = start(spec, solve=stubborn)
    wait(executor, spec.run_id, says("loaded"))
    began = time.monotonic()
    executor.cancel(spec.run_id)
    executor.cancel(spec.run_id)
    assert wait(executor, spec.run_id, is_ended).end is End.CANCELED
    assert time.monotonic() - began < 10
    assert processes_of(settings.data / "runs" / spec.run_id) == []


def test_what_an_earlier_program_left_behind_does_not_stay(start, settings) -> None:
    spec = make_spec()
    executor = start(spec, solve="(setsid sleep 60 &); true")
    assert wait(executor, spec.run_id, is_ended).end is End.OK
    assert processes_of(settings.data / "runs" / spec.run_id) == []


def test_a_supervisor_killed_from_outside_is_absent_and_its_processes_can_be_ended(
    start, settings
) -> None:
    spec = make_spec()
    executor = start(spec, solve="touch started; sleep 60")
    folder = settings.data / "runs" / spec.run_id
    wait(executor, spec.run_id, lambda _: (folder / "started").exists())
    psutil.Process(json.loads((folder / "status.json").read_text())["pid"]).kill()
    wait(executor, spec.run_id, lambda o: o.phase is Phase.ABSENT)
    assert processes_of(folder) != []
    with pytest.raises(PlatformError):
        executor.ensure(make_spec())  # they may still hold the GPU
    executor.cancel(spec.run_id)
    time.sleep(0.2)
    assert processes_of(folder) == []
    assert look(executor, spec.run_id).end is End.CANCELED
    start(make_spec())


def test_a_supervisor_that_ignores_us_is_killed_in_the_end(start, settings, monkeypatch) -> None:
    monkeypatch.setattr(local, "PATIENCE_SECONDS", 0.5)
    spec = make_spec()
    executor = start(spec, solve="sleep 60")
    wait(executor, spec.run_id, says("loaded"))
    folder = settings.data / "runs" / spec.run_id
    psutil.Process(json.loads((folder / "status.json").read_text())["pid"]).suspend()
    executor.cancel(spec.run_id)
    time.sleep(0.6)
    executor.cancel(spec.run_id)
    assert wait(executor, spec.run_id, is_ended).end is End.CANCELED
    assert processes_of(folder) == []


def test_a_term_from_elsewhere_is_no_cancel(start, settings) -> None:
    spec = make_spec()
    executor = start(spec, solve="sleep 60")
    wait(executor, spec.run_id, says("loaded"))
    status = json.loads((settings.data / "runs" / spec.run_id / "status.json").read_text())
    psutil.Process(status["pid"]).send_signal(signal.SIGTERM)
    assert wait(executor, spec.run_id, is_ended).end is End.KILLED


def test_a_term_to_all_of_a_run_blames_no_program(start, settings) -> None:
    spec = make_spec()
    executor = start(spec, solve="sleep 60", publish="touch published")
    wait(executor, spec.run_id, says("loaded"))
    folder = settings.data / "runs" / spec.run_id
    supervisor = psutil.Process(json.loads((folder / "status.json").read_text())["pid"])
    supervisor.suspend()
    for process in (*supervisor.children(recursive=True), supervisor):
        process.terminate()
    supervisor.resume()
    assert wait(executor, spec.run_id, is_ended).end is End.KILLED
    assert not (folder / "published").exists()


def test_a_program_past_its_limit_is_ended_and_the_run_goes_on(
    start, settings, monkeypatch
) -> None:
    monkeypatch.setattr(folders, "MARGIN_SECONDS", 0.5)
    monkeypatch.setattr("service.executors.base.SAVE_SECONDS", 0.0)
    spec = make_spec(seconds=0.5)
    executor = start(spec, solve='trap "" TERM; sleep 60', publish="touch published")
    assert wait(executor, spec.run_id, is_ended).end is End.OK
    folder = settings.data / "runs" / spec.run_id
    assert (folder / "published").exists()
    assert json.loads((folder / "status.json").read_text())["programs"]["solve"]["timed_out"]


def test_a_supervisor_that_cannot_start_is_absent_after_a_while(settings, monkeypatch) -> None:
    monkeypatch.setattr(local, "START_SECONDS", 0.3)
    monkeypatch.setattr(local.supervisor, "__name__", "service.worker.nothing")
    spec = make_spec()
    executor = LocalExecutor(settings, FINE)
    executor.ensure(spec)
    assert look(executor, spec.run_id).phase is Phase.STARTING
    wait(executor, spec.run_id, lambda o: o.phase is Phase.ABSENT)


def test_a_flood_of_output_is_kept_in_part(start, settings) -> None:
    spec = make_spec()
    executor = start(spec, stage="yes spam | head -c 20000000")
    wait(executor, spec.run_id, is_ended)
    log = settings.data / "runs" / spec.run_id / "logs" / "stage.log"
    assert 1_000_000 < log.stat().st_size < 3_000_000


def test_without_a_gpu_one_run_solves_at_a_time(start, settings) -> None:
    first, second = make_spec(), make_spec()
    executor = start(first, solve="sleep 60")
    with pytest.raises(PlatformError) as caught:
        executor.ensure(second)
    assert caught.value.code == "no-free-slot"
    assert look(executor, second.run_id).phase is Phase.ABSENT
    start(make_spec(RunKind.CHECK))  # a check goes beside it
    executor.cancel(first.run_id)
    wait(executor, first.run_id, is_ended)
    start(second)


def test_each_gpu_has_its_run(tmp_path) -> None:
    settings = Settings(data=tmp_path, gpus=("4", "7"))
    programs = FINE | {
        "solve": shell("echo $CUDA_VISIBLE_DEVICES > gpu; while :; do sleep 0.1; done")
    }
    executor = LocalExecutor(settings, programs)
    assert executor.capabilities().slots[RunKind.SOLVE] == 2
    specs = [make_spec(), make_spec()]
    files = [tmp_path / "runs" / spec.run_id / "gpu" for spec in specs]
    try:
        for spec, file in zip(specs, files, strict=True):
            executor.ensure(spec)
            wait(executor, spec.run_id, lambda _, file=file: file.exists() and file.stat().st_size)
        assert [file.read_text().strip() for file in files] == ["4", "7"]
    finally:
        for spec in specs:
            executor.cancel(spec.run_id)
            wait(executor, spec.run_id, is_ended)


def test_the_solving_program_is_told_no_secret_and_no_way_to_the_labels(start, settings) -> None:
    spec = make_spec()
    executor = start(spec, solve="env > environment")
    wait(executor, spec.run_id, is_ended)
    folder = settings.data / "runs" / spec.run_id
    told = (folder / "solve.json").read_text() + (folder / "environment").read_text()
    for secret in (TOKEN, "sqlite", "labels", settings.read_secret(), "x.zip"):
        assert secret not in told
    assert TOKEN in (folder / "publish.json").read_text()
    assert (folder / "publish.json").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700


def test_forgetting_removes_the_folder_but_not_under_a_run_at_work(start, settings) -> None:
    spec = make_spec()
    executor = start(spec, solve="sleep 60")
    wait(executor, spec.run_id, says("loaded"))
    executor.forget(spec.run_id)
    wait(executor, spec.run_id, is_ended)
    deadline = time.monotonic() + 10
    while list((settings.data / "runs").iterdir()):  # its supervisor goes a moment after its end
        assert time.monotonic() < deadline
        executor.forget(spec.run_id)
        time.sleep(0.05)
    executor.forget(spec.run_id)
    assert look(executor, spec.run_id).phase is Phase.ABSENT


def test_the_log_is_the_solutions_and_no_link(start, settings) -> None:
    spec = make_spec()
    executor = start(spec, solve="mkdir output; echo epoch 1 > output/log.txt")
    wait(executor, spec.run_id, is_ended)
    assert executor.logs(spec.run_id, 2) == b"1\n"
    log = settings.data / "runs" / spec.run_id / "output" / "log.txt"
    log.unlink()
    log.symlink_to(settings.data / "runs" / spec.run_id / "publish.json")
    assert executor.logs(spec.run_id, 100) == b""
    assert executor.logs("unknown", 100) == b""
