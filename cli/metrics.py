"""A run's metrics as people read them: the score's interval, classes, mistakes, calibration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from cli.follow import number

if TYPE_CHECKING:
    from rich.console import Console

SHOWN_CLASSES = 20
SHOWN_MISTAKES = 5
SHOWN_PAIRS = 5


def print_metrics(metrics: dict[str, Any], console: Console) -> None:
    """Print what ``metrics.json`` holds, and the ``alc`` of the run."""
    for name, key in (("ALC", "alc"), ("NAUC", "nauc"), ("accuracy", "accuracy")):
        line = f"{name:<9}{number(metrics[key])}"
        if (interval := metrics[f"{key}_interval"]) is not None:
            line += f"   95 % interval {interval['low']:.4f} to {interval['high']:.4f}"
        console.print(line)
    _print_classes(metrics["classes"], console)
    names = [c["name"] for c in metrics["classes"]]
    _print_confused(metrics["confusion"] or [], names, console)
    _print_mistakes(metrics["mistakes"], console)
    if (calibration := metrics["calibration"]) is not None:
        console.print(
            f"The scores as probabilities: calibration error {calibration['ece']:.4f},"
            f" Brier score {calibration['brier']:.4f}"
        )


def _print_classes(classes: list[dict[str, Any]], console: Console) -> None:
    table = Table("class", box=None)
    for heading in ("test items", "NAUC", "precision", "recall", "F1"):
        table.add_column(heading, justify="right")
    present = sorted((c for c in classes if c["support"]), key=lambda c: c["f1"])
    for c in present[:SHOWN_CLASSES]:
        figures = (number(c[key]) for key in ("nauc", "precision", "recall", "f1"))
        table.add_row(escape(c["name"]), f"{c['support']:,}", *figures)
    console.print(table)
    if (more := len(present) - SHOWN_CLASSES) > 0:
        console.print(f"and {more} more classes with a higher F1")


def _print_confused(confusion: list[list[int]], names: list[str], console: Console) -> None:
    pairs = sorted((cell for cell in confusion if cell[0] != cell[1]), key=lambda cell: -cell[2])
    if pairs:
        told = (f"{names[t]} as {names[p]} ({count})" for t, p, count in pairs[:SHOWN_PAIRS])
        console.print("Most often confused: " + escape(", ".join(told)))


def _print_mistakes(mistakes: list[dict[str, Any]], console: Console) -> None:
    for place, m in enumerate(mistakes[:SHOWN_MISTAKES]):
        heading = "Surest mistakes:" if place == 0 else ""
        true, said = (" + ".join(m[key]) or "nothing" for key in ("true", "predicted"))
        text = f"{m['item']} is {true}, predicted {said} ({m['class_name']} {m['probability']:.3f})"
        console.print(f"{heading:<16} {escape(text)}")
