"""The language of the pages: the texts in the code are English, and the keys of the catalogues.

A catalogue is ``locales/LANGUAGE/LC_MESSAGES/messages.po``, read as it is: there is nothing to
compile, and nothing that could be older than it. ``make messages`` collects new texts into it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from gettext import NullTranslations
from io import BytesIO
from pathlib import Path
from typing import Any

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import Translations

ENGLISH = "en"
#: what Babel calls a language, and what its speakers do
LANGUAGES = {ENGLISH: "English", "fr": "Français", "zh_Hans": "简体中文"}
LOCALES = Path(__file__).parent / "locales"
_WANTED = re.compile(  # RFC 9110, 12.5.4: fr-CH, fr;q=0.9
    r"\s*([a-z]{1,8})(?:-[a-z0-9-]*)?\s*(?:;\s*q=([01](?:\.\d{0,3})?))?\s*(?:,|$)", re.I | re.A
)

_current: ContextVar[str] = ContextVar("language", default=ENGLISH)


def get_language() -> str:
    """Of the page that is being made."""
    return _current.get()


def use_language(language: str) -> None:
    """From here on, in this request."""
    _current.set(language)


def get_locale() -> str:
    """The same as an account keeps it: a tag of BCP 47."""
    return get_language().replace("_", "-")


@contextmanager
def speaking(locale: str) -> Iterator[None]:
    """Within the block, texts are in an account's language."""
    language = locale.replace("-", "_")
    before = _current.set(language if language in LANGUAGES else ENGLISH)
    try:
        yield
    finally:
        _current.reset(before)


def choose_language(chosen: str | None, accepted: str) -> str:
    """What was chosen here before, else what the browser's ``Accept-Language`` prefers."""
    if chosen in LANGUAGES:
        return chosen
    ours = {language.partition("_")[0]: language for language in LANGUAGES}
    wanted = [(float(q or 1), ours.get(tag.lower())) for tag, q in _WANTED.findall(accepted)]
    known = [(weight, language) for weight, language in wanted if language and weight > 0]
    return max(known, key=lambda item: item[0])[1] if known else ENGLISH


def N_(text: str) -> str:  # noqa: N802 gettext's own name
    """Marks a text for the catalogues that is translated where it is shown."""
    return text


def find_text(text: str) -> str:
    """The text in the language of the page, or itself; nothing is put into it."""
    return _read_catalogue(get_language()).gettext(text) if text else ""


def find_plural(singular: str, plural: str, number: int) -> str:
    """Like ``find_text``, in the form that goes with the number."""
    return _read_catalogue(get_language()).ngettext(singular, plural, number)


def gettext(text: str, **values: Any) -> str:
    """The text in the language of the page, with its ``%(name)s`` filled in."""
    return find_text(text) % values


def ngettext(singular: str, plural: str, number: int, **values: Any) -> str:
    """Like ``gettext``, in the form that goes with the number, which is ``%(num)s``."""
    return find_plural(singular, plural, number) % {"num": number, **values}


@cache
def _read_catalogue(language: str) -> NullTranslations:
    if language == ENGLISH:
        return NullTranslations()
    with (LOCALES / language / "LC_MESSAGES/messages.po").open("rb") as file:
        catalogue = read_po(file, locale=language)
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Translations(compiled)
