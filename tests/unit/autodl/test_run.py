"""What a run gives: one good prediction is a success, bad data are rejected, never raised."""

import json
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer import Typer
from typer.testing import CliRunner

import cli.run
from autodl.bundle import sha256_file
from autodl.errors import UsageError
from autodl.manifest import describe_solution
from autodl.run import run
from autodl.score import Point
from autodl.solutions import resolve

BUDGET = 2.0


@pytest.fixture
def command():
    app = Typer()
    cli.run.register(app)
    return lambda *arguments: CliRunner().invoke(app, [str(a) for a in arguments])


def test_a_run_gives_points_as_they_come_and_a_result(tiny_bundle, guests, tmp_path) -> None:
    points: list[Point] = []
    out = tmp_path / "out"
    result = run(tiny_bundle, guests / "linear", 20.0, out, points.append)
    assert result.status == "succeeded"
    assert result.error is None
    assert points == result.curve.points
    assert points[0].nauc > 0.8
    assert points[0].accuracy > 0.6
    assert 0 < points[0].alc < points[0].nauc
    names = {p.name for p in out.iterdir()}
    assert names >= {"toy.predict_0", "labelled", "curve.json", "scores.txt", "log.txt"}
    assert json.loads((out / "result.json").read_text()) == result.to_json()
    assert (out / "scores.txt").read_text().startswith(f"score: {points[0].alc!r}\n")


def test_a_run_leaves_metrics_tables_and_a_manifest_of_it_all(
    tiny_bundle, guests, tmp_path
) -> None:
    out = tmp_path / "out"
    result = run(tiny_bundle, guests / "linear", 20.0, out)
    assert result.metrics is not None
    assert result.metrics.nauc == result.curve.points[-1].nauc
    assert result.metrics.alc_interval.low <= result.curve.alc <= result.metrics.alc_interval.high
    assert json.loads((out / "metrics.json").read_text()) == result.to_json()["metrics"]
    rows = (out / "predictions.csv").read_text().splitlines()
    assert len(rows) == 1 + 20 + 5
    manifest = json.loads((out / "manifest.json").read_text())
    for name, digest in manifest["files"].items():
        assert sha256_file(out / name) == digest
    assert manifest["files"].keys() >= {"toy.predict_0", "metrics.json", "predictions.parquet"}
    assert manifest["outcome"] == {"status": "succeeded", "alc": result.curve.alc}
    assert manifest["libraries"]["packages"]["numpy"] == np.__version__
    assert manifest["isolation"] == result.outcome.confinement
    text = json.dumps(manifest)
    assert str(tmp_path) not in text
    assert platform.node() not in text


def test_equal_data_and_equal_code_have_equal_digests(tiny_bundle, guests, tmp_path) -> None:
    shutil.copytree(guests / "linear", tmp_path / "copy", ignore=lambda *_: ["__pycache__"])
    copy = describe_solution(tmp_path / "copy")
    assert copy["sha256"] == describe_solution(guests / "linear")["sha256"]
    (tmp_path / "copy/model.py").write_text("changed")
    assert describe_solution(tmp_path / "copy")["sha256"] != copy["sha256"]


def test_a_prediction_changed_after_its_scoring_is_told_and_measures_nothing(
    tiny_bundle, guests, tmp_path
) -> None:
    result = run(tiny_bundle, guests / "alters", 20.0, tmp_path / "out")
    assert (result.status, result.error.code) == ("succeeded", "prediction-altered")
    assert (result.curve.alc, result.metrics) == (0.0, None)
    assert not (tmp_path / "out/metrics.json").exists()


def test_a_zip_is_as_good_as_a_folder(tiny_bundle, guests, tmp_path) -> None:
    archive = shutil.make_archive(str(tmp_path / "toy"), "zip", tiny_bundle)
    assert run(Path(archive), guests / "constant", BUDGET).status == "succeeded"


def test_a_prediction_before_the_failure_is_a_success_that_names_it(tiny_bundle, guests) -> None:
    result = run(tiny_bundle, guests / "raises_later", BUDGET)
    assert (result.status, result.error.code) == ("succeeded", "solution-train")
    assert len(result.curve.points) == 1


def test_the_deadline_alone_is_no_failure(tiny_bundle, guests) -> None:
    result = run(tiny_bundle, guests / "sleeper", BUDGET)
    assert (result.status, result.error, result.outcome.end) == ("succeeded", None, "timeout")


def test_a_time_claimed_before_its_prediction_does_not_count(
    tiny_bundle, guests, monkeypatch
) -> None:
    monkeypatch.setattr("autodl.score.WRITING_SECONDS", 0.2)
    result = run(tiny_bundle, guests / "stamps_early", 2.5)
    first, second = result.curve.points
    assert first.seconds < 0.5
    assert second.seconds > 0.8


