"""The solutions that come with this project, by name; nothing of them is imported."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from autodl.errors import UsageError

WINNER = "winner"
BUNDLED = {  # name: package, and the folder in it
    WINNER: ("winner_solution", ""),
    "constant": ("baselines", "constant"),
    "linear": ("baselines", "linear"),
    "resnet50v2": ("baselines", "resnet50v2"),
    "pretrained": ("baselines", "pretrained"),
    "finetune": ("baselines", "finetune"),
}


def find_bundled(name: str) -> Path | None:
    """The folder of the solution of that name; None where it is not installed or not ours."""
    package, folder = BUNDLED.get(name, ("", ""))
    spec = find_spec(package) if package else None
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]) / folder if places else None


def is_bundled(solution: Path) -> bool:
    """Whether that folder is one of ours, which are known and frozen."""
    return any(
        folder is not None and folder.resolve() == solution.resolve()
        for folder in map(find_bundled, BUNDLED)
    )


def packages_of(solution: Path) -> list[Path]:
    """The folders that a solution is imported from: its own, or the outermost package around it.

    Solutions of ours may use each other's code; the packages lie in the order of BUNDLED.
    """
    root = solution.resolve()
    while (root / "__init__.py").is_file() and (root.parent / "__init__.py").is_file():
        root = root.parent
    specs = [find_spec(package) for package in {package: 0 for package, _ in BUNDLED.values()}]
    places = [place for spec in specs if spec for place in spec.submodule_search_locations or ()]
    ours = [Path(place).resolve() for place in places]
    return ours if root in ours else [root]


def resolve(given: str | None) -> Path:
    """The folder of a solution given by its name or its path; the winner's for None.

    Raises UsageError (``solution-unknown``).
    """
    if (folder := find_bundled(given or WINNER)) is not None:
        return folder
    if given is not None and Path(given).is_dir():
        return Path(given)
    raise UsageError(
        "solution-unknown",
        f"There is no solution {given or WINNER!r}.",
        hint=f"Give a folder with model.py, or one of {', '.join(BUNDLED)}.",
    )
