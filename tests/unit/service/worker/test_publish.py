"""Whatever the other programs left, the outcome is true and has its reason."""

import hashlib
import json
import zipfile
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from sqlalchemy.orm import undefer

from autodl.bundle import find_bundle, sha256_file, split_bundle, write_items
from autodl.errors import PlatformError
from autodl.gallery import Example
from autodl.predictions import read_labels, write_predictions
from autodl.score import LearningCurve
from service.executors.base import Phase
from service.models import Run, RunKind, Submission
from service.models import SubmissionState as S
from service.submissions import repository, service
from service.worker import archives
from service.worker.program import write_json
from service.worker.publish import publish
from service.worker.supervisor import ProgramEnd, Status
from service.worker.tasks import PublishTask, ReportTo

HELD = {"files": "landlock-5", "network": "seccomp"}
NOTHING_WRONG = {"error": None, "value": {"error": None, "seconds": 7.5, "confinement": HELD}}
FAULT = {"family": "solution", "code": "solution-train", "message": "It raised.", "hint": ""}


class Scene:
    """A run whose programs have ended, each as a test says, before ``publish``."""

    def __init__(self, settings, database, create, tmp_path, tiny_bundle, guests, kind) -> None:
        self.database = database
        self.folder = tmp_path / "run"
        (self.folder / "output").mkdir(parents=True)
        self.bundle = tiny_bundle
        with database.write() as session:
            submission = create(session)
            if kind is RunKind.SOLVE:
                service.transition(session, submission, S.QUEUED, actor="test", cause="Passed.")
            run = service.create_run(session, submission, kind, "fake", "secret")
            self.ids = submission.id, run.id
        split_bundle(find_bundle(tiny_bundle), self.folder / "public", self.folder / "labels")
        token = repository.make_token("secret", run.id)
        self.task = PublishTask(
            kind=kind.value,
            result=self.folder / "publish.result.json",
            folder=self.folder,
            bundle=self.folder / "public",
            labels=self.folder / "labels",
            solution=guests / "linear" if kind is RunKind.SOLVE else None,
            sha256="5ca1ab1e",
            output=self.folder / "output",
            curve=self.folder / "curve.json",
            budget_seconds=60,
            report_to=ReportTo(
                run_id=run.id,
                token=token,
                database_url=settings.effective_database_url,
                storage=(tmp_path / "storage").as_uri(),
                prefix="runs/1",
            ),
        )
        self.storage = tmp_path / "storage" / "runs" / "1"

    def ended(self, name: str, result: dict) -> None:
        write_json(self.folder / f"{name}.result.json", result | {"times": [1.0, 2.0]})

    def died(self, name: str, **end: object) -> None:
        status = Status(
            pid=1,
            phase=Phase.RUNNING,
            message="",
            started_at="2026-01-01T00:00:00+00:00",
            programs={name: ProgramEnd(**{"exit_code": -9, "seconds": 3.0} | end)},
        )
        write_json(self.folder / "status.json", status.model_dump(mode="json"))

    def scored(self) -> None:
        """One prediction: the labels themselves."""
        labels = read_labels(self.folder / "labels" / "toy.solution")
        curve = LearningCurve(60)
        curve.add(0, 2.0, labels, labels)
        write_json(self.task.curve, curve.to_json())
        stored = self.storage / "predictions" / "0.predict"
        stored.parent.mkdir(parents=True)
        write_predictions(labels, stored)

    def publish(self) -> Submission:
        publish(self.task)
        return self.see()

    def see(self) -> Submission:
        with self.database.read() as session:
            whole = [undefer(Submission.report)]
            return session.get_one(Submission, self.ids[0], options=whole)

    def log(self) -> str:
        return (self.storage / "log.txt").read_text()


@pytest.fixture
def solving(settings, database, create, tmp_path, tiny_bundle, guests) -> Scene:
    scene = Scene(settings, database, create, tmp_path, tiny_bundle, guests, RunKind.SOLVE)
    scene.ended("stage", {"error": None, "value": None})
    scene.ended("solve", NOTHING_WRONG)
    scene.ended("score", {"error": None, "value": {"refused": None}})
    return scene


@pytest.fixture
def checking(settings, database, create, tmp_path, tiny_bundle, guests) -> Scene:
    scene = Scene(settings, database, create, tmp_path, tiny_bundle, guests, RunKind.CHECK)
    scene.ended("stage", {"error": None, "value": None})
    scene.ended("solve", {"error": None, "value": None})
    return scene


