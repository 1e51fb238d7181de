"""What a solution used over time (``resources.json``, ``docs/results.md``): pictures, and words.

The file lay where the solution could write, so it is believed in form only as far as it is checked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, Literal

from markupsafe import Markup, escape
from pydantic import BaseModel, Field, ValidationError, model_validator

from service.web.formats import format_bytes, format_number, format_seconds
from service.web.language import gettext

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 150, 76, 12, 28, 26
COLOURS = ("#3b7ddd", "#c2571a", "#2a8f5b")
END_ROOM = 60  # at the right below the axis, where its end is written
SHOWN = 12  # rows of the table
MAX_SAMPLES = 2000
Amount = Annotated[float, Field(ge=0, le=1e18, allow_inf_nan=False)]
Amounts = Annotated[list[Amount], Field(max_length=MAX_SAMPLES)]


class Used(BaseModel):
    """The file; a list a quantity, all of one length."""

    schema_: Literal["autodl-resources/1"] = Field(alias="schema")
    budget_from_seconds: Amount
    seconds: Amounts
    memory_bytes: Amounts
    cpu_seconds: Amounts
    gpu_memory_bytes: Annotated[list[Amount | None], Field(max_length=MAX_SAMPLES)] = []

    @model_validator(mode="after")
    def _require_lengths(self) -> Used:
        if not len(self.seconds) == len(self.memory_bytes) == len(self.cpu_seconds) > 1:
            raise ValueError("the lists differ in length")
        if any(later <= sooner for sooner, later in pairwise(self.seconds)):
            raise ValueError("time does not go on")
        return self

    @property
    def cores(self) -> list[float]:
        """Processors that were busy since the sample before."""
        samples = list(zip(self.seconds, self.cpu_seconds, strict=True))
        busy = [max(0.0, c - b) / (t - s) for (s, b), (t, c) in pairwise(samples)]
        return [busy[0], *busy]


@dataclass(frozen=True)
class _Quantity:
    name: str
    values: list[float]
    show: Callable[[float], str]


def describe_resources(content: bytes | None) -> dict[str, Any] | None:
    """Pictures over time, a sentence, and some rows of a table; None where nothing is known."""
    try:
        used = Used.model_validate_json(content or b"")
    except ValidationError:
        return None
    cores = used.cores
    gpu = [value or 0.0 for value in used.gpu_memory_bytes]
    quantities = [
        _Quantity(gettext("Memory"), used.memory_bytes, format_bytes),
        _Quantity(gettext("Processor cores in use"), cores, lambda v: format_number(v, 1)),
    ]
    if any(gpu) and len(gpu) == len(cores):
        quantities.append(_Quantity(gettext("Memory of the GPU"), gpu, format_bytes))
    words = gettext(
        "At most %(peak)s of memory in %(seconds)s, and on average %(cores)s processor cores.",
        peak=format_bytes(max(used.memory_bytes)),
        seconds=format_seconds(round(used.seconds[-1])),
        cores=format_number(used.cpu_seconds[-1] / used.seconds[-1], 1),
    )
    step = -(-len(used.seconds) // SHOWN)
    return {
        "pictures": [
            Markup(_draw(used, quantity, colour))  # noqa: S704 numbers, and words of ours
            for quantity, colour in zip(quantities, COLOURS, strict=False)
        ],
        "words": words,
        "names": [quantity.name for quantity in quantities],
        "rows": [
            (format_seconds(round(used.seconds[at], 1)), [q.show(q.values[at]) for q in quantities])
            for at in range(0, len(used.seconds), step)
        ],
    }


def _draw(used: Used, quantity: _Quantity, colour: str) -> str:
    """One quantity over time, from nothing to its highest; a line where the budget began."""
    highest, last = max(*quantity.values, 1e-9), used.seconds[-1]

    def x(seconds: float) -> float:
        return round(LEFT + seconds / last * (WIDTH - LEFT - RIGHT), 1)

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - value / highest * (HEIGHT - TOP - BOTTOM), 1)

    points = zip(used.seconds, quantity.values, strict=True)
    line = "L".join(f"{x(seconds)} {y(value)}" for seconds, value in points)
    start, label = x(min(used.budget_from_seconds, last)), escape(quantity.name)
    table = escape(gettext("its figures are in the table below."))
    is_late = start > WIDTH / 2
    budget = escape(gettext("the budget begins"))
    shapes = (
        f'<path d="M{LEFT} {TOP}V{y(0)}H{WIDTH - RIGHT}" stroke="currentColor"'
        ' stroke-opacity=".5" fill="none"/>'
        f'<path d="M{x(used.seconds[0])} {y(0)}L{line}V{y(0)}Z" fill="{colour}"'
        f' fill-opacity=".18"/><path d="M{line}" stroke="{colour}" stroke-width="2" fill="none"/>'
        f'<path d="M{start} {TOP}V{y(0)}" stroke="currentColor" stroke-dasharray="4 4"/>'
        f'<text x="{min(start, WIDTH - RIGHT - END_ROOM)}" y="{HEIGHT - 8}" opacity=".8"'
        f' text-anchor="{"end" if is_late else "start"}">{budget}</text>'
        f'<text x="{LEFT - 8}" y="{TOP + 5}" text-anchor="end">{quantity.show(highest)}</text>'
        f'<text x="{LEFT - 8}" y="{y(0)}" text-anchor="end">0</text>'
        f'<text x="{LEFT}" y="16" font-weight="600">{label}</text>'
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 8}" text-anchor="end">'
        f"{format_seconds(round(last))}</text>"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        f' aria-label="{label}; {table}" class="curve" font-family="system-ui,sans-serif"'
        f' font-size="13" fill="currentColor">{shapes}</svg>'
    )
