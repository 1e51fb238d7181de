"""What a run's ``metrics.json`` (``docs/results.md``) says, as pictures and words for its page.

Colour is never alone: each picture has its figures in a table or a sentence beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from markupsafe import Markup

Json = dict[str, Any]

SIDE = 480.0
MAX_NAMED = 20  # up to so many a confusion matrix has its classes' names beside it
CONFUSIONS = 12
ACCENT = "#3b7ddd"
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img"'
    ' aria-label="{label}" class="{kind}" font-family="system-ui,sans-serif" font-size="12"'
    ' fill="currentColor">'
)


@dataclass(frozen=True)
class Confusion:
    """Items of one class that were taken for another."""

    true: str
    predicted: str
    count: int
    support: int  #: items of the true class


def list_confusions(metrics: Json) -> list[Confusion]:
    """The commonest confusions, the commonest first."""
    classes = metrics["classes"]
    wrong = [
        Confusion(classes[t]["name"], classes[p]["name"], count, classes[t]["support"])
        for t, p, count in metrics["confusion"] or ()
        if t != p
    ]
    return sorted(wrong, key=lambda c: -c.count)[:CONFUSIONS]


def confusion_svg(metrics: Json) -> str:
    """The confusion matrix: a row a true class, a column a predicted one, as shares of the row.

    Readable at a hundred classes: cells that are empty are not drawn, and each has its words.
    """
    names = [c["name"] for c in metrics["classes"]]
    supports = [c["support"] for c in metrics["classes"]]
    labelled = len(names) <= MAX_NAMED
    left = top = 110.0 if labelled else 24.0
    cell = min(36.0, SIDE / len(names))
    size = cell * len(names)
    parts = [
        SVG.format(
            width=left + size + (60 if labelled else 4),  # the last name leans over
            height=top + size + 4,
            label="Confusion matrix; the commonest confusions are in the table beside it.",
            kind="confusion",
        ),
        f'<rect x="{left:g}" y="{top:g}" width="{size:g}" height="{size:g}" fill="none"'
        ' stroke="currentColor" stroke-opacity=".35"/>',
        f'<text x="{left:g}" y="{10 if labelled else 16}">predicted</text>',
    ]
    if labelled:
        parts += _name_axes(names, left, top, cell)
    for true, predicted, count in metrics["confusion"] or ():
        share = count / max(1, supports[true])
        words = f"{count} of {supports[true]} {names[true]} were taken for {names[predicted]}"
        x, y = left + predicted * cell, top + true * cell
        parts.append(
            f'<rect x="{x:.2f}" y="{y:.2f}" width="{cell:.2f}" height="{cell:.2f}"'
            f' fill="{ACCENT}" fill-opacity="{0.12 + 0.88 * share:.3f}"><title>{escape(words)}'
            "</title></rect>"
        )
        if cell >= 24:
            fill = "#fff" if share > 0.5 else "currentColor"
            parts.append(
                f'<text x="{x + cell / 2:.2f}" y="{y + cell / 2 + 4:.2f}" text-anchor="middle"'
                f' fill="{fill}">{count}</text>'
            )
    return "".join([*parts, "</svg>"])


def _name_axes(names: Sequence[str], left: float, top: float, cell: float) -> list[str]:
    parts = []
    for number, name in enumerate(names):
        short = escape(name if len(name) <= 14 else f"{name[:13]}…")
        middle = number * cell + cell / 2
        parts.append(
            f'<text x="{left - 6:g}" y="{top + middle + 4:.2f}" text-anchor="end">{short}</text>'
            f'<text transform="translate({left + middle + 4:.2f} {top - 6:g}) rotate(-60)">{short}'
            "</text>"
        )
    return parts


def calibration_svg(calibration: Json) -> str:
    """A reliability diagram: how often it was right, over how sure it was."""
    left, top, size = 40.0, 12.0, 220.0
    parts = [
        SVG.format(
            width=left + size + 12,
            height=top + size + 44,
            label="Reliability diagram; its figures are in the table beside it.",
            kind="calibration",
        ),
        f'<path d="M{left} {top + size}h{size}M{left} {top + size}v-{size}" fill="none"'
        ' stroke="currentColor" stroke-opacity=".5"/>',
        f'<path d="M{left} {top + size}L{left + size} {top}" fill="none" stroke="currentColor"'
        ' stroke-opacity=".5" stroke-dasharray="4 4"/>',
        f'<text x="{left - 6}" y="{top + 8}" text-anchor="end">1</text>'
        f'<text x="{left - 6}" y="{top + size}" text-anchor="end">0</text>'
        f'<text x="{left + size}" y="{top + size + 16}" text-anchor="end">1</text>'
        f'<text x="{left + size / 2}" y="{top + size + 34}" text-anchor="middle">how sure</text>'
        f'<text x="{left + 6}" y="{top + 8}">how often right</text>',
    ]
    most = max((b["count"] for b in calibration["bins"]), default=0)
    for found in calibration["bins"]:
        if not found["count"]:
            continue
        x = left + size * found["confidence"]
        y = top + size * (1 - found["accuracy"])
        radius = 3 + 6 * (found["count"] / most) ** 0.5
        words = (
            f"{found['count']} items: {found['confidence']:.0%} sure, {found['accuracy']:.0%} right"
        )
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="{ACCENT}">'
            f"<title>{words}</title></circle>"
        )
    return "".join([*parts, "</svg>"])


def say_calibration(calibration: Json) -> str:
    """The diagram in one sentence."""
    error = calibration["ece"]
    if error < 0.02:
        verdict = "its probabilities can be taken at their word"
    elif error < 0.08:
        verdict = "its probabilities are roughly right"
    else:
        sure = sum(b["count"] * b["confidence"] for b in calibration["bins"])
        right = sum(b["count"] * b["accuracy"] for b in calibration["bins"])
        verdict = (
            "it is surer than it is right" if sure > right else "it is right more than it says"
        )
    return f"Expected calibration error {error:.3f}: {verdict}."


def describe_metrics(metrics: Json) -> Json:
    """What ``results.html`` is made of."""
    calibration = metrics["calibration"]
    for found in metrics["classes"]:  # classes that were never met come last
        found["f1_or_less"] = 2.0 if found["f1"] is None else found["f1"]
    return {
        "metrics": metrics,
        "confusion": Markup(confusion_svg(metrics)) if metrics["confusion"] else None,  # noqa: S704 names are escaped
        "confusions": list_confusions(metrics),
        "calibration": Markup(calibration_svg(calibration)) if calibration else None,  # noqa: S704 numbers only
        "calibration_words": say_calibration(calibration) if calibration else "",
    }