class TestSolve:
    def test_a_success_has_its_figures_and_files(self, solving) -> None:
        solving.scored()
        submission = solving.publish()
        assert submission.state is S.SUCCEEDED
        assert submission.result["nauc"] == 1.0
        assert submission.result["duration_seconds"] == 7.5
        assert submission.result["first_prediction_seconds"] == 2.0
        assert submission.error is None
        names = {p.name for p in solving.storage.iterdir() if p.is_file()}
        assert {"curve.json", "curve.svg", "scores.txt", "predictions.csv", "log.txt"} <= names

    def test_everything_that_was_learnt_of_the_score_is_stored_with_its_digest(
        self, solving
    ) -> None:
        solving.scored()
        solving.publish()
        manifest = json.loads((solving.storage / "manifest.json").read_text())
        stored = {
            path.relative_to(solving.storage).as_posix(): sha256_file(path)
            for path in solving.storage.rglob("*")
            if path.is_file() and path.name not in ("manifest.json", "log.txt")
        }
        assert manifest["files"] == stored
        assert stored.keys() >= {"metrics.json", "curve.png", "predictions.parquet", "results.zip"}
        assert stored.keys() >= {"answers.csv", "confusion.csv", "mistakes.json"}
        assert manifest["data"] == {"name": "toy", "sha256": "5ca1ab1e"}
        assert manifest["isolation"] == {"files": "landlock-5", "network": "seccomp"}
        metrics = json.loads((solving.storage / "metrics.json").read_text())
        assert (metrics["nauc"], metrics["rows"]) == (1.0, 20)

    def test_the_zip_is_what_the_contests_programs_left(self, solving) -> None:
        output = solving.folder / "output"
        (output / "labelled").mkdir()
        write_predictions(np.full((5, 3), 0.5), output / "labelled" / "dataset.predict")
        (output / "start.txt").write_text("task_name: toy\n")
        (output / "end.txt").symlink_to(solving.folder / "labels" / "toy.solution")
        solving.scored()
        solving.publish()
        with zipfile.ZipFile(solving.storage / "results.zip") as archive:
            assert archive.testzip() is None
            assert set(archive.namelist()) == {
                "start.txt",
                "toy.predict_0",
                "labelled/dataset.predict",
                "scores.txt",
                "learning-curve-toy.png",
                "detailed_results.html",
            }
            stored = (solving.storage / "predictions/0.predict").read_bytes()
            assert archive.read("toy.predict_0") == stored
            picture = archive.read("learning-curve-toy.png")
            page = archive.read("detailed_results.html").decode()
        assert picture == (solving.storage / "curve.png").read_bytes()
        assert Image.open(BytesIO(picture)).size == (700, 707)
        assert "data:image/png;base64," in page

    def test_a_model_is_given_out_as_one_file_without_links(self, solving) -> None:
        model = solving.folder / "output" / "model"
        (model / "nets").mkdir(parents=True)
        (model / "nets" / "weights.bin").write_bytes(b"w" * 1000)
        (model / "labels").symlink_to(solving.folder / "labels" / "toy.solution")
        (model / "more").symlink_to(solving.folder / "labels")
        solving.scored()
        solving.publish()
        with zipfile.ZipFile(solving.storage / "model.zip") as archive:
            assert archive.namelist() == ["nets/weights.bin"]
            assert archive.read("nets/weights.bin") == b"w" * 1000

    def test_a_model_that_is_too_large_costs_only_itself(self, solving, monkeypatch) -> None:
        monkeypatch.setattr(archives, "MODEL_BYTES", 999)
        model = solving.folder / "output" / "model"
        model.mkdir()
        (model / "weights.bin").write_bytes(b"w" * 1000)
        solving.scored()
        submission = solving.publish()
        assert submission.state is S.SUCCEEDED
        assert "model" in submission.result["note"]
        assert not (solving.storage / "model.zip").exists()

    def test_publishing_again_after_a_kill_gives_the_same_bytes(self, solving) -> None:
        solving.scored()
        solving.publish()
        names = ("results.zip", "predictions.parquet", "curve.png", "metrics.json", "scores.txt")
        first = {name: (solving.storage / name).read_bytes() for name in names}
        with pytest.raises(PlatformError):  # its outcome is recorded already
            solving.publish()
        assert first == {name: (solving.storage / name).read_bytes() for name in names}

    def test_items_and_unlabelled_rows_have_their_names(self, solving) -> None:
        data = solving.folder / "public" / "toy.data"
        write_items([f"leaf {i}.png" for i in range(20)], data / "test")
        write_items([f"new {i}.png" for i in range(5)], data / "unlabelled")
        labelled = solving.folder / "output" / "labelled"
        labelled.mkdir()
        write_predictions([[0.1, 0.2, 0.7]] * 5, labelled / "dataset.predict")
        solving.scored()
        solving.publish()
        lines = (solving.storage / "predictions.csv").read_text().splitlines()
        assert lines[0] == "subset,row,item,prediction,score,0,1,2"
        assert lines[1].startswith("test,0,leaf 0.png,")
        assert lines[-1] == "unlabelled,4,new 4.png,2,0.7,0.1,0.2,0.7"

    @pytest.mark.parametrize("content", ["0.1 0.2\n", "spam", ""])
    def test_a_broken_unlabelled_part_costs_only_itself(self, solving, content) -> None:
        labelled = solving.folder / "output" / "labelled"
        labelled.mkdir()
        (labelled / "dataset.predict").write_text(content)
        solving.scored()
        submission = solving.publish()
        assert submission.state is S.SUCCEEDED
        assert "unlabelled" in submission.result["note"]
        assert not (solving.storage / "labelled").exists()

    def test_a_link_in_the_solutions_folder_leads_nowhere(self, solving) -> None:
        labelled = solving.folder / "output" / "labelled"
        labelled.mkdir()
        (labelled / "dataset.predict").symlink_to(solving.folder / "labels" / "toy.solution")
        solving.scored()
        assert solving.publish().state is S.SUCCEEDED
        assert not (solving.storage / "labelled").exists()

    def test_what_was_scored_before_a_failure_counts(self, solving) -> None:
        solving.scored()
        solving.ended("solve", {"error": None, "value": {"error": FAULT, "seconds": 3.0}})
        submission = solving.publish()
        assert submission.state is S.SUCCEEDED
        assert submission.result["note"] == "It raised."
        assert submission.error["code"] == "solution-train"

    def test_a_failure_before_any_score_is_the_solutions(self, solving) -> None:
        solving.ended("solve", {"error": None, "value": {"error": FAULT, "seconds": 3.0}})
        (solving.folder / "output" / "log.txt").write_text("Traceback: no luck")
        assert solving.publish().state is S.FAILED
        assert "no luck" in solving.log()

    def test_a_death_says_how_and_its_log_is_not_empty(self, solving) -> None:
        (solving.folder / "solve.result.json").unlink()
        solving.died("solve", timed_out=True)
        submission = solving.publish()
        assert submission.state is S.FAILED
        assert submission.error["code"] == "solution-died"
        assert "stopped after 3 seconds" in submission.error["message"]
        assert "[solve was stopped after 3 seconds]" in solving.log()

    def test_silence_is_the_solutions_fault(self, solving) -> None:
        submission = solving.publish()
        assert submission.error["code"] == "no-prediction"

    def test_refused_predictions_give_the_reason(self, solving) -> None:
        refused = FAULT | {"code": "prediction-nan", "message": "NaN."}
        solving.ended("score", {"error": None, "value": {"refused": refused}})
        assert solving.publish().error["code"] == "prediction-nan"

    def test_a_dead_scorer_is_our_fault_and_nothing_is_recorded(self, solving) -> None:
        (solving.folder / "score.result.json").unlink()
        with pytest.raises(PlatformError) as caught:
            solving.publish()
        assert caught.value.code == "scoring-failed"
        assert solving.see().ended_at is None

    def test_a_platform_error_is_raised_again_after_the_log_is_stored(self, solving) -> None:
        lost = FAULT | {"family": "platform", "code": "bundle-lost"}
        solving.ended("stage", {"error": lost, "value": None})
        with pytest.raises(PlatformError) as caught:
            solving.publish()
        assert caught.value.code == "bundle-lost"
        assert (solving.storage / "log.txt").exists()

    def test_a_replaced_run_stores_but_records_nothing(self, solving) -> None:
        solving.scored()
        with solving.database.write() as session:
            submission = session.get_one(Submission, solving.ids[0])
            service.create_run(session, submission, RunKind.SOLVE, "fake", "secret")
        with pytest.raises(PlatformError) as caught:
            solving.publish()
        assert caught.value.code == "run-superseded"
        assert solving.see().state is S.QUEUED


