"""The learning curve as SVG: NAUC over the challenge's logarithmic time, its area shaded.

The text takes the page's colour (``currentColor``); a picture that stands alone brings its own two.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

WIDTH, HEIGHT = 640, 340
LEFT, RIGHT, TOP, BOTTOM = 68, 12, 40, 40
START_SECONDS = 60.0  # t0 of the challenge's time axis
TICKS_SECONDS = (10, 60, 300, 600, 1200, 3600, 7200)
TICK_GAP = 0.1  # of the axis: closer labels would touch on a phone
ACCENT = "#3b7ddd"  # at least 3:1 on both of our backgrounds
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


def curve_svg(points: Sequence[Point], budget_seconds: float, *, inline: bool = False) -> str:
    """Draw the step function through the points that arrived within the budget.

    The axis is ``x(t) = ln(1 + t / 60) / ln(1 + T / 60)``, the curve starts at (0, 0), each score
    holds until the next, and the last one to the end, dashed. ``inline`` leaves out the style
    element, which the pages' content security policy forbids.
    """
    kept = [
        (p.seconds, p.nauc)
        for p in points
        if p.nauc is not None and 0 <= p.seconds <= budget_seconds
    ]
    alc = next((p.alc for p in reversed(points) if p.alc is not None), None)
    lowest = min((nauc for _, nauc in kept), default=0.0)
    axes = _Axes(budget_seconds, min(0.0, math.floor(lowest * 4) / 4))
    title = "Learning curve" if alc is None else f"Learning curve, ALC {alc:.4f}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        ' aria-labelledby="curve-title curve-description" class="curve"'
        ' font-family="system-ui,sans-serif" font-size="14" fill="currentColor">'
        f'{"" if inline else OWN_COLOURS}<title id="curve-title">{title}</title>'
        f'<desc id="curve-description">{_describe(kept, budget_seconds)}</desc>'
        f"{_grid(axes)}{_steps(axes, kept)}{_legend(alc, len(kept))}</svg>\n"
    )


class _Axes:
    """From seconds and NAUC to the picture's units, rounded to a tenth."""

    def __init__(self, budget_seconds: float, bottom: float) -> None:
        self.budget_seconds = budget_seconds
        self.bottom = bottom

    def fraction(self, seconds: float) -> float:
        return math.log1p(seconds / START_SECONDS) / math.log1p(self.budget_seconds / START_SECONDS)

    def x(self, seconds: float) -> float:
        return round(LEFT + self.fraction(seconds) * (WIDTH - LEFT - RIGHT), 1)

    def y(self, nauc: float) -> float:
        height = HEIGHT - TOP - BOTTOM
        return round(HEIGHT - BOTTOM - (nauc - self.bottom) / (1 - self.bottom) * height, 1)


def _grid(axes: _Axes) -> str:
    x_left, x_right = LEFT, WIDTH - RIGHT
    y_low = axes.y(axes.bottom)
    shapes: list[str] = []
    labels: list[str] = []
    steps = round((1 - axes.bottom) / 0.25)
    for nauc in (axes.bottom + 0.25 * step for step in range(steps + 1)):
        y = axes.y(nauc)
        shapes.append(f"M{x_left} {y}H{x_right}")
        labels.append(f'<text x="{x_left - 8}" y="{y + 5}" text-anchor="end">{nauc:g}</text>')
    for seconds in _ticks(axes):
        x = axes.x(seconds)
        anchor = "end" if seconds == axes.budget_seconds else "middle"
        shapes.append(f"M{x} {TOP}V{y_low + 5}")
        labels.append(
            f'<text x="{x}" y="{y_low + 22}" text-anchor="{anchor}">{_duration(seconds)}</text>'
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
            ' opacity=".8">No prediction has been scored yet.</text>'
        )
    line = f"M{axes.x(0)} {axes.y(0)}" + "".join(f"H{axes.x(t)}V{axes.y(s)}" for t, s in points)
    last = axes.y(points[-1][1])
    end = axes.x(axes.budget_seconds)
    dots = "".join(f'<circle cx="{axes.x(t)}" cy="{axes.y(s)}" r="3.5"/>' for t, s in points)
    return (
        f'<path d="{line}H{end}V{axes.y(0)}Z" fill="{ACCENT}" fill-opacity=".18"/>'
        f'<path d="M{axes.x(points[-1][0])} {last}H{end}" stroke="{ACCENT}" stroke-width="2"'
        f' stroke-dasharray="3 5" fill="none"/>'
        f'<path d="{line}" stroke="{ACCENT}" stroke-width="2.5" fill="none"/>'
        f'<g fill="{ACCENT}">{dots}</g>'
    )


def _legend(alc: float | None, count: int) -> str:
    axis = f'<text x="{LEFT}" y="22">NAUC</text>'
    if alc is None:
        return axis
    noun = "prediction" if count == 1 else "predictions"
    return (
        f'{axis}<text x="{WIDTH - RIGHT}" y="22" text-anchor="end" font-weight="600">ALC {alc:.4f}'
        f'<tspan font-weight="400" opacity=".8"> · {count} {noun}</tspan></text>'
    )


def _describe(points: list[tuple[float, float]], budget_seconds: float) -> str:
    if not points:
        return f"No score yet of a budget of {_duration(budget_seconds)}."
    (first_time, first), (last_time, last) = points[0], points[-1]
    return (
        f"NAUC over time on a logarithmic axis up to {_duration(budget_seconds)}: {first:.3f} after"
        f" {first_time:.1f} s, {last:.3f} after {last_time:.1f} s, {len(points)} scores in all."
    )


def _duration(seconds: float) -> str:
    return f"{seconds / 60:g} min" if seconds >= 60 and seconds % 30 == 0 else f"{seconds:g} s"
