"""The part of a checking run that decodes the user's files: ``solve`` starts it confined.

``python -m service.worker.check BUNDLE OUTPUT SOURCE`` reads the one and writes into the other:
``report.json`` and ``examples.json``, and of raw data the ``bundle.zip`` that was made of them.
SOURCE says how, as JSON.
"""

from __future__ import annotations

import faulthandler
import json
import sys
from pathlib import Path

from service.executors.base import Source

BUNDLE_NAME, PROGRESS_NAME = "bundle.zip", "progress.txt"
FORMAT_BYTES = 4 << 30  # of a bundle that is made of raw data, and of each file on the way to it
OUT_OF_MEMORY = 3  # exit code: one thing in the data asked for more than there is


def main() -> None:
    """Write the report; bad data are in it, they are no failure."""
    faulthandler.enable()  # a decoder's crash leaves a trace in the log
    folder, output = map(Path, sys.argv[1:3])
    try:
        check_folder(folder, output, Source.model_validate_json(sys.argv[3]))
    except MemoryError:
        sys.exit(OUT_OF_MEMORY)


def check_folder(folder: Path, output: Path, source: Source) -> None:
    """Check the bundle in ``folder``, or the one that can be made of the raw data there.

    Raises ``MemoryError``.
    """
    from autodl.check import check  # loads NumPy, which who starts us does without
    from autodl.gallery import pick_examples
    from service.worker.format import Formatted

    raw = find_raw(folder)
    formatted = None if raw is None else Formatted(raw, output, source)
    report = None if formatted is None else formatted.refusal
    if report is None:
        root = folder if formatted is None else formatted.root
        report = check(root)
        examples = [example.to_json() for example in pick_examples(root, report)]
        (output / "examples.json").write_text(json.dumps(examples), encoding="utf-8")
        if formatted is not None:
            report = formatted.pack(report)
    (output / "report.json").write_text(report.to_json(), encoding="utf-8")


def find_raw(folder: Path) -> Path | None:
    """The raw data in a staged folder: they are one file, which no bundle is."""
    entries = list(folder.iterdir())
    return entries[0] if len(entries) == 1 and entries[0].is_file() else None


if __name__ == "__main__":
    main()
