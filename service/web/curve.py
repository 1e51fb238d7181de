"""Learning curves as SVG: NAUC over the challenge's logarithmic time, one curve's area shaded.

The text takes the page's colour (``currentColor``); a picture that stands alone brings its own two.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Protocol

from service.web.formats import format_number, format_seconds
from service.web.language import gettext, ngettext

WIDTH, HEIGHT = 640, 340
LETTER_ROOM = 14  # more on the right, where each curve has its letter
LEFT, RIGHT, TOP, BOTTOM = 68, 12, 40, 40
START_SECONDS = 60.0  # t0 of the challenge's time axis
TICKS_SECONDS = (10, 60, 300, 600, 1200, 3600, 7200)
CROWD = 200  # points beyond which some have the same place
LETTERS = "ABCDEF"
LETTER_GAP = 16  # between the letters of curves that end beside each other
NEAR_STEPS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.25)  # between the lines of an axis seen from near
MAX_NEAR_STEPS = 5
TICK_GAP = 0.1  # of the axis: closer labels would touch on a phone
ACCENT = "#3b7ddd"  # this and the others: at least 3:1 on both of our backgrounds
#: of several curves, each with its dashes and, in ``list_letters``, its letter
STYLES = (
    (ACCENT, ""),
    ("#c2571a", "9 4"),
    ("#2a8f5b", "2 3"),
    ("#a24fc4", "12 4 2 4"),
    ("#b07908", "5 2"),
    ("#d1437a", "16 5"),
)
OWN_COLOURS = (
    "<style>:root{color:#1d2330;background:#fff}"
    "@media(prefers-color-scheme:dark){:root{color:#e6e9ef;background:#14181f}}</style>"
)


class Point(Protocol):
    """A scored prediction; ``nauc`` and ``alc`` are ``None`` where they are not defined."""

    @property
    def seconds(self) -> float:
        """Since the start of the budget."""

    @property
    def nauc(self) -> float | None:
        """Normalised AUC, at most 1."""

    @property
    def alc(self) -> float | None:
        """Area under the curve so far, the last score held to the end."""


@dataclass(frozen=True)
class Series:
    """One of several curves in a picture."""

    name: str
    points: Sequence[Point]
    budget_seconds: float

    @property
    def kept(self) -> list[tuple[float, float]]:
        """(seconds, NAUC) of the points that arrived within the budget."""
        return [
            (p.seconds, p.nauc)
            for p in self.points
            if p.nauc is not None and 0 <= p.seconds <= self.budget_seconds
        ]


def curve_svg(
    points: Sequence[Point],
    budget_seconds: float,
    *,
    inline: bool = False,
    near: bool = False,
    beside: Sequence[Series] = (),
) -> str:
    """Draw the step function through the points that arrived within the budget.

    The axis is ``x(t) = ln(1 + t / 60) / ln(1 + T / 60)``, the curve starts at (0, 0), each score
    holds until the next, and the last one to the end, dashed. ``inline`` leaves out the style
    element, which the pages' content security policy forbids. ``near`` is the part of the NAUC
    axis where the later scores lie; what is below runs along its foot. ``beside`` are curves to
    compare with, as lines; then each has a letter at its end, and this one is A.
    """
    own = Series("", points, budget_seconds)
    kept, alc = own.kept, _last_alc(points)
    axes = _Axes.around([own, *beside], near=near)
    title = gettext("Learning curve")
    if alc is not None:
        title = gettext("Learning curve, ALC %(alc)s", alc=format_number(alc, 4))
    shapes = f"{_grid(axes)}{_lines(axes, beside, 1)}{_steps(axes, kept)}{_legend(alc, len(kept))}"
    words = _describe(kept, budget_seconds)
    if beside:
        shapes += _letters(axes, [own, *beside])
        words = f"A: {words} {_describe_all(beside, 1)}"
    return _picture(title, words, shapes, inline=inline)


def curves_svg(series: Sequence[Series], title: str, *, near: bool = False) -> str:
    """Draw up to ``len(STYLES)`` curves in one picture, for a page; a letter stands at each end.

    The axis is that of the longest budget; each curve ends, dashes and all, where its own does.
    """
    axes = _Axes.around(series, near=near)
    axis = f'<text x="{LEFT}" y="22">NAUC</text>'
    shapes = f"{_grid(axes)}{axis}{_lines(axes, series, 0)}{_letters(axes, series)}"
    return _picture(title, _describe_all(series, 0), shapes, inline=True)


def list_letters(series: Sequence[object]) -> list[str]:
    """What tells several curves apart beside their colours: A, B, C."""
    return [LETTERS[at] for at in range(len(series))]


def key_svg(at: int) -> str:
    """A short piece of the line of the curve with that number, for a legend."""
    colour, dashes = STYLES[at]
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 36 12" width="36" height="12"'
        f' aria-hidden="true"><path d="M1 6H35" stroke="{colour}" stroke-width="2.5"'
        f' stroke-dasharray="{dashes}"/></svg>'
    )


def _picture(title: str, description: str, shapes: str, *, inline: bool) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        ' aria-labelledby="curve-title curve-description" class="curve"'
        ' font-family="system-ui,sans-serif" font-size="14" fill="currentColor">'
        f'{"" if inline else OWN_COLOURS}<title id="curve-title">{escape(title)}</title>'
        f'<desc id="curve-description">{escape(description)}</desc>{shapes}</svg>\n'
    )


def _last_alc(points: Sequence[Point]) -> float | None:
    return next((p.alc for p in reversed(points) if p.alc is not None), None)


class _Axes:
    """From seconds and NAUC to the picture's units, rounded to a tenth."""

    def __init__(self, budget_seconds: float, scores: list[float], letters: bool) -> None:
        self.budget_seconds = budget_seconds
        self.scores = scores  #: of the axis's lines, the lowest first
        self.right = WIDTH - RIGHT - letters * LETTER_ROOM

    @classmethod
    def around(cls, series: Sequence[Series], *, near: bool) -> _Axes:
        """Wide and deep enough for all of them, or from near for their later scores."""
        budget_seconds = max(one.budget_seconds for one in series)
        scores = [nauc for one in series for _, nauc in one.kept]
        lines = _lines_between(min([0.0, *scores]), 1.0, 0.25)
        if near and scores:
            later = [nauc for one in series for _, nauc in one.kept[len(one.kept) // 2 :]]
            choices = [_lines_between(min(later), max(later), step) for step in NEAR_STEPS]
            lines = next((c for c in choices if len(c) <= MAX_NEAR_STEPS + 1), lines)
        return cls(budget_seconds, lines, letters=len(series) > 1)

    def fraction(self, seconds: float) -> float:
        return math.log1p(seconds / START_SECONDS) / math.log1p(self.budget_seconds / START_SECONDS)

    def x(self, seconds: float) -> float:
        return round(LEFT + self.fraction(seconds) * (self.right - LEFT), 1)

    def y(self, nauc: float) -> float:
        low, high = self.scores[0], self.scores[-1]
        share = (min(max(nauc, low), high) - low) / (high - low)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)


def _lines_between(low: float, high: float, step: float) -> list[float]:
    """Multiples of ``step`` from ``low`` or below to ``high`` or above, two at least."""
    first, last = math.floor(round(low / step, 6)), math.ceil(round(high / step, 6))
    return [round(at * step, 6) for at in range(min(first, last - 1), last + 1)]


def _grid(axes: _Axes) -> str:
    x_left, x_right = LEFT, axes.right
    y_low = HEIGHT - BOTTOM
    shapes: list[str] = []
    labels: list[str] = []
    for nauc in axes.scores:
        y = axes.y(nauc)
        shapes.append(f"M{x_left} {y}H{x_right}")
        labels.append(
            f'<text x="{x_left - 8}" y="{y + 5}" text-anchor="end">{format_number(nauc)}</text>'
        )
    for seconds in _ticks(axes):
        x = axes.x(seconds)
        anchor = "end" if seconds == axes.budget_seconds else "middle"
        shapes.append(f"M{x} {TOP}V{y_low + 5}")
        labels.append(
            f'<text x="{x}" y="{y_low + 22}" text-anchor="{anchor}">'
            f"{format_seconds(seconds)}</text>"
        )
    return (
        f'<path d="{"".join(shapes)}" stroke="currentColor" stroke-opacity=".16" fill="none"/>'
        f'<path d="M{x_left} {TOP}V{y_low}H{x_right}" stroke="currentColor" stroke-opacity=".6"'
        f' fill="none"/><g opacity=".8">{"".join(labels)}</g>'
    )


def _ticks(axes: _Axes) -> list[float]:
    """The usual times that keep their distance, and the budget itself."""
    ticks = [axes.budget_seconds]
    for seconds in reversed(TICKS_SECONDS):
        if axes.fraction(ticks[-1]) - axes.fraction(seconds) >= TICK_GAP:
            ticks.append(seconds)
    return ticks[::-1]


def _steps(axes: _Axes, points: list[tuple[float, float]]) -> str:
    if not points:
        return (
            f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT / 2 - 9}" text-anchor="middle"'
            f' opacity=".8">{escape(gettext("No prediction has been scored yet."))}</text>'
        )
    points = _thin(axes, points)
    line = _path(axes, points)
    last = axes.y(points[-1][1])
    end = axes.x(axes.budget_seconds)
    seen = [(t, s) for t, s in points if s >= axes.scores[0]]
    dots = "".join(f'<circle cx="{axes.x(t)}" cy="{axes.y(s)}" r="3.5"/>' for t, s in seen)
    return (
        f'<path d="{line}H{end}V{axes.y(0)}Z" fill="{ACCENT}" fill-opacity=".18"/>'
        f'<path d="M{axes.x(points[-1][0])} {last}H{end}" stroke="{ACCENT}" stroke-width="2"'
        f' stroke-dasharray="3 5" fill="none"/>'
        f'<path d="{line}" stroke="{ACCENT}" stroke-width="2.5" fill="none"/>'
        f'<g fill="{ACCENT}">{dots}</g>'
    )


