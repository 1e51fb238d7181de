"""Last program of a run: the artefacts to storage, then the outcome in one fenced transaction.

It runs however the others ended, so that a failure has its reason and its log too. Where the
platform is at fault it records nothing but the log and fails; the reconciler makes another run.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from autodl.errors import PlatformError
from autodl.report import Report
from autodl.score import LearningCurve
from autodl.solve import RESOURCES_NAME
from autodl.untrusted import open_plain
from service.submissions.service import LOG_NAME, summarize
from service.worker.check import BUNDLE_NAME
from service.worker.failure import (
    AGAIN,
    FAILURE_NAME,
    describe_failure,
    explain_no_points,
    find_error,
    read_log,
    read_resources,
    read_result,
)
from service.worker.program import Json, describe_error, run_program
from service.worker.report import Reporter, open_reporter
from service.worker.score import read_points
from service.worker.showcase import EXAMPLES_NAME, read_examples
from service.worker.solve import CHECK_BYTES
from service.worker.tasks import PublishTask


def publish(task: PublishTask) -> None:
    """Raises ``PlatformError`` when the run must be repeated, or may no longer write."""
    began = time.time()
    reporter = open_reporter(task.report_to)
    reporter.storage.put(reporter.key(LOG_NAME), [read_log(task)])
    if (resources := read_resources(task)) is not None:
        reporter.storage.put(reporter.key(RESOURCES_NAME), [resources])
    try:
        reporter.steps(_read_steps(task) | {"publish": [began, None]})
        error = find_error(task)
        if error is not None and error["family"] == "platform":
            raise PlatformError(error["code"], error["message"], hint=error["hint"])
        (_publish_check if task.kind == "check" else _publish_solve)(task, reporter, error)
    except PlatformError as failure:
        _store_failure(task, reporter, describe_error(failure))
        raise


def _store_failure(task: PublishTask, reporter: Reporter, error: Json) -> None:
    reporter.storage.put(reporter.key(FAILURE_NAME), [_encode(describe_failure(task, error))])


def _read_steps(task: PublishTask) -> Json:
    """When each of the other programs began and ended; nothing of one that died."""
    results = {name: read_result(task, name) for name in ("stage", "solve", "score")}
    return {name: result["times"] for name, result in results.items() if result}


def _publish_check(task: PublishTask, reporter: Reporter, error: Json | None) -> None:
    if error is None:
        report = _read_report(task.output)
    else:
        finding = {key: value for key, value in error.items() if key != "family"}
        report = {"ok": False, "findings": [finding | {"severity": "error"}], "summary": {}}
    reporter.storage.put(reporter.key("report.json"), [_encode(report)])
    examples = {"items": [example.to_json() for example in read_examples(task.output)]}
    reporter.storage.put(reporter.key(EXAMPLES_NAME), [_encode(examples)])
    for finding in report["findings"]:
        if error is None and finding["severity"] == "error":
            error = {"family": "data"} | {k: v for k, v in finding.items() if k != "severity"}
    if error is not None:
        _store_failure(task, reporter, error)
    reporter.check_ended(report, error, _store_made(task, reporter) if error is None else None)


def _store_made(task: PublishTask, reporter: Reporter) -> Json | None:
    """Store the bundle that was made of raw data, if it was; nobody vouches for what is in it."""
    try:
        file = open_plain(task.output / BUNDLE_NAME)
    except OSError:
        return None
    with file:
        stored = reporter.storage.put(reporter.key(BUNDLE_NAME), file)
    return {"size_bytes": stored.size_bytes, "sha256": stored.sha256}


def _read_report(output: Path) -> Json:
    """What the check found; in its process a hostile file may have had its way."""
    try:
        with open_plain(output / "report.json") as file:
            text = Report.from_json(file.read(CHECK_BYTES).decode()).to_json()
    except (OSError, ValueError, TypeError, LookupError, RecursionError) as error:
        message = "The check of the data left no report."
        raise PlatformError("check-died", message, hint=AGAIN) from error
    report: Json = json.loads(text)
    return report


def _publish_solve(task: PublishTask, reporter: Reporter, error: Json | None) -> None:
    reporter.scoring()
    curve = LearningCurve(task.budget_seconds, read_points(task.curve))
    result = None
    if curve.points:
        from service.worker.artefacts import Artefacts  # loads what draws, for which no check waits

        artefacts = Artefacts(task, reporter, curve)
        artefacts.store()
        notes = [error["message"]] if error else []
        outcome = read_result(task, "solve").get("value") or {}
        result = summarize(curve.points, " ".join(notes + artefacts.notes), outcome.get("seconds"))
        artefacts.put("result.json", result)
        artefacts.store_manifest(result, outcome.get("confinement") or {})
    elif error is None:
        error = explain_no_points(task)
    if error is not None:
        _store_failure(task, reporter, error)
    if task.final:
        reporter.solve_ended(result, error)


def _encode(value: Json) -> bytes:
    return json.dumps(value, indent=1).encode()


if __name__ == "__main__":
    run_program(PublishTask, publish)
