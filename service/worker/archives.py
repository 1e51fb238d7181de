"""What a run leaves as one file each: everything in the contest's layout, and the model."""

from __future__ import annotations

import base64
import os
import shutil
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from autodl.errors import SolutionError
from autodl.untrusted import open_plain

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest a zip can hold: the same content is the same bytes
MODEL_BYTES, MODEL_FILES = 4 * 1024**3, 10_000
CHUNK_BYTES = 1024 * 1024


def write_results(target: Path, files: Iterable[tuple[str, Path]], name: str) -> None:
    """Zip the ``(name in the archive, file)`` as the contest laid them out (formats 3.5 and 4.8).

    A page of the pictures among them is added: ``detailed_results.html``.
    """
    page = f"<html><head><title>{name}</title></head><body><pre>\n"
    with zipfile.ZipFile(target, "w") as archive:
        for inside, path in files:
            with path.open("rb") as file:
                _add(archive, inside, file)
            if inside.endswith(".png"):
                picture = base64.b64encode(path.read_bytes()).decode()
                page += f'<img src="data:image/png;base64,{picture}"/><br>\n'
        info = zipfile.ZipInfo("detailed_results.html", EPOCH)
        archive.writestr(info, page + "</pre></body></html>\n", zipfile.ZIP_DEFLATED)


def write_model(folder: Path, within: Path, target: Path) -> bool:
    """Zip the regular files below ``folder``, which the solution wrote; False if there are none.

    Links are passed over. Raises ``SolutionError`` (``model-too-large``), and leaves nothing then.
    """
    left, files = MODEL_BYTES, 0
    try:
        with zipfile.ZipFile(target, "w") as archive:
            for path in _walk(folder):
                try:
                    source = open_plain(path, within=within)
                except OSError:
                    continue
                with source:
                    left -= os.fstat(source.fileno()).st_size
                    files += 1
                    if left < 0 or files > MODEL_FILES:
                        raise SolutionError(
                            "model-too-large",
                            f"The model has more than {MODEL_FILES:,} files"
                            f" or {MODEL_BYTES >> 30} GiB.",
                            hint="It is not kept; the predictions are.",
                        )
                    inside = path.relative_to(folder).as_posix()
                    _add(archive, inside.encode("utf-8", "replace").decode(), source)
    except SolutionError:
        target.unlink()
        raise
    return files > 0


def _walk(folder: Path) -> Iterable[Path]:
    for place, folders, names in os.walk(folder, followlinks=False):
        folders.sort()
        yield from (Path(place, name) for name in sorted(names))


def _add(archive: zipfile.ZipFile, inside: str, file: BinaryIO) -> None:
    info = zipfile.ZipInfo(inside, EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    with archive.open(info, "w", force_zip64=True) as entry:
        shutil.copyfileobj(file, entry, CHUNK_BYTES)
