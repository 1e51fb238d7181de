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

import httpx2

from autodl.bundle import find_bundle, sha256_file, split_bundle, unpack_zip
from autodl.errors import PlatformError
from service.worker.program import run_program
from service.worker.tasks import StageTask


def stage(task: StageTask) -> None:
    """Raises ``BundleError`` for an unusable archive, ``PlatformError`` for our faults."""
    source = _fetch(task)
    _verify(task, source)
    whole = task.bundle if task.labels is None else task.bundle.with_name("unpacked")
    unpack_zip(source, whole)
    if source == _target(task):
        source.unlink()
    if task.labels is not None:
        split_bundle(find_bundle(whole), task.bundle, task.labels)
        shutil.rmtree(whole)  # the labels must not lie about


def _fetch(task: StageTask) -> Path:
    """The stored bundle as a file here."""
    url = urlsplit(task.url)
    if url.scheme == "file":
        return Path(url2pathname(url.path))
    target = _target(task)
    left = task.size_bytes
    try:
        with target.open("wb") as file, httpx2.stream("GET", task.url, timeout=60.0) as answer:
            if answer.status_code in (403, 404):
                raise _lost()
            answer.raise_for_status()
            for chunk in answer.iter_bytes():
                left -= len(chunk)
                if left < 0:
                    break  # it is another one; no need to fill the disk with it
                file.write(chunk)
    except httpx2.HTTPError as error:
        raise PlatformError(
            "storage-unavailable",
            f"The object store failed: {type(error).__name__}.",
            hint="It is tried again; if it lasts, see the service's log.",
        ) from error
    return target


def _target(task: StageTask) -> Path:
    return task.bundle.with_name("bundle.zip")


def _verify(task: StageTask, source: Path) -> None:
    if not source.is_file():
        raise _lost()
    if source.stat().st_size != task.size_bytes or sha256_file(source) != task.sha256:
        raise PlatformError(
            "bundle-altered",
            "The stored bundle is not the one that was uploaded.",
            hint="Upload it again.",
        )


def _lost() -> PlatformError:
    return PlatformError("bundle-lost", "The stored bundle is gone.")


if __name__ == "__main__":
    run_program(StageTask, stage)
