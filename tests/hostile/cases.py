"""How a case is written down: a function that makes a dataset, and what must be said of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Make = Callable[[Path], object]


@dataclass(frozen=True)
class Broken:
    """A broken dataset, and the finding that must name its fault and its place."""

    make: Make
    code: str
    file: str | None = None
    record: int | None = None
    line: int | None = None


@dataclass(frozen=True)
class Odd:
    """A good dataset that looks odd, and the only warnings that it may get."""

    make: Make
    warnings: frozenset[str] = frozenset()


BROKEN: list[Broken] = []
ODD: list[Odd] = []


def broken(
    code: str, file: str | None = None, record: int | None = None, line: int | None = None
) -> Callable[[Make], Make]:
    """Register a broken dataset."""

    def register(make: Make) -> Make:
        BROKEN.append(Broken(make, code, file, record, line))
        return make

    return register


def odd(*warnings: str) -> Callable[[Make], Make]:
    """Register an odd but good dataset."""

    def register(make: Make) -> Make:
        ODD.append(Odd(make, frozenset(warnings)))
        return make

    return register