def test_results_are_never_written_through_a_link(tiny_bundle, guests, tmp_path) -> None:
    out = tmp_path / "out"
    result = run(tiny_bundle, guests / "plants_links", 20.0, out)
    assert json.loads((out / "result.json").read_text()) == result.to_json()
    assert (out / "scores.txt").read_text().startswith("score: ")
    assert json.loads((out / "metrics.json").read_text())["rows"] == 20
    assert (out / "predictions.csv").read_text().startswith("subset,")
    assert not (out / "target").exists()


@pytest.mark.parametrize(
    ("guest", "code"),
    [("raises", "solution-train"), ("returns_none", "no-prediction"), ("nan", "prediction-nan")],
)
def test_without_a_good_prediction_a_run_has_failed(tiny_bundle, guests, guest, code) -> None:
    result = run(tiny_bundle, guests / guest, BUDGET)
    assert (result.status, result.error.code, result.curve.alc) == ("failed", code, 0.0)


def test_bad_data_are_rejected_before_a_solution_is_started(tiny_bundle, guests) -> None:
    (tiny_bundle / "toy.solution").write_text("1 0 0\n")
    result = run(tiny_bundle, guests / "linear", BUDGET)
    assert (result.status, result.outcome) == ("rejected", None)
    assert result.error.code in {f.code for f in result.report.findings}


def test_a_broken_zip_is_rejected(guests, tmp_path) -> None:
    path = tmp_path / "toy.zip"
    path.write_bytes(b"PK\x03\x04 and no more")
    assert run(path, guests / "linear", BUDGET).status == "rejected"


def test_paths_that_cannot_be_used_are_refused(tiny_bundle, guests, tmp_path) -> None:
    with pytest.raises(UsageError, match="there is no"):
        run(tmp_path / "nothing", guests / "linear", BUDGET)
    with pytest.raises(UsageError, match="no folder"):
        run(tiny_bundle, guests / "nothing", BUDGET)
    with pytest.raises(UsageError, match="not an empty folder"):
        run(tiny_bundle, guests / "linear", BUDGET, tiny_bundle)


def test_the_winning_solution_is_found_without_importing_it() -> None:
    code = "import sys, autodl.solutions as s; print(s.resolve(None)); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    folder, modules = done.stdout.splitlines()
    assert Path(folder) == resolve(None)
    assert "'winner_solution'" not in modules


def test_the_command_prints_one_object_and_talks_on_stderr(command, tiny_bundle, guests) -> None:
    done = command(
        "run", tiny_bundle, "--budget", BUDGET, "--solution", guests / "linear", "--json"
    )
    assert done.exit_code == 0
    result = json.loads(done.stdout)
    assert result["status"] == "succeeded"
    assert result["points"][0].keys() == {"seconds", "nauc"}
    assert result.keys() >= {
        "alc",
        "nauc",
        "accuracy",
        "first_prediction_seconds",
        "peak_rss_bytes",
        "findings",
    }
    assert "NAUC" in done.stderr


def test_the_command_ends_with_a_report_of_what_the_score_is_made_of(
    command, tiny_bundle, guests
) -> None:
    done = command("run", tiny_bundle, "--budget", BUDGET, "--solution", guests / "linear")
    assert re.search(r"NAUC +[\d.]+ +95 % interval [\d.]+ to [\d.]+", done.stdout)
    assert re.search(r"class +test items +NAUC +precision +recall +F1", done.stdout)
    assert done.stdout.splitlines()[-1].startswith("ALC ")


@pytest.mark.parametrize(("guest", "code"), [("raises", 7), ("constant", 0)])
def test_the_exit_code_says_how_it_ended(command, tiny_bundle, guests, guest, code) -> None:
    arguments = ("run", tiny_bundle, "--budget", BUDGET, "--solution", guests / guest)
    assert command(*arguments).exit_code == code
    (tiny_bundle / "toy.solution").unlink()
    assert command(*arguments).exit_code == 3


def test_a_finished_ingestion_can_be_scored_again(command, tiny_bundle, guests, tmp_path) -> None:
    out = tmp_path / "out"
    result = run(tiny_bundle, guests / "linear", BUDGET, out)
    done = command("score", tiny_bundle / "toy.solution", out, "--json", "--rules", "kit")
    assert json.loads(done.stdout)["alc"] == pytest.approx(result.curve.alc)
    assert command("score", tiny_bundle / "toy.solution", tmp_path).exception.code == (
        "ingestion-not-started"
    )
