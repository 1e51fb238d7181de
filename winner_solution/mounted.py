"""The operator's folder of pretrained weights: ``AUTODL_WEIGHTS=DIR``, or ``none`` for no weights.

The folder has a ``weights.json``, a list of objects:

    {"name": "efficientnetv2-b0", "file": "efficientnetv2-b0_notop.h5", "bytes": 24274472,
     "sha256": "...", "network": "EfficientNetV2B0", "side": 192, "licence": "Apache-2.0"}

``network`` is a model of ``keras.applications`` without its top, ``side`` the pixels of its square
input. An entry without ``network`` gives a file that ``weights_manifest.json`` names, in place of
the package; its digest must be the one that is frozen there.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAME = "weights.json"
VARIABLE, NONE = "AUTODL_WEIGHTS", "none"


class WeightsError(Exception):
    """A weight file, or a library that reads it, cannot be had; the message says why."""


@dataclass(frozen=True)
class MountedFile:
    """One entry of the operator's list."""

    name: str
    file: str
    bytes: int
    sha256: str
    network: str = ""
    side: int = 224
    licence: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)  # of the network's constructor

    def open(self) -> Path:
        """The file, its bytes verified. Raises WeightsError."""
        path = (_folder() or Path()) / self.file
        if Path(self.file).name != self.file:
            raise WeightsError(f"{self.file!r} is no plain file name")
        require_bytes(path, self.bytes, self.sha256)
        return path


def turned_off() -> bool:
    """Whether the operator wants no pretrained weights at all."""
    return _value() == NONE


def list_mounted() -> list[MountedFile]:
    """What the operator's list names; empty without one. Raises WeightsError for a bad list."""
    folder = _folder()
    if folder is None:
        return []
    try:
        entries = json.loads((folder / NAME).read_text(encoding="utf-8"))
        return [MountedFile(**entry) for entry in entries]
    except (OSError, ValueError, TypeError) as error:
        raise WeightsError(f"{VARIABLE} has no sound {NAME}: {error}") from error


def find_mounted(name: str) -> MountedFile | None:
    """The entry that stands in for a packaged file; None without one."""
    entries = (entry for entry in list_mounted() if entry.name == name and not entry.network)
    return next(entries, None)


def require_bytes(path: Path, size: int, sha256: str) -> None:
    """Raise WeightsError unless the file has exactly these bytes."""
    try:
        with path.open("rb") as stream:
            same = os.fstat(stream.fileno()).st_size == size
            same = same and hashlib.file_digest(stream, "sha256").hexdigest() == sha256
    except OSError as error:
        raise WeightsError(f"{path.name} cannot be read: {error.strerror}") from error
    if not same:
        raise WeightsError(f"{path.name} differs from the manifest in size or SHA-256")


def _folder() -> Path | None:
    value = _value()
    return None if value in ("", NONE) else Path(value)


def _value() -> str:
    # A solution's only word from its operator: the platform passes this variable on.
    return os.environ.get(VARIABLE, "")  # noqa: TID251
