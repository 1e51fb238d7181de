"""What a run was made of, so that it can be repeated and believed: ``manifest.json``.

Digests of the data, the solution and every result, the budget, the machine, what confined the
solution, and each library's version. No host's name, no path and nobody's name is in it.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from autodl.bootstrap import SEED
from autodl.bundle import sha256_file

SCHEMA = "autodl-run/1"
DISTRIBUTION = "autodl-self-service"
FROZEN, WEIGHTS, VERSION = "MANIFEST", "weights_manifest.json", "VERSION"
IGNORED = {"__pycache__"}

Json = dict[str, Any]


def describe_run(
    *,
    data: Json,
    solution: Path,
    weights: str | None,
    budget_seconds: float,
    outcome: Json,
    confinement: Mapping[str, str],
    files: Mapping[str, str],
) -> Json:
    """Return the manifest as plain values.

    ``data`` says what was learnt (``name``, ``sha256``), ``weights`` is what the operator said of
    them (``autodl.solve.Equipment``), ``outcome`` how it ended, ``files`` is the
    SHA-256 of each result by its path. ``seed`` is that of our intervals; a solution's own seed is
    part of its code, and so of its digest.
    """
    packages = list_packages()
    return {
        "schema": SCHEMA,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "data": data,
        "solution": describe_solution(solution),
        "weights": describe_weights(weights),
        "budget_seconds": budget_seconds,
        "seed": SEED,
        "outcome": outcome,
        "isolation": dict(confinement),
        "machine": describe_machine(),
        "versions": {
            DISTRIBUTION: packages.get(DISTRIBUTION),
            "python": platform.python_version(),
        },
        "libraries": {"sha256": digest_lines(packages), "packages": packages},
        "files": dict(sorted(files.items())),
    }


def describe_solution(folder: Path) -> Json:
    """Name a solution by its content: ``sha256`` of the list of its files' digests.

    ``frozen`` and ``weights`` are the digests of its MANIFEST and of its list of weights, None
    where it has none; ``version`` is what its file of that name says.
    """
    files = {
        path.relative_to(folder).as_posix(): sha256_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not IGNORED & set(path.parts)
    }
    return {
        "name": folder.name,
        "sha256": digest_lines(files),
        "frozen": files.get(FROZEN),
        "weights": files.get(WEIGHTS),
        "version": read_version(folder),
    }


def read_version(solution: Path) -> str | None:
    """What the solution calls itself for people: the first word of its VERSION, if it has one."""
    path = solution / VERSION
    words = path.read_text(encoding="utf-8").split() if path.is_file() else []
    return words[0] if words else None


def describe_weights(weights: str | None) -> Json:
    """Say where pretrained weights come from: ``packages`` (the solution names them), a ``folder``
    of the operator's (by the digest of its list, which has those of the files), or ``none``.
    """
    if weights in (None, "none"):
        return {"source": weights or "packages", "sha256": None}
    listed = Path(str(weights)) / "weights.json"
    return {"source": "folder", "sha256": sha256_file(listed) if listed.is_file() else None}


def describe_machine() -> Json:
    """Say what computed: system, processor, usable cores, bytes of memory, GPUs."""
    return {
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "memory_bytes": psutil.virtual_memory().total,
        "gpus": list_gpus(),
    }


def list_gpus() -> list[str]:
    """The models of NVIDIA GPUs that the driver shows."""
    found = []
    for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        model = re.search(r"^Model:\s*(.+)$", path.read_text(errors="replace"), re.MULTILINE)
        found.append(model.group(1) if model else "NVIDIA GPU")
    return found


def list_packages() -> dict[str, str]:
    """The version of every installed distribution by its name: what the lock came to here."""
    found = {d.name.lower(): d.version for d in importlib.metadata.distributions() if d.name}
    return dict(sorted(found.items()))


def digest_lines(values: Mapping[str, str]) -> str:
    """SHA-256 of the lines ``value  name``, sorted by name: what ``sha256sum`` would print."""
    lines = "".join(f"{value}  {name}\n" for name, value in sorted(values.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def digest_folder(folder: Path) -> dict[str, str]:
    """SHA-256 of every regular file below a folder by its path; links are passed over."""
    return {
        path.relative_to(folder).as_posix(): sha256_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor()
    model = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return model.group(1) if model else platform.processor()