class TestCheck:
    def write_report(self, scene: Scene, *findings: dict) -> None:
        report = {"ok": not findings, "findings": list(findings), "summary": {"classes": 3}}
        (scene.folder / "output" / "report.json").write_text(json.dumps(report))

    def test_good_data_go_to_the_queue(self, checking) -> None:
        self.write_report(checking)
        submission = checking.publish()
        assert submission.state is S.QUEUED
        assert submission.report["summary"] == {"classes": 3}
        assert (checking.storage / "report.json").exists()

    def test_the_bundle_made_of_raw_data_becomes_the_submissions(self, checking) -> None:
        self.write_report(checking)
        (checking.folder / "output/bundle.zip").write_bytes(b"made")
        submission = checking.publish()
        assert submission.bundle_key == f"runs/{checking.ids[1]}/bundle.zip"
        assert submission.bundle_bytes == 4
        assert submission.bundle_sha256 == hashlib.sha256(b"made").hexdigest()
        assert (checking.storage / "bundle.zip").read_bytes() == b"made"

    def test_a_bundle_that_is_a_link_is_none(self, checking) -> None:
        self.write_report(checking)
        before = checking.see().bundle_key
        (checking.folder / "output/bundle.zip").symlink_to(checking.folder / "labels")
        assert checking.publish().bundle_key == before

    @pytest.mark.parametrize(
        "text", ["", "[" * 100_000, '[{"record": 1}]', '[{"kind": "script", "content": "x"}]']
    )
    def test_examples_that_no_check_writes_are_left_out(self, checking, text) -> None:
        self.write_report(checking)
        (checking.folder / "output/examples.json").write_text(text)
        assert checking.publish().state is S.QUEUED
        assert json.loads((checking.storage / "examples.json").read_text()) == {"items": []}

    def test_examples_are_stored_as_they_were_picked(self, checking) -> None:
        self.write_report(checking)
        shown = Example(3, ("<b>",), True, "text", "words", "a.txt").to_json()
        (checking.folder / "output/examples.json").write_text(json.dumps([shown]))
        checking.publish()
        stored = json.loads((checking.storage / "examples.json").read_text())
        assert stored == {"items": [shown | {"labels": ["<b>"]}]}

    def test_a_report_that_is_a_link_is_not_read(self, checking) -> None:
        self.write_report(checking)
        report = checking.folder / "output/report.json"
        report.rename(checking.folder / "elsewhere.json")
        report.symlink_to(checking.folder / "elsewhere.json")
        with pytest.raises(PlatformError, match="left no report"):
            checking.publish()

    @pytest.mark.parametrize(
        "text", ["", "[]", "[" * 100_000, '{"findings": [{"code": 1}], "summary": {}}', "\x00"]
    )
    def test_a_report_that_no_check_writes_is_not_believed(self, checking, text) -> None:
        self.write_report(checking)
        (checking.folder / "output/report.json").write_text(text)
        with pytest.raises(PlatformError, match="left no report"):
            checking.publish()

    def test_the_first_error_of_the_report_is_the_reason(self, checking) -> None:
        place = {"hint": "", "file": "a", "record": 3, "line": None, "item": None}
        warning = {"code": "w-w", "severity": "warning", "message": "Odd.", **place}
        first = {"code": "e-1", "severity": "error", "message": "Bad.", **place}
        self.write_report(checking, warning, first, first | {"code": "e-2"})
        submission = checking.publish()
        assert submission.state is S.REJECTED
        assert submission.error == {
            "family": "data",
            "code": "e-1",
            "message": "Bad.",
            **place,
        }

    def test_a_bundle_that_cannot_be_unpacked_has_a_report_too(self, checking) -> None:
        fault = {"family": "data", "code": "not-a-zip", "message": "No zip.", "hint": "Zip it."}
        checking.ended("stage", {"error": fault, "value": None})
        submission = checking.publish()
        assert submission.state is S.REJECTED
        assert submission.report["findings"] == [
            {"code": "not-a-zip", "message": "No zip.", "hint": "Zip it.", "severity": "error"}
        ]

    def test_a_check_that_took_too_long_is_the_datas_fault(self, checking) -> None:
        (checking.folder / "solve.result.json").unlink()
        checking.died("solve", timed_out=True)
        assert checking.publish().error["code"] == "check-timed-out"

    def test_a_check_that_died_is_ours(self, checking) -> None:
        (checking.folder / "solve.result.json").unlink()
        checking.died("solve")
        with pytest.raises(PlatformError, match="signal 9"):
            checking.publish()
        with checking.database.read() as session:
            assert session.get_one(Run, checking.ids[1]).outcome is None
