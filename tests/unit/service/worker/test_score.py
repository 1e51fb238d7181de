"""Each completed prediction is scored, stored and reported, once."""

import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress

import psutil
import pytest

from autodl.errors import PlatformError
from autodl.predictions import write_predictions
from service.models import RunKind
from service.submissions import repository, service
from service.worker import program
from service.worker.report import DirectReporter, open_reporter
from service.worker.score import read_points, score
from service.worker.tasks import ReportTo, ScoreTask

SUPERVISOR = """
import os, subprocess, sys, time
from pathlib import Path
from service.executors.base import Phase
from service.worker.program import write_json
from service.worker.supervisor import Status
status = Status(pid=os.getpid(), phase=Phase.RUNNING, message="", started_at="")
write_json(Path(sys.argv[1]).parent / "status.json", status.model_dump(mode="json"))
print(subprocess.Popen([sys.executable, "-m", "service.worker.score", sys.argv[1]]).pid, flush=True)
time.sleep(600)
"""
LABELS = [[1, 0], [0, 1], [1, 0], [0, 1]]


@pytest.fixture
def task(settings, database, create, tmp_path) -> ScoreTask:
    with database.write() as session:
        submission = create(session)
        service.transition(session, submission, service.S.QUEUED, actor="test", cause="Passed.")
        run = service.create_run(session, submission, RunKind.SOLVE, "fake", "secret")
    labels, output = tmp_path / "labels", tmp_path / "output"
    labels.mkdir()
    output.mkdir()
    write_predictions(LABELS, labels / "toy.solution")
    (tmp_path / "over").touch()
    return ScoreTask(
        kind="solve",
        result=tmp_path / "score.result.json",
        labels=labels,
        output=output,
        curve=tmp_path / "curve.json",
        over=tmp_path / "over",
        budget_seconds=60,
        report_to=ReportTo(
            run_id=run.id,
            token=repository.make_token("secret", run.id),
            database_url=settings.effective_database_url,
            storage=(tmp_path / "storage").as_uri(),
            prefix="runs/1",
        ),
    )


def predict(task: ScoreTask, *predictions: list[list[float]]) -> None:
    stamps = "".join(f"{i}: {100 + i}.5\n" for i in range(len(predictions)))
    head = "ingestion_pid: 1\ntask_name: toy\ntime_budget: 60\nstart_time: 100.0\n"
    (task.output / "start.txt").write_text(head + stamps)
    for index, rows in enumerate(predictions):
        write_predictions(rows, task.output / f"toy.predict_{index}")


def recorded(database, task: ScoreTask) -> list[tuple[int, float | None]]:
    with database.read() as session:
        points = repository.list_points(session, task.report_to.run_id)
    return [(p.index, p.nauc) for p in points]


def wait(done: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_every_prediction_becomes_a_stored_object_and_a_point(task, database, tmp_path) -> None:
    predict(task, [[0, 1]] * 4, LABELS)
    assert score(task) == {"refused": None}
    assert recorded(database, task) == [(0, 0.0), (1, 1.0)]
    stored = tmp_path / "storage/runs/1/predictions"
    assert sorted(p.name for p in stored.iterdir()) == ["0.predict", "1.predict"]
    assert [p.seconds for p in read_points(task.curve)] == [0.5, 1.5]


def test_started_again_it_goes_on_after_what_it_kept(task, database) -> None:
    predict(task, [[0, 1]] * 4)
    score(task)
    predict(task, [[0, 1]] * 4, LABELS)
    score(task)
    assert recorded(database, task) == [(0, 0.0), (1, 1.0)]


def test_a_point_that_was_kept_but_not_reported_is_reported_later(
    task, database, monkeypatch
) -> None:
    predict(task, LABELS)
    with monkeypatch.context() as patch:
        patch.setattr(DirectReporter, "point", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            score(task)
    assert recorded(database, task) == []
    score(task)
    assert recorded(database, task) == [(0, 1.0)]


def test_what_cannot_be_scored_is_told_and_the_others_count(task, database) -> None:
    predict(task, [[0, 1]] * 3, LABELS, [[float("nan"), 0]] * 4)
    assert score(task)["refused"]["code"] == "prediction-nan"
    assert [nauc for _, nauc in recorded(database, task)] == [1.0]


class TestReporter:
    def test_a_database_that_is_away_for_a_moment_is_waited_for(
        self, task, database, monkeypatch
    ) -> None:
        monkeypatch.setattr(program, "PAUSE_SECONDS", 0.01)
        record, failures = service.record_point, iter(range(3))

        def fail_at_first(*arguments) -> None:
            if next(failures, None) is not None:
                raise PlatformError("database-unavailable", "Away.")
            record(*arguments)

        monkeypatch.setattr(service, "record_point", fail_at_first)
        point = {"index": 0, "seconds": 1.0, "nauc": 0.5, "accuracy": 0.7, "alc": 0.4}
        open_reporter(task.report_to).point(point)
        assert recorded(database, task) == [(0, 0.5)]

    def test_not_for_ever(self, task, monkeypatch) -> None:
        monkeypatch.setattr(program, "PAUSE_SECONDS", 0.01)
        monkeypatch.setattr(program, "PATIENCE_SECONDS", 0.05)
        away = PlatformError("database-unavailable", "Away.")
        monkeypatch.setattr(service, "begin_scoring", lambda *_: (_ for _ in ()).throw(away))
        with pytest.raises(PlatformError, match="Away"):
            open_reporter(task.report_to).scoring()

    def test_the_fence_is_not_tried_again(self, task) -> None:
        other = task.report_to.model_copy(update={"token": "another"})
        with pytest.raises(PlatformError) as caught:
            open_reporter(other).scoring()
        assert caught.value.code == "run-superseded"

    def test_secrets_do_not_show_in_logs(self, task) -> None:
        assert task.report_to.token not in repr(task)


def test_it_ends_when_its_supervisor_is_killed_and_nobody_else_would_end_it(task, tmp_path) -> None:
    task.over.unlink()
    predict(task, LABELS)
    path = tmp_path / "score.json"
    path.write_text(task.model_dump_json())
    command = [sys.executable, "-c", SUPERVISOR, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as supervisor:
        scorer = psutil.Process(int(supervisor.stdout.readline()))
        wait(lambda: read_points(task.curve))
        time.sleep(1.0)
        assert not task.result.exists()  # while its supervisor lives, more may come
        supervisor.kill()
    try:
        wait(task.result.exists)
        wait(lambda: not scorer.is_running() or scorer.status() == psutil.STATUS_ZOMBIE)
    finally:
        with suppress(psutil.NoSuchProcess):
            scorer.kill()


def test_it_waits_for_nothing_where_the_runs_folder_is_gone(task, tmp_path) -> None:
    predict(task, LABELS)
    left = task.model_copy(update={"over": tmp_path / "gone/over"})
    assert score(left) == {"refused": None}
