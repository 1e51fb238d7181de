"""What is installed and locked is what the project says."""

import re
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def pyproject() -> dict[str, dict[str, object]]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def locked(name: str) -> dict[str, set[str]]:
    text = (ROOT / name).read_text(encoding="utf-8")
    found: dict[str, set[str]] = {}
    for package, version in re.findall(
        r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^ ;\\]+)", text, re.M
    ):
        found.setdefault(package, set()).add(version)
    return found


def test_every_dependency_states_its_reason() -> None:
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    start = lines.index("dependencies = [")
    end = next(i for i in range(start, len(lines)) if lines[i] == "]")
    assert [line for line in lines[start + 1 : end] if "#" not in line] == []


def test_every_locked_package_has_a_digest_and_no_address() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert "://" not in text
        assert "--index-url" not in text
        blocks = re.split(r"\n(?=[A-Za-z0-9])", text.strip())
        assert [b.split()[0] for b in blocks if "--hash=sha256:" not in b] == []


def test_the_development_lock_contains_the_runtime_lock() -> None:
    development = locked("requirements-dev.lock")
    for package, versions in locked("requirements.lock").items():
        assert versions <= development[package]


def test_no_lock_brings_pytorch() -> None:
    assert "torch" not in locked("requirements-dev.lock")


def test_the_command_is_installed() -> None:
    (command,) = (e for e in entry_points(group="console_scripts") if e.name == "autodl")
    assert command.value == "cli.main:main"
