"""Check, ingest and score on local folders: ``autodl run``, and what every worker repeats."""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from autodl.bundle import Bundle, find_bundle, sha256_file, split_bundle, unpack_zip
from autodl.check import check
from autodl.dataset import open_subset
from autodl.errors import AutoDLError, BundleError, SolutionError, UsageError
from autodl.manifest import describe_run, digest_folder, digest_lines
from autodl.metrics import Metrics
from autodl.predictions import read_labels, read_start
from autodl.report import Findings, Report
from autodl.results import write_results
from autodl.score import (
    LearningCurve,
    Matrix,
    Point,
    follow,
    warn_refused,
    write_scores,
)
from autodl.solve import NO_EQUIPMENT, Equipment, Outcome, solve
from autodl.untrusted import copy_over, copy_plain, remove_tree, write_over
from autodl.verdict import DEFAULT_LIMITS, Limits

Status = Literal["succeeded", "rejected", "failed"]


@dataclass(frozen=True)
class RunResult:
    """What a run gave. ``error`` may stand beside success: what ended a run that has points.

    ``outcome`` is None where the data were rejected before a solution was started, ``metrics``
    where nothing was scored. ``notes`` say what else a user must know.
    """

    status: Status
    curve: LearningCurve
    report: Report
    outcome: Outcome | None = None
    error: AutoDLError | None = None
    metrics: Metrics | None = None
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the fields of ``autodl run --json``; scores are None without a prediction."""
        points, outcome, error = self.curve.points, self.outcome, self.error
        last = points[-1] if points else None
        return {
            "status": self.status,
            "alc": self.curve.alc,
            "nauc": None if last is None else last.nauc,
            "accuracy": None if last is None else last.accuracy,
            "first_prediction_seconds": points[0].seconds if points else None,
            "points": [{"seconds": p.seconds, "nauc": p.nauc} for p in points],
            "budget_seconds": self.curve.budget_seconds,
            "seconds": None if outcome is None else outcome.seconds,
            "peak_rss_bytes": None if outcome is None else outcome.peak_rss_bytes,
            "end": None if outcome is None else outcome.end,
            "code": None if error is None else error.code,
            "message": None if error is None else str(error),
            "findings": [asdict(finding) for finding in self.report.findings],
            "metrics": None if self.metrics is None else self.metrics.to_json(),
            "notes": self.notes,
        }


def run(
    source: Path,
    solution: Path,
    budget_seconds: float,
    out: Path | None = None,
    on_point: Callable[[Point], None] | None = None,
    *,
    equipment: Equipment = NO_EQUIPMENT,
    limits: Limits = DEFAULT_LIMITS,
) -> RunResult:
    """Check a bundle, let a solution learn it within the budget, and score it as it goes.

    ``source`` is a bundle's folder or zip. ``out``, which must be empty, gets the predictions (also
    as tables), ``curve.json``, ``scores.txt``, ``metrics.json``, ``result.json``,
    ``manifest.json`` and the solution's ``log.txt``. ``on_point`` is called with each point while
    the solution goes on. Data that are not sound give a result
    ``rejected``, never an exception; UsageError is raised for paths that cannot be used.
    """
    _require_usable(source, solution, out)
    with workspace() as work:
        curve = LearningCurve(budget_seconds)
        report, bundle = check_source(source, work / "bundle")
        if bundle is None:
            return RunResult("rejected", curve, report, error=_first_error(report))
        split_bundle(bundle, work / "public", work / "labels")
        output = out or work / "out"
        output.mkdir(parents=True, exist_ok=True)
        over = threading.Event()
        refused: list[AutoDLError] = []
        labels = _read_labels(bundle)
        with ThreadPoolExecutor(1) as scorer:
            scoring = scorer.submit(_score, curve, output, labels, over.is_set, on_point, refused)
            try:
                outcome = solve(
                    work / "public",
                    solution,
                    output,
                    budget_seconds=budget_seconds,
                    equipment=equipment,
                    limits=limits,
                )
            finally:
                over.set()
            scoring.result()
        result = _judge(curve, report, outcome, refused)
        if curve.points:
            result = _measure(result, work, output, labels)
    if out is not None:
        _write(result, out)
        _write_manifest(result, source, solution, equipment.weights, out)
    return result


@contextmanager
def workspace() -> Iterator[Path]:
    """A folder that only this user can enter, and that is gone afterwards, whatever is in it."""
    folder = Path(tempfile.mkdtemp(prefix="autodl-"))
    try:
        yield folder
    finally:
        remove_tree(folder)


def _require_usable(source: Path, solution: Path, out: Path | None) -> None:
    if not source.exists():
        raise UsageError(
            "path-missing", f"there is no {source}.", hint="Give a bundle's folder or zip."
        )
    if not solution.is_dir():
        raise UsageError(
            "path-missing",
            f"there is no folder {solution}.",
            hint="A solution is a folder with model.py.",
        )
    if out is not None and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(
            "output-not-empty",
            f"{out} is not an empty folder.",
            hint="Choose another, or remove it.",
        )


def check_source(source: Path, unpacked: Path) -> tuple[Report, Bundle | None]:
    """Return what is wrong with the bundle, and the bundle itself if that is nothing grave.

    ``source`` is a folder or a zip, which is unpacked to ``unpacked``.
    """
    root = source
    if source.is_file():
        root = unpacked
        try:
            unpack_zip(source, unpacked)
        except BundleError as error:
            findings = Findings(unpacked)
            findings.add_error(error)
            return Report(findings.sorted()), None
    report = check(root)
    return report, find_bundle(root) if report.ok else None


def _first_error(report: Report) -> BundleError:
    found = next(f for f in report.findings if f.severity == "error")
    return BundleError(
        found.code,
        found.message,
        hint=found.hint,
        file=found.file,
        record=found.record,
        line=found.line,
    )


def _read_labels(bundle: Bundle) -> Matrix:
    assert bundle.labels is not None, "`check` finds missing labels"
    return read_labels(bundle.labels, open_subset(bundle.train).get_metadata().get_output_size())


def _score(
    curve: LearningCurve,
    output: Path,
    labels: Matrix,
    is_over: Callable[[], bool],
    on_point: Callable[[Point], None] | None,
    refused: list[AutoDLError],
) -> None:
    """Follow the ingestion; what cannot be scored is collected in ``refused``."""

    def refuse(index: int, error: AutoDLError) -> None:
        warn_refused(index, error)
        refused.append(error)

    for point in follow(output, labels, curve.budget_seconds, is_over, on_refused=refuse):
        curve.points.append(point)
        if on_point is not None:
            on_point(point)


def _judge(
    curve: LearningCurve, report: Report, outcome: Outcome, refused: list[AutoDLError]
) -> RunResult:
    """One good prediction is a success, whatever came after it."""
    error = outcome.error or (refused[-1] if refused else None)
    if curve.points:
        return RunResult("succeeded", curve, report, outcome, error)
    if error is None:
        error = SolutionError(
            "no-prediction",
            "the solution ended without a prediction.",
            hint="Its log may say why; a first prediction should take seconds.",
        )
    status: Status = "rejected" if isinstance(error, BundleError) else "failed"
    return RunResult(status, curve, report, outcome, error)


def _measure(result: RunResult, work: Path, output: Path, labels: Matrix) -> RunResult:
    """Add the metrics, and write what people read beside what the solution wrote."""
    start = read_start(output / "start.txt")
    name = "" if start is None else start.task_name
    unlabelled = work / "unlabelled.predict"
    found = copy_plain(output / "labelled/dataset.predict", unlabelled, within=output)
    made = work / "results"  # not in the output: what lies there may be a link
    made.mkdir()
    try:
        metrics, notes = write_results(
            made,
            bundle_root=work / "public",
            labels=labels,
            curve=result.curve,
            prediction=lambda index: output / f"{name}.predict_{index}",
            unlabelled=unlabelled if found else None,
        )
    except SolutionError as error:  # it tampered with what was scored; the score stands
        return replace(result, error=error)
    for path in made.iterdir():
        with path.open("rb") as file:
            copy_over(file, output / path.name)
    return replace(result, metrics=metrics, notes=notes)


def _write_manifest(
    result: RunResult, source: Path, solution: Path, weights: str | None, out: Path
) -> None:
    digest = sha256_file(source) if source.is_file() else digest_lines(digest_folder(source))
    kept = {path.name for path in out.iterdir() if path.is_file() and not path.is_symlink()}
    manifest = describe_run(
        data={"name": source.stem, "sha256": digest},
        solution=solution,
        weights=weights,
        budget_seconds=result.curve.budget_seconds,
        outcome={"status": result.status, "alc": result.curve.alc},
        confinement={} if result.outcome is None else result.outcome.confinement,
        files={name: sha256_file(out / name) for name in kept},
    )
    write_over(out / "manifest.json", json.dumps(manifest, indent=1).encode() + b"\n")


def _write(result: RunResult, out: Path) -> None:
    for name, value in (("curve", result.curve.to_json()), ("result", result.to_json())):
        write_over(out / f"{name}.json", json.dumps(value, indent=1).encode() + b"\n")
    write_scores(result.curve, out / "scores.txt")
