"""What the frozen solution is made of: the digest of every file, in ``sha256sum``'s own format.

    python -m winner_solution.manifest          verify the files against MANIFEST; 1 if they differ
    python -m winner_solution.manifest --write  freeze the files as they are

The digest of MANIFEST itself names the solution; VERSION, one of its files, is for people, and is
raised with each change that a user can notice. The weights are named in ``weights_manifest.json``
with their own digests, and that file is one of these.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
NAME = "MANIFEST"
_PARTS = ("*.py", "*/*.py", "VERSION", "weights_manifest.json", "golden.json")


def digests(folder: Path = FOLDER) -> dict[str, str]:
    """SHA-256 of each file that decides what the solution does, by its path within ``folder``."""
    files = sorted(path for pattern in _PARTS for path in folder.glob(pattern))
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def write(folder: Path = FOLDER) -> None:
    """Write MANIFEST for the files as they are."""
    lines = [f"{digest}  {name}\n" for name, digest in digests(folder).items()]
    (folder / NAME).write_text("".join(lines), encoding="utf-8", newline="\n")


def differences(folder: Path = FOLDER) -> list[str]:
    """What differs from MANIFEST, a line each; empty when nothing does."""
    path = folder / NAME
    if not path.is_file():
        return [f"{NAME} is missing: this solution is not frozen"]
    lines = (line.split("  ", 1) for line in path.read_text(encoding="utf-8").splitlines())
    frozen = {name: digest for digest, name in lines}
    found = digests(folder)
    changes = {name: "added" for name in found.keys() - frozen.keys()}
    changes |= {name: "missing" for name in frozen.keys() - found.keys()}
    both = frozen.keys() & found.keys()
    changes |= {name: "changed" for name in both if frozen[name] != found[name]}
    return [f"{name}: {change}" for name, change in sorted(changes.items())]


def main(arguments: list[str]) -> int:
    """The command; see the top of this file."""
    if arguments == ["--write"]:
        write()
    found = differences()
    print("\n".join(found) or "as frozen")  # noqa: T201 - this is its output
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
