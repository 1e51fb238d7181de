"""What a run's ``metrics.json`` (``docs/results.md``) says, as pictures and words for its page.

Colour is never alone: each picture has its figures in a table or a sentence beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from markupsafe import Markup

from service.web.formats import format_number, format_percent
from service.web.language import gettext

Json = dict[str, Any]

SIDE = 480.0  # of a confusion matrix, where its cells are large enough then
LEAST_CELL = 10.0  # so that a class's name fits beside its row
COUNTED_CELL = 24.0  # large enough for the count
MAX_NAMED = 100  # of more classes a confusion matrix has those that are confused most
TOLD_CLASSES = 40  # of more, only cells with several items have their words: pages stay small
NAME_LETTERS = 16
CONFUSIONS = 12
ACCENT = "#3b7ddd"
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}"'
    ' width="{width:g}" height="{height:g}" role="img"'
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


def pick_classes(metrics: Json) -> list[int]:
    """The classes that a confusion matrix shows, in their order: all of them, or those with the
    most mistakes in their row and column.
    """
    count = len(metrics["classes"])
    if count <= MAX_NAMED:
        return list(range(count))
    mistakes = [0] * count
    for true, predicted, found in metrics["confusion"] or ():
        if true != predicted:
            mistakes[true] += found
            mistakes[predicted] += found
    worst = sorted(range(count), key=lambda c: -mistakes[c])
    return sorted(worst[:MAX_NAMED])


def confusion_svg(metrics: Json) -> str:
    """The confusion matrix: a row a true class, a column a predicted one, as shares of the row.

    Readable at a hundred classes: it is as large as their names need, for a box that scrolls; cells
    that are empty are not drawn, and each of the others has its words.
    """
    shown = pick_classes(metrics)
    place = {number: at for at, number in enumerate(shown)}
    names = [metrics["classes"][number]["name"] for number in shown]
    supports = [metrics["classes"][number]["support"] for number in shown]
    cell = max(LEAST_CELL, min(56.0, SIDE / len(names)))
    letters = min(12.0, cell * 0.95)
    left = top = 30.0 + letters * 0.58 * min(NAME_LETTERS, max(map(len, names)))
    size = cell * len(names)
    parts = [
        SVG.format(
            width=left + size + top * 0.6,  # the last name leans over
            height=top + size + 4,
            label=escape(
                gettext("Confusion matrix; the commonest confusions are in the table beside it.")
            ),
            kind="confusion",
        ),
        f'<rect x="{left:g}" y="{top:g}" width="{size:g}" height="{size:g}" fill="none"'
        ' stroke="currentColor" stroke-opacity=".35"/>',
        _grid(len(names), left, top, cell),
        *_name_axes(names, left, top, cell, letters),
    ]
    for true, predicted, count in metrics["confusion"] or ():
        if true in place and predicted in place:
            row, column = place[true], place[predicted]
            words = gettext(
                "%(count)s of %(support)s %(true)s were taken for %(predicted)s",
                count=count,
                support=supports[row],
                true=names[row],
                predicted=names[column],
            )
            share = count / max(1, supports[row])
            told = words if count > 1 or len(names) <= TOLD_CLASSES else ""
            parts.append(_draw_cell(left + column * cell, top + row * cell, cell, share, told))
            if cell >= COUNTED_CELL:
                fill = "#fff" if share > 0.5 else "currentColor"
                parts.append(
                    f'<text x="{left + (column + 0.5) * cell:.2f}"'
                    f' y="{top + (row + 0.5) * cell + 4:.2f}" text-anchor="middle"'
                    f' fill="{fill}">{count}</text>'
                )
    return "".join([*parts, "</svg>"])


def _grid(count: int, left: float, top: float, cell: float) -> str:
    """Every fifth line, by which the eye finds the names again."""
    end = cell * count
    lines = "".join(
        f"M{left:g} {top + at * cell:g}h{end:g}M{left + at * cell:g} {top:g}v{end:g}"
        for at in range(5, count, 5)
    )
    return f'<path d="{lines}" stroke="currentColor" stroke-opacity=".18" fill="none"/>'


def _draw_cell(x: float, y: float, cell: float, share: float, words: str) -> str:
    return (
        f'<rect x="{x:.4g}" y="{y:.4g}" width="{cell:.4g}" height="{cell:.4g}" fill="{ACCENT}"'
        f' fill-opacity="{0.12 + 0.88 * share:.2f}"'
        + (f"><title>{escape(words)}</title></rect>" if words else "/>")
    )


def _name_axes(
    names: Sequence[str], left: float, top: float, cell: float, letters: float
) -> list[str]:
    parts = [f'<g font-size="{letters:.3g}">']
    for number, name in enumerate(names):
        short = escape(name if len(name) <= NAME_LETTERS else f"{name[: NAME_LETTERS - 1]}…")
        middle = number * cell + cell / 2
        parts.append(
            f'<text x="{left - 6:g}" y="{top + middle + letters / 3:.2f}" text-anchor="end">{short}'
            f'</text><text transform="translate({left + middle + letters / 3:.2f} {top - 6:g})'
            f' rotate(-60)">{short}</text>'
        )
    return [*parts, "</g>"]


def calibration_svg(calibration: Json) -> str:
    """A reliability diagram: how often it was right, over how sure it was."""
    left, top, size = 40.0, 12.0, 220.0
    parts = [
        SVG.format(
            width=left + size + 12,
            height=top + size + 44,
            label=escape(gettext("Reliability diagram; its figures are in the table beside it.")),
            kind="calibration",
        ),
        f'<path d="M{left} {top + size}h{size}M{left} {top + size}v-{size}" fill="none"'
        ' stroke="currentColor" stroke-opacity=".5"/>',
        f'<path d="M{left} {top + size}L{left + size} {top}" fill="none" stroke="currentColor"'
        ' stroke-opacity=".5" stroke-dasharray="4 4"/>',
        f'<text x="{left - 6}" y="{top + 8}" text-anchor="end">1</text>'
        f'<text x="{left - 6}" y="{top + size}" text-anchor="end">0</text>'
        f'<text x="{left + size}" y="{top + size + 16}" text-anchor="end">1</text>'
        f'<text x="{left + size / 2}" y="{top + size + 34}" text-anchor="middle">'
        f"{escape(gettext('how sure'))}</text>"
        f'<text x="{left + 6}" y="{top + 8}">{escape(gettext("how often right"))}</text>',
    ]
    most = max((b["count"] for b in calibration["bins"]), default=0)
    for found in calibration["bins"]:
        if not found["count"]:
            continue
        x = left + size * found["confidence"]
        y = top + size * (1 - found["accuracy"])
        radius = 3 + 6 * (found["count"] / most) ** 0.5
        words = gettext(
            "%(count)s items: %(sure)s sure, %(right)s right",
            count=found["count"],
            sure=format_percent(found["confidence"]),
            right=format_percent(found["accuracy"]),
        )
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="{ACCENT}">'
            f"<title>{escape(words)}</title></circle>"
        )
    return "".join([*parts, "</svg>"])


def say_calibration(calibration: Json) -> str:
    """The diagram in one sentence."""
    error = calibration["ece"]
    if error < 0.02:
        verdict = gettext("its probabilities can be taken at their word")
    elif error < 0.08:
        verdict = gettext("its probabilities are roughly right")
    else:
        sure = sum(b["count"] * b["confidence"] for b in calibration["bins"])
        right = sum(b["count"] * b["accuracy"] for b in calibration["bins"])
        if sure > right:
            verdict = gettext("it is surer than it is right")
        else:
            verdict = gettext("it is right more than it says")
    return gettext(
        "Expected calibration error %(error)s: %(verdict)s.",
        error=format_number(error, 3),
        verdict=verdict,
    )


def describe_metrics(metrics: Json) -> Json:
    """What ``results.html`` is made of."""
    calibration = metrics["calibration"]
    for found in metrics["classes"]:  # classes that were never met come last
        found["f1_or_less"] = 2.0 if found["f1"] is None else found["f1"]
    return {
        "metrics": metrics,
        "confusion": Markup(confusion_svg(metrics)) if metrics["confusion"] else None,  # noqa: S704 names are escaped
        "confusions": list_confusions(metrics),
        "confused_classes": len(pick_classes(metrics)),
        "calibration": Markup(calibration_svg(calibration)) if calibration else None,  # noqa: S704 numbers only
        "calibration_words": say_calibration(calibration) if calibration else "",
    }
