"""The part of a checking run that decodes the user's files: ``solve`` starts it confined.

``python -m service.worker.check BUNDLE REPORT`` reads the one and writes the other.
"""

from __future__ import annotations

import sys
from pathlib import Path

from autodl.check import check


def main() -> None:
    """Write the report; bad data are in it, they are no failure."""
    bundle, report = map(Path, sys.argv[1:])
    report.write_text(check(bundle).to_json(), encoding="utf-8")


if __name__ == "__main__":
    main()
