"""Is a solution what was frozen, and does it still work here? Code, weights and golden datasets.

Reads what a frozen solution brings with it: ``MANIFEST`` (lines of ``sha256sum``),
``weights_manifest.json`` (files of installed packages) and ``golden.json`` (the NAUC it reached on
each of ``autodl.golden``, without pretrained weights, and how far a machine may differ).
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Literal

from autodl.bundle import sha256_file
from autodl.errors import UsageError
from autodl.golden import KINDS, write_golden
from autodl.manifest import read_version
from autodl.run import run
from autodl.solve import NO_WEIGHTS, Equipment

FROZEN, WEIGHTS, GOLDEN = "MANIFEST", "weights_manifest.json", "golden.json"
GOLDEN_BUDGET_SECONDS = 30.0
TOLERANCE = 0.05
State = Literal["good", "absent", "bad"]


@dataclass(frozen=True)
class Check:
    """One thing looked at. ``absent`` is no fault: the solution works without."""

    part: Literal["code", "weights", "golden"]
    name: str
    state: State
    message: str


def verify(solution: Path, golden: bool = True) -> Iterator[Check]:
    """Look at everything, one check at a time; ``golden`` runs take about ten seconds each.

    Raises UsageError (``solution-not-frozen``) for a solution without MANIFEST.
    """
    if not (solution / FROZEN).is_file():
        raise UsageError(
            "solution-not-frozen",
            f"{solution.name} has no {FROZEN}, so there is nothing to verify it by.",
            hint="Freeze it: the lines that sha256sum prints for its files.",
        )
    yield from check_code(solution)
    yield from check_weights(solution)
    if golden:
        yield from check_golden(solution)


def check_code(solution: Path) -> Iterator[Check]:
    """One check a file that differs from MANIFEST, or one for all that do not."""
    lines = (solution / FROZEN).read_text(encoding="utf-8").splitlines()
    frozen = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    code = {p.relative_to(solution).as_posix() for p in solution.rglob("*.py")}
    faults = [Check("code", name, "bad", "not in MANIFEST") for name in code - frozen.keys()]
    for name, digest in frozen.items():
        path = solution / name
        if not path.is_file():
            faults.append(Check("code", name, "bad", "missing"))
        elif sha256_file(path) != digest:
            faults.append(Check("code", name, "bad", "changed since it was frozen"))
    yield from sorted(faults, key=lambda check: check.name)
    if not faults:
        digest = sha256_file(solution / FROZEN)
        version = read_version(solution) or "without a version"
        yield Check("code", f"{len(frozen)} files", "good", f"as frozen: {version}, {digest[:16]}")


def check_weights(solution: Path) -> Iterator[Check]:
    """One check a file of pretrained weights."""
    path = solution / WEIGHTS
    entries = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    for entry in entries:
        state, message = _look_at(entry)
        yield Check("weights", entry["name"], state, message)


def _look_at(entry: dict[str, Any]) -> tuple[State, str]:
    wanted = f"{entry['distribution']}=={entry['version']}"
    try:
        package = distribution(entry["distribution"])
    except PackageNotFoundError:
        return "absent", f"{wanted} is not installed"
    if package.version != entry["version"]:
        return "absent", f"{wanted} is needed, {package.version} is installed"
    path = Path(str(package.locate_file(entry["file"])))
    if not path.is_file():
        return "bad", f"{wanted} has no {entry['file']}"
    if path.stat().st_size != entry["bytes"] or sha256_file(path) != entry["sha256"]:
        return "bad", "its bytes are not those that were frozen"
    return "good", f"{wanted}, {entry['bytes'] / 1e6:.1f} MB"


def check_golden(solution: Path) -> Iterator[Check]:
    """Let the solution learn each golden dataset, and compare."""
    path = solution / GOLDEN
    expected = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    for kind in KINDS:
        nauc, why = run_golden(solution, kind)
        if nauc is None:
            yield Check("golden", kind, "bad", why)
        elif kind not in expected:
            yield Check("golden", kind, "absent", f"NAUC {nauc:.4f}, nothing to compare it with")
        else:
            wanted = expected[kind]["nauc"]
            least = wanted - expected[kind].get("tolerance", TOLERANCE)
            state: State = "good" if nauc >= least else "bad"
            text = f"NAUC {nauc:.4f}, expected {wanted:.4f}, at least {least:.4f}"
            yield Check("golden", kind, state, text)


def record_golden(solution: Path) -> None:
    """Write ``golden.json``: what the solution reaches here is expected everywhere."""
    found = {kind: run_golden(solution, kind)[0] for kind in KINDS}
    expected = {
        kind: {"nauc": round(nauc, 4), "tolerance": TOLERANCE}
        for kind, nauc in found.items()
        if nauc is not None
    }
    (solution / GOLDEN).write_text(json.dumps(expected, indent=1) + "\n", encoding="utf-8")


def run_golden(solution: Path, kind: str) -> tuple[float | None, str]:
    """NAUC of the solution on a golden dataset without pretrained weights, or why there is none."""
    with tempfile.TemporaryDirectory(prefix="golden-") as folder:
        root = Path(folder) / "bundle"
        write_golden(kind, root)
        result = run(root, solution, GOLDEN_BUDGET_SECONDS, equipment=Equipment(weights=NO_WEIGHTS))
    if not result.curve.points:
        return None, str(result.error)
    return result.curve.points[-1].nauc, ""