def _thin(axes: _Axes, points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """What would be drawn at one place is drawn once: the last of it."""
    return points if len(points) <= CROWD else list({int(axes.x(p[0])): p for p in points}.values())


def _path(axes: _Axes, points: list[tuple[float, float]]) -> str:
    return f"M{axes.x(0)} {axes.y(0)}" + "".join(f"H{axes.x(t)}V{axes.y(s)}" for t, s in points)


def _lines(axes: _Axes, series: Sequence[Series], first: int) -> str:
    """Curves without their areas, in the styles from ``first`` on."""
    return "".join(
        f'<path d="{_path(axes, _thin(axes, one.kept))}H{axes.x(one.budget_seconds)}"'
        f' stroke="{colour}" stroke-width="2.2" stroke-dasharray="{dashes}" fill="none"/>'
        for one, (colour, dashes) in zip(series, STYLES[first:], strict=False)
    )


def _describe_all(series: Sequence[Series], first: int) -> str:
    return " ".join(
        f"{letter}, {one.name}: {_describe(one.kept, one.budget_seconds)}"
        for letter, one in zip(LETTERS[first:], series, strict=False)
    )


def _letters(axes: _Axes, series: Sequence[Series]) -> str:
    """At the end of each curve its letter; those that would overlap are moved apart."""
    ends = [(axes.y(one.kept[-1][1] if one.kept else 0.0), at) for at, one in enumerate(series)]
    shapes, above = "", float(TOP - LETTER_GAP)
    for y, at in sorted(ends):
        above = max(y + 5, above + LETTER_GAP)
        x = axes.x(series[at].budget_seconds) + 2
        shapes += (
            f'<text x="{x}" y="{above}" font-weight="700" fill="{STYLES[at][0]}">'
            f"{LETTERS[at]}</text>"
        )
    return shapes


def _legend(alc: float | None, count: int) -> str:
    axis = f'<text x="{LEFT}" y="22">NAUC</text>'
    if alc is None:
        return axis
    predictions = escape(ngettext("%(num)s prediction", "%(num)s predictions", count))
    return (
        f'{axis}<text x="{WIDTH - RIGHT}" y="22" text-anchor="end" font-weight="600">ALC'
        f' {format_number(alc, 4)}<tspan font-weight="400" opacity=".8"> · {predictions}</tspan>'
        "</text>"
    )


def _describe(points: list[tuple[float, float]], budget_seconds: float) -> str:
    budget = format_seconds(budget_seconds)
    if not points:
        return gettext("No score yet of a budget of %(budget)s.", budget=budget)
    (first_time, first), (last_time, last) = points[0], points[-1]
    return gettext(
        "NAUC over time on a logarithmic axis up to %(budget)s: %(first)s after %(first_time)s s,"
        " %(last)s after %(last_time)s s, %(count)s scores in all.",
        budget=budget,
        first=format_number(first, 3),
        first_time=format_number(first_time, 1),
        last=format_number(last, 3),
        last_time=format_number(last_time, 1),
        count=len(points),
    )
