"""The part of a checking run that decodes the user's files: ``solve`` starts it confined.

``python -m service.worker.check BUNDLE REPORT`` reads the one and writes the other.
"""

from __future__ import annotations

import sys
from pathlib import Path

OUT_OF_MEMORY = 3  # exit code: one thing in the data asked for more than there is


def main() -> None:
    """Write the report; bad data are in it, they are no failure."""
    bundle, report = map(Path, sys.argv[1:])
    from autodl.check import check  # loads NumPy, which who starts us does without

    try:
        text = check(bundle).to_json()
    except MemoryError:
        sys.exit(OUT_OF_MEMORY)
    report.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
