"""The language of the pages: the texts in the code are English, and the keys of the catalogues."""

from __future__ import annotations

from contextvars import ContextVar
from gettext import NullTranslations
from typing import Any

ENGLISH = "en"

_current: ContextVar[str] = ContextVar("language", default=ENGLISH)


def N_(text: str) -> str:  # noqa: N802 gettext's own name
    """Marks a text for the catalogues that is translated where it is shown."""
    return text


def find_text(text: str) -> str:
    """The text in the language of the page, or itself; nothing is put into it."""
    return _find_catalogue(_current.get()).gettext(text) if text else ""


def find_plural(singular: str, plural: str, number: int) -> str:
    """Like ``find_text``, in the form that goes with the number."""
    return _find_catalogue(_current.get()).ngettext(singular, plural, number)


def gettext(text: str, **values: Any) -> str:
    """The text in the language of the page, with its ``%(name)s`` filled in."""
    return find_text(text) % values


def ngettext(singular: str, plural: str, number: int, **values: Any) -> str:
    """Like ``gettext``, in the form that goes with the number, which is ``%(num)s``."""
    return find_plural(singular, plural, number) % {"num": number, **values}


def _find_catalogue(language: str) -> NullTranslations:
    return NullTranslations()
