"""First program of a run: fetch the bundle, verify it, and lay it out for the others.

Holds the right to read one object and nothing else. A checking run gets the whole bundle in one
folder, or raw data as the one file that they are, for what formats them unpacks them too; for a
solving run the test labels go to a folder of their own, of which ``solve`` is not told.
"""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import httpx2

from autodl.bundle import (
    UnpackLimits,
    find_bundle,
    list_names,
    looks_like_bundle,
    sha256_file,
    split_bundle,
    unpack_zip,
)
from autodl.errors import PlatformError
from service.worker.program import patiently, run_program
from service.worker.tasks import StageTask

RAW_LIMITS = UnpackLimits(max_entries=200_000)  # of raw files in one zip


def stage(task: StageTask) -> None:
    """Raises ``BundleError`` for an unusable archive, ``PlatformError`` for our faults."""
    source = patiently(lambda: _fetch(task), "storage-unavailable")
    _verify(task, source)
    if task.labels is None and not _is_bundle(source, task.name):
        task.bundle.mkdir(exist_ok=True)
        (shutil.move if source == _target(task) else shutil.copyfile)(
            source, task.bundle / task.name
        )
        return
    whole = task.bundle if task.labels is None else task.bundle.with_name("unpacked")
    unpack_zip(source, whole)
    if source == _target(task):
        source.unlink()
    if task.labels is not None:
        split_bundle(find_bundle(whole), task.bundle, task.labels)
        shutil.rmtree(whole)  # the labels must not lie about


def _fetch(task: StageTask) -> Path:
    """The stored bundle as a file here.

    Raises ``PlatformError``: ``bundle-lost``, or ``storage-unavailable``.
    """
    url = urlsplit(task.url)
    if url.scheme == "file":
        return _find(Path(url2pathname(url.path)))
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
        raise _away(type(error).__name__) from error
    return target


def _find(source: Path) -> Path:
    try:
        source.stat()
    except FileNotFoundError:
        raise _lost() from None
    except OSError as error:
        raise _away(error.strerror) from error
    return source


def _away(why: str | None) -> PlatformError:
    return PlatformError(
        "storage-unavailable",
        f"The object store failed: {why}.",
        hint="It is tried again; if it lasts, see the service's log.",
    )


def _is_bundle(source: Path, name: str) -> bool:
    """Whether the file is a bundle's zip, or pretends to be one."""
    if zipfile.is_zipfile(source):
        return looks_like_bundle(list_names(source, RAW_LIMITS))
    return name.lower().endswith(".zip")


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
    return PlatformError("bundle-lost", "The stored bundle is gone.", hint="Upload it again.")


if __name__ == "__main__":
    run_program(StageTask, stage)
