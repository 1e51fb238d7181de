"""The files of a source that may be split already: train, test and unlabelled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from autodl.errors import BundleError
from formatter.source import Options, Subset

Find = Callable[[Path, str], Path | None]


def find_parts(source: Path, options: Options, find: Find) -> Iterator[tuple[Subset | None, Path]]:
    """Each file with its subset, None where it is to be split.

    ``source`` is a file, or a folder in which ``find(folder, stem)`` finds train and test. An
    unlabelled file may be named by the options or lie in the folder or its folder ``unlabelled``.
    Raises BundleError (``source-file-missing``).
    """
    unlabelled = options.unlabelled
    if source.is_file():
        yield ("train" if options.test_part else None), source
        if options.test_part is not None:
            yield "test", options.test_part
    else:
        for subset in ("train", "test"):
            path = find(source, subset)
            if path is None:
                raise BundleError(
                    "source-file-missing",
                    f"There is no file called {subset}.",
                    hint="Bring train and test, or format one file and let it be split.",
                    file=source.name,
                )
            yield ("train" if subset == "train" else "test"), path
        if unlabelled is None:
            found = (find(p, "unlabelled") for p in (source, source / "unlabelled"))
            unlabelled = next((path for path in found if path is not None), None)
    if unlabelled is not None and unlabelled.is_file():
        yield "unlabelled", unlabelled
