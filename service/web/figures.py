"""What a run's ``metrics.json`` (``docs/results.md``) says, as pictures and words for its page.

Colour is never alone: each picture has its figures in a table or a sentence beside it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import Any

from markupsafe import Markup

from service.web.formats import format_number, format_percent
from service.web.language import gettext

Json = dict[str, Any]
#: by row and column of a picture: the items, and their share of the row
Cells = Mapping[tuple[int, int], tuple[int, float]]

SIDE = 480.0  # of a confusion matrix, where its cells are large enough then
LEAST_CELL = 10.0  # so that a class's name fits beside its row
COUNTED_CELL = 24.0  # large enough for the count
MAX_NAMED = 100  # of more classes a confusion matrix has those that are confused most
SHADES = 10  # of its cells: one path a shade keeps a page small at any number of cells
NAME_LETTERS = 16
LEAN = 60  # degrees, of the names above the columns
CONFUSIONS = 30
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
    """What was taken for what, the commonest first."""
    classes = metrics["classes"]
    wrong = [
        Confusion(classes[t]["name"], classes[p]["name"], count, classes[t]["support"])
        for t, p, count in metrics["confusion"] or ()
        if t != p
    ]
    return sorted(wrong, key=lambda c: -c.count)


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


def pick_rarest(counts: Sequence[int]) -> list[int]:
    """The numbers of the classes that a page lists, in their order; of very many, the rarest."""
    rarest = sorted(range(len(counts)), key=lambda at: counts[at])
    return sorted(rarest[:MAX_NAMED])


def confusion_svg(metrics: Json) -> str:
    """The confusion matrix: a row a true class, a column a predicted one, as shares of the row.

    Readable at a hundred classes, and small: it is as large as their names need, for a box that
    scrolls; cells of one shade are one path, and those that are empty are not drawn.
    """
    shown = pick_classes(metrics)
    place = {number: at for at, number in enumerate(shown)}
    names = [metrics["classes"][number]["name"] for number in shown]
    supports = [metrics["classes"][number]["support"] for number in shown]
    cell = max(LEAST_CELL, min(56.0, SIDE / len(names)))
    letters = min(12.0, cell * 0.95)
    left = top = 30.0 + letters * 0.58 * min(NAME_LETTERS, max(map(len, names)))
    size = cell * len(names)
    cells = {
        (place[true], place[predicted]): (count, count / max(1, supports[place[true]]))
        for true, predicted, count in metrics["confusion"] or ()
        if true in place and predicted in place
    }
    label = gettext("Confusion matrix; the commonest confusions are in the table beside it.")
    return "".join(
        [
            SVG.format(
                width=left + size + top * 0.6,  # the last name leans over
                height=top + size + 4,
                label=escape(label),
                kind="confusion",
            ),
            _name_axes(names, left, top, cell, letters),
            f'<g transform="translate({left:.4g} {top:.4g})">',
            f'<g transform="scale({cell:g})">{_shade(cells)}</g>',
            _count(cells, cell) if cell >= COUNTED_CELL else "",
            _grid(len(names), cell),
            "</g></svg>",
        ]
    )


def _shade(cells: Cells) -> str:
    """The cells, each a unit wide; neighbours of one shade are one stroke."""
    shaded = [
        (row, column, math.ceil(s * SHADES)) for (row, column), (_, s) in sorted(cells.items())
    ]
    strokes: dict[int, str] = {}
    for (row, _, shade), run in groupby(
        enumerate(shaded), lambda cell: (cell[1][0], cell[1][1] - cell[0], cell[1][2])
    ):
        (_, (_, first, _)), *others = run
        strokes[shade] = f"{strokes.get(shade, '')}M{first} {row}h{1 + len(others)}"
    drawn = "".join(
        f'<path d="{path}" stroke-opacity="{0.12 + 0.88 * shade / SHADES:.2f}"/>'
        for shade, path in sorted(strokes.items())
    )
    return f'<g transform="translate(0 .5)" stroke="{ACCENT}">{drawn}</g>'


def _count(cells: Cells, cell: float) -> str:
    """How many items each cell stands for."""
    counts = []
    for (row, column), (count, share) in cells.items():
        colour = ' fill="#fff"' if share > 0.5 else ""
        x, y = (column + 0.5) * cell, (row + 0.5) * cell + 4
        counts.append(f'<text x="{x:.4g}" y="{y:.4g}"{colour}>{count}</text>')
    return f'<g text-anchor="middle">{"".join(counts)}</g>'


def _grid(count: int, cell: float) -> str:
    """The frame, and every fifth line, by which the eye finds the names again."""
    end = cell * count
    lines = "".join(
        f"M0 {at * cell:.4g}h{end:.4g}M{at * cell:.4g} 0v{end:.4g}" for at in range(5, count, 5)
    )
    return (
        f'<path d="M0 0h{end:.4g}v{end:.4g}h-{end:.4g}z{lines}" stroke="currentColor"'
        ' stroke-opacity=".25" fill="none"/>'
    )


def _name_axes(names: Sequence[str], left: float, top: float, cell: float, letters: float) -> str:
    """The names, beside their rows and above their columns."""
    across, up = math.cos(math.radians(LEAN)), math.sin(math.radians(LEAN))
    rows, columns = [], []
    for number, name in enumerate(names):
        short = escape(name if len(name) <= NAME_LETTERS else f"{name[: NAME_LETTERS - 1]}…")
        middle = (number + 0.5) * cell + letters / 3
        rows.append(f'<text y="{middle:.4g}">{short}</text>')
        columns.append(f'<text x="{middle * across:.4g}" y="{middle * up:.4g}">{short}</text>')
    return (
        f'<g font-size="{letters:.3g}">'
        f'<g transform="translate({left - 6:.4g} {top:.4g})" text-anchor="end">{"".join(rows)}</g>'
        f'<g transform="translate({left:.4g} {top - 6:.4g}) rotate(-{LEAN})">{"".join(columns)}</g>'
        "</g>"
    )


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
    confused = list_confusions(metrics)
    taken_for: dict[str, Confusion] = {}
    for found in confused:
        taken_for.setdefault(found.true, found)
    # Classes that were never met come last.
    worst = sorted(metrics["classes"], key=lambda c: 2.0 if c["f1"] is None else c["f1"])
    return {
        "metrics": metrics,
        "classes": worst[:MAX_NAMED],
        "taken_for": taken_for,
        "confusion": Markup(confusion_svg(metrics)) if metrics["confusion"] else None,  # noqa: S704 names are escaped
        "confusions": confused[:CONFUSIONS],
        "confused_classes": len(pick_classes(metrics)),
        "calibration": Markup(calibration_svg(calibration)) if calibration else None,  # noqa: S704 numbers only
        "calibration_words": say_calibration(calibration) if calibration else "",
    }
