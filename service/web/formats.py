"""Numbers, dates and sizes as the language of the page writes them; and code in a sentence."""

from __future__ import annotations

from datetime import datetime

from babel.dates import format_date
from babel.numbers import format_decimal
from babel.numbers import format_percent as _format_percent
from markupsafe import Markup, escape

from service.web.language import get_language, gettext, ngettext

NONE = "–"
DAY = 86400


def format_number(value: float | None, digits: int | None = None) -> str:
    """With so many digits after the point, else with up to three; a dash where there is none."""
    if value is None:
        return NONE
    pattern = "#,##0.###" if digits is None else "#,##0." + "0" * digits
    return format_decimal(value, pattern, get_language())


def format_percent(value: float | None) -> str:
    """A share of one, in whole percents; a dash where there is none."""
    return NONE if value is None else _format_percent(value, locale=get_language())


def format_time(value: datetime) -> str:
    """A moment, in universal time."""
    return f"{format_date(value, 'medium', get_language())} {value:%H:%M} UTC"


def format_bytes(value: float) -> str:
    """Three digits of the unit that fits."""
    if value < 1000:
        return gettext("%(number)s bytes", number=_format_short(value))
    if value < 1000**2:
        return gettext("%(number)s kB", number=_format_short(value / 1000))
    if value < 1000**3:
        return gettext("%(number)s MB", number=_format_short(value / 1000**2))
    return gettext("%(number)s GB", number=_format_short(value / 1000**3))


def format_seconds(value: float) -> str:
    """Whole and half minutes as such, the rest in seconds."""
    if value >= 60 and value % 30 == 0:
        return gettext("%(number)s min", number=format_number(value / 60))
    return gettext("%(number)s s", number=_format_short(value))


def format_duration(value: float) -> str:
    """Coarse, for an estimate."""
    if value < 5400:
        return gettext("%(number)s min", number=format_number(max(0, round(value / 60))))
    if value >= 2 * DAY:
        return ngettext("one day", "%(num)s days", round(value / DAY))
    return gettext("%(number)s h", number=format_number(value / 3600, 1))


def mark_code(text: str) -> Markup:
    """What stands between backquotes as code; everything escaped."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    marked = [f"<code>{escape(p)}</code>" if i % 2 else escape(p) for i, p in enumerate(parts)]
    return Markup("".join(marked))  # noqa: S704 each part is escaped


def _format_short(value: float) -> str:
    return format_number(float(f"{value:.3g}"))
