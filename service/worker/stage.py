"""First program of a run: fetch the bundle, verify it, and lay it out for the others.

Holds the right to read one object and nothing else. A checking run gets the whole bundle in one
folder; for a solving run the test labels go to a folder of their own, of which ``solve`` is not
told.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from autodl.bundle import find_bundle, sha256_file, split_bundle, unpack_zip
from autodl.errors import PlatformError
from service.worker.program import Task, run_program


class StageTask(Task):
    """The stored bundle, and the folders to make of it."""

    url: str
    size_bytes: int
    sha256: str
    bundle: Path  #: of a solving run: what the solution may see
    labels: Path | None  #: set for a solving run


def stage(task: StageTask) -> None:
    """Raises ``BundleError`` for an unusable archive, ``PlatformError`` for our faults."""
    source = _verify(task)
    if task.labels is None:
        unpack_zip(source, task.bundle)
        return
    whole = task.bundle.with_name("unpacked")
    unpack_zip(source, whole)
    split_bundle(find_bundle(whole), task.bundle, task.labels)
    shutil.rmtree(whole)  # the labels must not lie about


def _verify(task: StageTask) -> Path:
    source = Path(url2pathname(urlsplit(task.url).path))
    if not source.is_file():
        raise PlatformError("bundle-lost", "The stored bundle is gone.")
    if source.stat().st_size != task.size_bytes or sha256_file(source) != task.sha256:
        raise PlatformError(
            "bundle-altered",
            "The stored bundle is not the one that was uploaded.",
            hint="Upload it again.",
        )
    return source


if __name__ == "__main__":
    run_program(StageTask, stage)
