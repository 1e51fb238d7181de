"""Last program of a run: the artefacts to storage, then the outcome in one fenced transaction.

It runs however the others ended, so that a failure has its reason and its log too. Where the
platform is at fault it records nothing but the log and fails; the reconciler makes another run.
"""

from __future__ import annotations

import json
from pathlib import Path

from autodl.errors import AutoDLError, BundleError, PlatformError, SolutionError
from autodl.report import Report
from autodl.score import LearningCurve
from autodl.untrusted import open_plain
from service.submissions.service import summarize
from service.worker.artefacts import Artefacts
from service.worker.program import (
    Json,
    describe_error,
    read_guest_log,
    read_json,
    run_program,
)
from service.worker.report import Reporter, open_reporter
from service.worker.score import read_points
from service.worker.solve import CHECK_BYTES
from service.worker.supervisor import ProgramEnd, read_status
from service.worker.tasks import PublishTask


def publish(task: PublishTask) -> None:
    """Raises ``PlatformError`` when the run must be repeated, or may no longer write."""
    reporter = open_reporter(task.report_to)
    error = find_error(task)
    reporter.storage.put(reporter.key("log.txt"), [_read_log(task)])
    if error is not None and error["family"] == "platform":
        raise PlatformError(error["code"], error["message"], hint=error["hint"])
    if task.kind == "check":
        _publish_check(task, reporter, error)
    else:
        _publish_solve(task, reporter, error)


def _publish_check(task: PublishTask, reporter: Reporter, error: Json | None) -> None:
    if error is None:
        report = _read_report(task.output)
    else:
        finding = {key: value for key, value in error.items() if key != "family"}
        report = {"ok": False, "findings": [finding | {"severity": "error"}], "summary": {}}
    reporter.storage.put(reporter.key("report.json"), [_encode(report)])
    for finding in report["findings"]:
        if error is None and finding["severity"] == "error":
            error = {"family": "data"} | {k: v for k, v in finding.items() if k != "severity"}
    reporter.check_ended(report, error)


def _read_report(output: Path) -> Json:
    """What the check found; in its process a hostile file may have had its way."""
    try:
        with open_plain(output / "report.json") as file:
            text = Report.from_json(file.read(CHECK_BYTES).decode()).to_json()
    except (OSError, ValueError, TypeError, LookupError, RecursionError) as error:
        raise PlatformError("check-died", "The check of the data left no report.") from error
    report: Json = json.loads(text)
    return report


def _publish_solve(task: PublishTask, reporter: Reporter, error: Json | None) -> None:
    reporter.scoring()
    curve = LearningCurve(task.budget_seconds, read_points(task.curve))
    result = None
    if curve.points:
        artefacts = Artefacts(task, reporter, curve)
        artefacts.store()
        notes = [error["message"]] if error else []
        outcome = _read_result(task, "solve").get("value") or {}
        result = summarize(curve.points, " ".join(notes + artefacts.notes), outcome.get("seconds"))
        artefacts.put("result.json", result)
        artefacts.store_manifest(result, outcome.get("confinement") or {})
    elif error is None:
        error = _explain_no_points(task)
    reporter.solve_ended(result, error)


def find_error(task: PublishTask) -> Json | None:
    """What went wrong first in this run, if anything did."""
    for name in ("stage", "solve"):
        result = _read_result(task, name)
        if not result:
            return describe_error(_explain_death(name, task))
        error: Json | None = result["error"] or (result["value"] or {}).get("error")
        if error is not None:
            return error
    return None


def _read_result(task: PublishTask, name: str) -> Json:
    """What the program left; empty if it died."""
    return read_json(task.folder / f"{name}.result.json") or {}


def _explain_death(name: str, task: PublishTask) -> AutoDLError:
    """A program that left no result: what ended it, and whose fault that is."""
    status = read_status(task.folder)
    end = status.programs.get(name) if status else None
    how = _say_end(end)
    if name == "solve" and task.kind == "solve":
        return SolutionError("solution-died", f"The program that drives the solution {how}.")
    if name == "solve" and end is not None and end.timed_out:
        return BundleError("check-timed-out", f"The check of the data {how}.")
    return PlatformError("program-died", f"The program {name!r} of the run {how}.")


def _say_end(end: ProgramEnd | None) -> str:
    if end is None:
        return "was never started"
    if end.timed_out:
        return f"was stopped after {end.seconds:.0f} seconds"
    if end.exit_code < 0:
        return f"was ended by signal {-end.exit_code} after {end.seconds:.0f} seconds"
    return f"ended with code {end.exit_code} after {end.seconds:.0f} seconds"


def _explain_no_points(task: PublishTask) -> Json:
    """The solution ended well, and yet nothing could be scored."""
    result = _read_result(task, "score")
    if not result or result["error"] is not None:
        raise PlatformError("scoring-failed", "The predictions could not be scored.")
    refused: Json | None = result["value"]["refused"]
    return refused or describe_error(
        SolutionError("no-prediction", "The solution ended without a prediction.")
    )


def _read_log(task: PublishTask) -> bytes:
    """What the solution said, then a line for each program: no failure has an empty log."""
    log = read_guest_log(task.output)
    status = read_status(task.folder)
    ends = status.programs if status else {}
    lines = "".join(f"[{name} {_say_end(end)}]\n" for name, end in ends.items())
    return log + (b"" if not log or log.endswith(b"\n") else b"\n") + lines.encode()


def _encode(value: Json) -> bytes:
    return json.dumps(value, indent=1).encode()


if __name__ == "__main__":
    run_program(PublishTask, publish)
