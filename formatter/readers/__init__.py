"""One reader a kind of source: ``detect(source)``, and a class that fulfils ``Source``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from autodl.errors import UsageError
from formatter.readers import images, tabular
from formatter.source import Options, Source

READERS: dict[str, tuple[Callable[[Path], bool], Callable[[Path, Options], Source]]] = {
    "image": (images.detect, images.ImageSource),
    "tabular": (tabular.detect, tabular.TableSource),
}


def open_source(source: Path, options: Options) -> Source:
    """Find out what ``source`` is and index it.

    Raises UsageError (``source-missing``, ``source-unknown``), and what the reader raises.
    """
    if not source.exists():
        raise UsageError("source-missing", f"There is no file or folder {source}.")
    for detect, reader in READERS.values():
        if detect(source):
            return reader(source, options)
    raise UsageError(
        "source-unknown",
        f"{source} is no kind of source that is known.",
        hint="Known are: a folder of images with labels.csv (FileName,Labels), a CSV table with a"
        " header, and either of them split into train and test.",
    )
