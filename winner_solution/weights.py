"""Find pretrained weight files among installed packages; admit only known bytes.

`weights_manifest.json` names every file with its package, version and SHA-256. A package's code is
never imported: its list of files says where the weights lie. Whatever is missing or differs is
refused with the reason, and the solution goes on without.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

MANIFEST = Path(__file__).with_name("weights_manifest.json")


class WeightsError(Exception):
    """A weight file, or a library that reads it, cannot be had; the message says why."""


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
    """The verified file of an installed package.

    Raises WeightsError when it is absent, of another version, or differs in a single byte, and
    when the manifest does not name it; with an empty manifest all is learned from scratch.
    """
    weights = manifest().get(name)
    if weights is None:
        raise WeightsError(f"{MANIFEST.name} names no {name}")
    path = _packaged(weights)
    _verify(path, weights)
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


def _verify(path: Path, weights: WeightFile) -> None:
    try:
        with path.open("rb") as stream:
            same = os.fstat(stream.fileno()).st_size == weights.bytes
            same = same and hashlib.file_digest(stream, "sha256").hexdigest() == weights.sha256
    except OSError as error:
        raise WeightsError(f"{path.name} cannot be read: {error.strerror}") from error
    if not same:
        raise WeightsError(f"{path.name} differs from the manifest in size or SHA-256")


if __name__ == "__main__":
    for found in status():
        print(f"{found.weights.name:18} {found.weights.use:32} {found.reason or 'here'}")  # noqa: T201
