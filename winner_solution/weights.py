"""Find pretrained weight files among installed packages; admit only known bytes.

`weights_manifest.json` names every file with its package, version and SHA-256. A package's code is
never imported: its list of files says where the weights lie. Whatever is missing or differs is
refused with the reason, and the solution goes on without.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from .mounted import NONE, VARIABLE, find_mounted, list_mounted, require_bytes, turned_off
from .mounted import WeightsError as WeightsError

MANIFEST = Path(__file__).with_name("weights_manifest.json")


@dataclass(frozen=True)
class WeightFile:
    """One entry of the manifest: where the file comes from and exactly which bytes it must be."""

    name: str
    use: str
    distribution: str
    version: str
    file: str
    bytes: int
    sha256: str
    licence: str
    trained_on: str


@dataclass(frozen=True)
class WeightStatus:
    """Whether a file of the manifest can be used here; `reason` is empty when it can."""

    weights: WeightFile
    reason: str

    @property
    def present(self) -> bool:
        return not self.reason


@cache
def manifest() -> dict[str, WeightFile]:
    """Every weight file that the solution knows, by name."""
    entries = json.loads(MANIFEST.read_text(encoding="utf-8"))
    return {entry["name"]: WeightFile(**entry) for entry in entries}


def get(name: str) -> Path:
    """The verified file of an installed package, or of the operator's folder (``mounted.py``).

    Raises WeightsError when it is absent, of another version, or differs in a single byte, and
    when the manifest does not name it; with an empty manifest all is learned from scratch.
    """
    weights = manifest().get(name)
    if weights is None:
        raise WeightsError(f"{MANIFEST.name} names no {name}")
    if turned_off():
        raise WeightsError(f"{VARIABLE} says {NONE}")
    mounted = find_mounted(name)
    path = _packaged(weights) if mounted is None else mounted.open()
    require_bytes(path, weights.bytes, weights.sha256)
    return path


def status() -> list[WeightStatus]:
    """What is here and what is missing, file by file, with the reason."""
    found = []
    for weights in manifest().values():
        try:
            get(weights.name)
            reason = ""
        except WeightsError as error:
            reason = str(error)
        found.append(WeightStatus(weights, reason))
    return found


def _packaged(weights: WeightFile) -> Path:
    wanted = f"{weights.distribution}=={weights.version}"
    try:
        package = distribution(weights.distribution)
    except PackageNotFoundError:
        raise WeightsError(f"{wanted} is not installed") from None
    if package.version != weights.version:
        raise WeightsError(f"{wanted} is needed, {package.version} is installed")
    for file in package.files or ():
        if file.as_posix() == weights.file:
            return Path(str(package.locate_file(file)))
    raise WeightsError(f"{wanted} does not list {weights.file}")


def mounted_status() -> list[tuple[str, str]]:
    """Name and reason, empty when it can be used, of each network in the operator's folder."""
    found = []
    for entry in list_mounted():
        try:
            entry.open()
            found.append((entry.name, ""))
        except WeightsError as error:
            found.append((entry.name, str(error)))
    return found


if __name__ == "__main__":
    for found in status():
        print(f"{found.weights.name:18} {found.weights.use:32} {found.reason or 'here'}")  # noqa: T201
    for name, reason in mounted_status():
        print(f"{name:18} {VARIABLE:32} {reason or 'here'}")  # noqa: T201
