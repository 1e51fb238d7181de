"""The documents say what the code does: codes, commands, rooms and paths."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("autodl", "formatter", "service", "client", "cli")
ERRORS = {
    "AutoDLError",
    "BundleError",
    "SolutionError",
    "PlatformError",
    "UsageError",
    "LimitError",
}
ERRORS |= {"Finding"}
CODE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)+")


def raised_codes() -> set[str]:
    """Every code given as the first argument where an error or a finding is made."""
    codes: set[str] = set()
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and node.args:
                    name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                    first = node.args[0]
                    if (
                        name in ERRORS
                        and isinstance(first, ast.Constant)
                        and isinstance(first.value, str)
                    ):
                        codes.add(first.value)
    return codes


def documented_codes() -> set[str]:
    text = (ROOT / "docs/errors.md").read_text(encoding="utf-8")
    return set(re.findall(r"^### `?([a-z0-9-]+)`?$", text, re.MULTILINE))


def test_every_code_is_documented() -> None:
    assert raised_codes() - documented_codes() == set()


def test_every_code_is_kebab_case() -> None:
    assert {c for c in raised_codes() if not CODE.fullmatch(c)} == set()


def test_every_documented_code_is_in_the_source() -> None:
    text = "\n".join(
        p.read_text(encoding="utf-8") for room in ROOMS for p in (ROOT / room).rglob("*.py")
    )
    assert {c for c in documented_codes() if f'"{c}"' not in text} == set()


def test_architecture_names_only_paths_that_exist() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    paths = set(
        re.findall(
            r"`((?:autodl|formatter|service|client|cli|winner_solution|tests|docs|demo|benchmarks)/[\w./]*)`",
            text,
        )
    )
    assert paths
    assert {p for p in paths if not (ROOT / p).exists()} == set()


def test_the_readme_names_only_make_targets_that_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`?make ([a-z-]+)", readme)) <= targets


def test_decisions_are_numbered_and_short() -> None:
    decisions = sorted((ROOT / "docs/decisions").glob("*.md"))
    numbers = [int(p.name[:4]) for p in decisions]
    assert numbers == list(range(1, len(decisions) + 1))
    assert {
        p.name for p in decisions if len(p.read_text(encoding="utf-8").splitlines()) > 60
    } == set()
