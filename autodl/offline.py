"""Predict with a saved model, no service needed: the same rows get the run's own predictions."""

from __future__ import annotations

from pathlib import Path

from autodl import tables
from autodl.bundle import find_bundle, split_bundle, unpack_zip
from autodl.errors import SolutionError, UsageError
from autodl.exported import ExportedModel, identify, open_model, require_same_kind
from autodl.predictions import read_start
from autodl.run import workspace
from autodl.solutions import BUNDLED, find_bundled
from autodl.solve import NO_EQUIPMENT, Equipment, predict


def predict_offline(
    model: Path,
    bundle: Path,
    solution: Path,
    out: Path,
    *,
    limit_seconds: float = 3600.0,
    equipment: Equipment = NO_EQUIPMENT,
) -> int:
    """Write ``predictions.csv``, ``.parquet`` and ``.json`` of a bundle into the folder ``out``.

    ``model`` is a sealed folder or its zip, ``bundle`` a folder or zip of data of the same kind,
    with or without test labels. Returns the number of rows. The solution loads the model confined,
    as in a run. Raises UsageError for a model or data that do not fit, BundleError, SolutionError.
    """
    with workspace() as work:
        opened = open_model(_unpacked(model, work / "model"))
        require_solution(opened, solution)
        root = _unpacked(bundle, work / "bundle")
        require_same_kind(opened, root)
        split_bundle(find_bundle(root), work / "public", work / "labels")
        output = work / "out"
        outcome = predict(
            work / "public",
            solution,
            opened.folder,
            output,
            limit_seconds=limit_seconds,
            equipment=equipment,
        )
        start = read_start(output / "start.txt")
        if not outcome.predictions or start is None:
            raise outcome.error or SolutionError("no-prediction", "the model gave no prediction.")
        files = {"test": output / f"{start.task_name}.predict_0"}
        if "unlabelled" in find_bundle(work / "public").subsets:
            files["unlabelled"] = output / "labelled/dataset.predict"
        read = tables.read(work / "public", files)
        out.mkdir(parents=True, exist_ok=True)
        tables.write(read, out)
        return sum(len(part.items) for part in read.parts)


def find_solution_of(model: Path) -> Path:
    """The folder of our own solution that saved a model. Raises UsageError where it is none."""
    with workspace() as work:
        opened = open_model(_unpacked(model, work / "model"))
    for folder in filter(None, map(find_bundled, BUNDLED)):
        if folder.name == opened.solution and folder.is_dir():
            return folder
    raise UsageError(
        "solution-unknown",
        f"The model was saved by {opened.solution!r}, which is none of our solutions.",
        hint="Name its folder with --solution.",
    )


def require_solution(model: ExportedModel, solution: Path) -> None:
    """Raise UsageError (``model-of-another-solution``) where the solution's code differs."""
    if identify(solution) != model.digest:
        raise UsageError(
            "model-of-another-solution",
            f"The model was saved by other code than that in {solution.name}.",
            hint="Predict with the version of the solution that has learnt it.",
        )


def _unpacked(source: Path, target: Path) -> Path:
    """A folder as it is, what a zip holds in ``target``. Raises UsageError (``path-missing``)."""
    if not source.exists():
        raise UsageError("path-missing", f"there is no {source}.", hint="Check the name.")
    if source.is_dir():
        return source
    unpack_zip(source, target)
    return target
