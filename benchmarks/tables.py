"""What a run of a solution on a dataset gave, and Markdown tables of many."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

Key = TypeVar("Key")

MARKS = (3, 10, 30, 60, 120, 300, 600)  # seconds at which the curve is read
SKIPPED = "not its kind"
OURS = "winner"


@dataclass
class Result:
    """One solution on one dataset; scores are None where it gave none."""

    dataset: str
    solution: str
    weights: bool
    budget_seconds: float
    seed: int = 0  # 0 is the frozen one
    status: str = "failed"
    message: str = ""
    alc: float | None = None
    nauc: float | None = None
    accuracy: float | None = None
    first_prediction_seconds: float | None = None
    nauc_at: dict[str, float | None] = field(default_factory=dict)
    points: list[tuple[float, float]] = field(default_factory=list)  # (seconds, NAUC)
    largest_fall: float = 0.0
    peak_rss_bytes: int = 0
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    load: float = 0.0  # of the machine, when the run began

    @property
    def key(self) -> tuple[str, str, bool, float, int]:
        """What makes it the same run."""
        return self.dataset, self.solution, self.weights, self.budget_seconds, self.seed


def table(results: list[Result], budget: float) -> str:
    """A Markdown table of one budget's runs, one line each."""
    marks = [mark for mark in MARKS if mark < budget]
    head = ["dataset", "solution", "weights", "first s", *(f"{mark} s" for mark in marks)]
    head += ["end", "ALC", "accuracy", "fall", "peak GB", "CPU s", "status"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for r in sorted(results, key=lambda r: (r.dataset, -(r.alc or 0))):
        cells = [r.dataset, r.solution, "yes" if r.weights else "no"]
        cells.append(_number(r.first_prediction_seconds, 1))
        cells += [_number(r.nauc_at.get(str(mark)), 3) for mark in marks]
        cells += [_number(x, 3) for x in (r.nauc, r.alc, r.accuracy, r.largest_fall)]
        cells += [_number(r.peak_rss_bytes / 1e9, 2), _number(r.cpu_seconds, 0)]
        said = f": {r.message}" if r.message and r.status != SKIPPED else ""
        cells.append(r.status + said + (f" (seed {r.seed})" if r.seed else ""))
        lines.append("| " + " | ".join(cells).replace("\n", " ") + " |")
    return "\n".join(lines) + "\n"


def summary(results: list[Result]) -> str:
    """A Markdown table of the solutions: mean ALC, mean rank and failures on what they take."""
    ranks = defaultdict(list)
    for runs in _grouped(_averaged(results), lambda r: r.dataset).values():
        for r in runs:
            better = sum((other.alc or 0) > (r.alc or 0) for other in runs)
            equal = sum((other.alc or 0) == (r.alc or 0) for other in runs)
            ranks[r.solution, r.weights].append((1 + better + (equal - 1) / 2, r))
    lines = [
        "| solution | weights | datasets | mean ALC | mean rank | failures |",
        "|" + "---|" * 6,
    ]
    means = {who: sum(rank for rank, _ in found) / len(found) for who, found in ranks.items()}
    for (name, weights), mean in sorted(means.items(), key=lambda item: item[1]):
        found = [r for _, r in ranks[name, weights]]
        alc = sum(r.alc or 0 for r in found) / len(found)
        failures = sum(r.status != "succeeded" for r in found)
        cells = [name, "yes" if weights else "no", str(len(found)), f"{alc:.3f}"]
        lines.append("| " + " | ".join([*cells, f"{mean:.2f}", str(failures)]) + " |")
    return "\n".join(lines) + "\n"


def verdicts(results: list[Result]) -> str:
    """A Markdown table of the datasets: our ALC beside the best of all others that took it.

    Ours is the mean over seeds, with and without weights. Empty where there is nobody to compare.
    """
    lines = []
    for dataset, runs in sorted(_grouped(results, lambda r: r.dataset).items()):
        rivals = [r for r in runs if r.solution != OURS and r.alc is not None]
        ours = [r for r in runs if r.solution == OURS and r.alc is not None]
        if not rivals or not ours:
            continue
        best = max(rivals, key=lambda r: r.alc or 0)
        for weights, found in sorted(_grouped(ours, lambda r: r.weights).items(), reverse=True):
            mean = statistics.fmean(r.alc or 0 for r in found)
            ahead = mean - (best.alc or 0)
            cells = [dataset, "yes" if weights else "no", f"{mean:.3f}", best.solution]
            cells += [f"{best.alc:.3f}", f"{ahead:+.3f}", "yes" if ahead > 0 else "**no**"]
            lines.append("| " + " | ".join(cells) + " |")
    if not lines:
        return ""
    head = "| dataset | weights | our ALC | best other | its ALC | ahead by | above every other |"
    return "\n".join([head, "|" + "---|" * 7, *lines]) + "\n"


def noise(results: list[Result]) -> str:
    """A Markdown table of what was run with several seeds: how far the runs differ."""
    lines = []
    groups = _grouped(results, lambda r: (r.dataset, r.solution, r.weights))
    for (dataset, solution, weights), runs in sorted(groups.items()):
        if len(runs) < 2:
            continue
        cells = [dataset, solution, "yes" if weights else "no", str(len(runs))]
        for values in ([r.alc or 0 for r in runs], [r.nauc or 0 for r in runs]):
            cells += [f"{statistics.fmean(values):.3f}", f"{statistics.stdev(values):.3f}"]
            cells.append(f"{max(values) - min(values):.3f}")
        lines.append("| " + " | ".join(cells) + " |")
    if not lines:
        return ""
    head = ["dataset", "solution", "weights", "seeds", "ALC", "deviation", "range"]
    head += ["end", "deviation", "range"]
    return "\n".join(["| " + " | ".join(head) + " |", "|" + "---|" * 10, *lines]) + "\n"


def _averaged(results: list[Result]) -> list[Result]:
    """One for all seeds of the same run, with their mean ALC; those that were skipped left out."""
    taken = [result for result in results if result.status != SKIPPED]
    means = []
    for runs in _grouped(taken, lambda r: (r.dataset, r.solution, r.weights)).values():
        worst = min(runs, key=lambda r: r.status == "succeeded")
        means.append(replace(worst, alc=statistics.fmean(r.alc or 0 for r in runs)))
    return means


def _grouped(results: list[Result], key: Callable[[Result], Key]) -> dict[Key, list[Result]]:
    groups: dict[Key, list[Result]] = defaultdict(list)
    for result in results:
        groups[key(result)].append(result)
    return groups


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
