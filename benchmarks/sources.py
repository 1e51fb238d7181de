"""Where benchmark datasets come from: folders, and public sets that come with our dependencies.

A name is a bundle's folder; a practice folder (raw files with a meta.json); ``sklearn:NAME`` with
NAME in digits, wine, breast_cancer, iris; ``aeon:NAME``, a series dataset that the package aeon
brings with it (GunPoint, ItalyPowerDemand, ArrowHead, BasicMotions, ...); or ``made:KIND``, see
``benchmarks/made.py``. All become bundles, once, in a work folder.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

FORMAT_TIMEOUT_SECONDS = 600
PUBLIC = ("sklearn", "aeon", "made")


class SourceError(Exception):
    """A dataset cannot be had; the message says why."""


def bundle_of(name: str, work: Path, peers_python: Path) -> Path:
    """The dataset of that name as a bundle. Raises SourceError."""
    library, _, public = name.partition(":")
    if library in PUBLIC and public:
        source = work / "raw" / f"{library}_{public}"
        if not source.is_dir():
            python = str(peers_python) if library == "aeon" else sys.executable
            _call([python, __file__, library, public, str(source)])
        label = ["--label", "label"] if (source / "table.csv").is_file() else []
        return _format(source, work / "bundles" / source.name, label)
    folder = Path(name).resolve()
    meta = folder / "meta.json"
    if not meta.is_file() or not (folder / "README.md").is_file():
        return folder
    columns = json.loads(meta.read_text(encoding="utf-8")).get("label_columns")
    return _format(folder, work / "bundles" / folder.name, _labels(columns))


def _labels(columns: list[str] | None) -> list[str]:
    return ["--label", ",".join(columns)] if columns else []


def _format(source: Path, target: Path, options: list[str]) -> Path:
    if not target.is_dir():
        raw = source / "table.csv" if (source / "table.csv").is_file() else source
        command = [sys.executable, "-m", "cli.main", "format", str(raw), str(target)]
        _call([*command, *options])
    return target


def _call(command: list[str]) -> None:
    try:
        subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=FORMAT_TIMEOUT_SECONDS
        )
    except FileNotFoundError as error:
        raise SourceError(f"{command[0]} is missing: make peers") from error
    except subprocess.CalledProcessError as error:
        raise SourceError((error.stderr.strip().splitlines() or ["no message"])[-1]) from error


def write_sklearn(name: str, folder: Path) -> None:
    """Write one of scikit-learn's tables as CSV, its digits as images."""
    if name == "digits":
        from demo.digits import write_digits

        write_digits(folder)
        return
    import sklearn.datasets

    from demo.samples import write_csv

    data = getattr(sklearn.datasets, f"load_{name}")()
    folder.mkdir(parents=True)
    targets = (data.target_names[target] for target in data.target)
    rows = ([*row, target] for row, target in zip(data.data, targets, strict=True))
    write_csv(folder / "table.csv", [*data.feature_names, "label"], rows)


def write_aeon(name: str, folder: Path) -> None:
    """Take a dataset's own train and test file out of the package."""
    import aeon.datasets

    source = Path(aeon.datasets.__file__).parent / "data" / name
    folder.mkdir(parents=True)
    for part in ("TRAIN", "TEST"):
        file = f"{name}_{part}.ts"
        (folder / file).write_bytes((source / file).read_bytes())


def write_made(kind: str, folder: Path) -> None:
    """Make one of our own datasets of size."""
    from benchmarks.made import FOLDERS, WRITERS

    if kind not in FOLDERS:
        folder.mkdir(parents=True)
    WRITERS[kind](folder if kind in FOLDERS else folder / "table.csv")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    _, library, wanted, where = sys.argv
    write = {"sklearn": write_sklearn, "aeon": write_aeon, "made": write_made}[library]
    write(wanted, Path(where))
