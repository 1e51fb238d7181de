"""A learnt model as files: kept after a run, carried elsewhere, and made to predict again.

A solution may fulfil two methods beside the contest's (``autodl.model_api.Savable``). What it saves
lies in the run's ``model/``, sealed from outside its process with

    manifest.json         the solution that wrote it, the classes, and the digest of every file
    metadata.textproto    what the training data said of themselves

``autodl.solve.predict`` lets the same solution load it, confined as in a run, and predict the test
and the unlabelled part of a dataset of the same kind.
"""

from __future__ import annotations

import json
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autodl.bundle import find_bundle
from autodl.dataset import open_subset
from autodl.errors import AutoDLError, UsageError
from autodl.manifest import describe_solution, digest_folder, digest_lines
from autodl.metadata import METADATA_NAME, DataSpecification, read_metadata, write_metadata
from autodl.model_api import SAVED, UNFINISHED
from autodl.solutions import packages_of
from autodl.untrusted import remove_tree, write_over

MANIFEST = "manifest.json"
SCHEMA = "autodl-model/1"
MAX_FILES, MAX_DEPTH = 10_000, 8


@dataclass(frozen=True)
class ExportedModel:
    """A model's folder whose files are those it was sealed with."""

    folder: Path
    solution: str  #: the name of the solution's folder
    digest: str  #: of the solution that can load it
    classes: list[str]
    metadata: DataSpecification


def identify(solution: Path) -> str:
    """The digest of a solution's MANIFEST where it is frozen, else of all files it may use."""
    described = describe_solution(solution)
    if described["frozen"]:
        return str(described["frozen"])
    parts = {package.name: describe_solution(package) for package in packages_of(solution)}
    return digest_lines({name: part["frozen"] or part["sha256"] for name, part in parts.items()})


def seal(output: Path, public: Path, solution: Path, limit_bytes: int) -> str | None:
    """Seal the model that an ended ingestion has left; returns why there is none, None if it is.

    Nothing may run in ``output`` any more. A model with a link or a device in it, or larger than
    ``limit_bytes``, is removed.
    """
    folder = output / SAVED
    remove_tree(output / UNFINISHED)
    if not folder.is_dir() or folder.is_symlink():
        return "The solution has saved no model."
    if refusal := _refuse(folder, limit_bytes):
        remove_tree(folder)
        return refusal
    train = open_subset(find_bundle(public).train)
    metadata = folder / METADATA_NAME
    remove_tree(metadata)
    write_metadata(train.get_metadata().metadata_, metadata)
    remove_tree(folder / MANIFEST)
    manifest = {
        "schema": SCHEMA,
        "solution": solution.resolve().name,
        "solution_sha256": identify(solution),
        "classes": train.get_class_labels(),
        "files": digest_folder(folder),
    }
    text = json.dumps(manifest, indent=1, ensure_ascii=False)
    write_over(folder / MANIFEST, text.encode() + b"\n")
    return None


def _refuse(folder: Path, limit_bytes: int) -> str:
    """Why these files are no model that is kept; empty if they are."""
    size = files = 0
    folders = [(folder, 0)]
    while folders:
        place, depth = folders.pop()
        for path in place.iterdir():
            status = path.lstat()
            size, files = size + status.st_size, files + 1
            if size > limit_bytes or files > MAX_FILES or depth > MAX_DEPTH:
                most = f"{limit_bytes >> 20} MiB, {MAX_FILES} files and {MAX_DEPTH} levels"
                return f"The solution's model is larger than {most}: it is not kept."
            if stat.S_ISDIR(status.st_mode):
                folders.append((path, depth + 1))
            elif not stat.S_ISREG(status.st_mode):
                return f"The solution's model has {path.name}, which is no file: it is not kept."
    return ""


def open_model(folder: Path) -> ExportedModel:
    """Open a sealed model. UsageError (``model-missing``, ``model-damaged``) if it is none."""
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
        if manifest["schema"] != SCHEMA:
            raise ValueError(f"its schema is {manifest['schema']!r}, not {SCHEMA!r}")
        found = digest_folder(folder)
        found.pop(MANIFEST)
        files: dict[str, str] = manifest["files"]
        if changed := [n for n in {*found, *files} if found.get(n) != files.get(n)]:
            raise ValueError(f"{min(changed)} is not the file that was saved")
        return ExportedModel(
            folder,
            str(manifest["solution"]),
            str(manifest["solution_sha256"]),
            [str(name) for name in manifest["classes"]],
            read_metadata(folder / METADATA_NAME),
        )
    except FileNotFoundError as error:
        raise UsageError(
            "model-missing",
            f"{folder.name} holds no model.",
            hint="Give the folder model/ of a run's results, or model.zip.",
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError, AutoDLError) as error:
        raise UsageError(
            "model-damaged",
            f"{folder.name} is not a whole model: {error}.",
            hint="Fetch the model of the run again.",
        ) from error


def require_same_kind(model: ExportedModel, bundle_root: Path) -> None:
    """Raise UsageError (``model-of-other-data``) where the data differ from what was learnt."""
    found = open_subset(find_bundle(bundle_root).train).get_metadata().metadata_
    learnt = model.metadata
    for name in ("output_dim", "sequence_size", "matrix_spec", "label_to_index_map"):
        ours, theirs = getattr(learnt, name), getattr(found, name)
        if ours != theirs:
            raise _other_data(f"{name} is {_short(theirs)}, the model learnt {_short(ours)}")
    if learnt.channel_to_index_map != found.channel_to_index_map:
        raise _other_data("the vocabulary is another one")


def _other_data(difference: str) -> UsageError:
    return UsageError(
        "model-of-other-data",
        f"The data are not of the kind that the model has learnt: {difference}.",
        hint="Format new items together with the labelled source: autodl format SOURCE OUT "
        "--unlabelled NEW.",
    )


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
