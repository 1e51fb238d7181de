"""Which language a page has, and how it writes."""

from contextvars import copy_context
from datetime import UTC, datetime

import pytest

from service.web import formats
from service.web.explanations import explain, render_explanations
from service.web.language import choose_language, find_text, gettext, ngettext, use_language


def within(language: str, call, *arguments, **named):
    """The answer of ``call`` on a page in the language."""

    def run():
        use_language(language)
        return call(*arguments, **named)

    return copy_context().run(run)


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "en"),
        ("*", "en"),
        ("fr-CH, fr;q=0.9, en;q=0.8", "fr"),
        ("zh-CN,zh;q=0.9", "zh_Hans"),
        ("ZH-hant", "zh_Hans"),  # rather than English
        ("en;q=0.2, fr;q=0.7", "fr"),
        ("de, fr;q=0.1", "fr"),
        ("fr;q=0, zh;q=0.001", "zh_Hans"),
        ("fr;q=nan", "en"),
        ("\x00,;;=, fr", "fr"),
    ],
)
def test_the_browsers_preference_counts(accepted, language) -> None:
    assert choose_language(None, accepted) == language


def test_a_choice_counts_more_and_an_unknown_one_not_at_all() -> None:
    assert choose_language("zh_Hans", "fr") == "zh_Hans"
    assert choose_language("../../etc", "fr") == "fr"


def test_numbers_dates_and_sizes_are_the_languages() -> None:
    moment = datetime(2026, 3, 9, 14, 5, tzinfo=UTC)
    assert within("en", formats.format_time, moment) == "Mar 9, 2026 14:05 UTC"
    assert within("fr", formats.format_time, moment) == "9 mars 2026 14:05 UTC"
    assert within("zh_Hans", formats.format_time, moment) == "2026年3月9日 14:05 UTC"
    assert within("en", formats.format_number, 1234.56789, 2) == "1,234.57"
    assert within("fr", formats.format_number, 0.5, 4) == "0,5000"
    assert formats.format_number(None) == formats.format_percent(None) == "–"
    assert formats.format_percent(0.934) == "93%"
    assert formats.format_bytes(8 * 1024**3) == "8.59 GB"
    assert formats.format_bytes(999) == "999 bytes"
    assert within("fr", formats.format_bytes, 2_500_000) == "2,5 Mo"
    assert formats.format_seconds(90) == "1.5 min"
    assert formats.format_seconds(1234.5) == "1,230 s"
    assert formats.format_duration(200) == "3 min"
    assert within("fr", formats.format_duration, 5400) == "1,5 h"


def test_values_go_into_the_translation_and_unknown_texts_stay() -> None:
    assert within("fr", gettext, "It is good until %(time)s. You can revoke it on the"
                  " submission's page.", time="demain").startswith("Il est valable")  # fmt: skip
    assert within("fr", ngettext, "one example", "%(num)s examples", 3) == "3 exemples"
    assert within("fr", find_text, "100 % of nothing") == "100 % of nothing"
    assert within("fr", find_text, "") == ""


def test_a_code_is_explained_in_the_language_of_the_page() -> None:
    assert explain("not-a-zip") == ""  # in English the message says more
    assert "zip" in within("fr", explain, "not-a-zip")
    assert within("fr", explain, "not-a-zip") != within("zh_Hans", explain, "not-a-zip")
    assert within("fr", explain, "no-such-code") == ""
    assert '<h3 id="not-a-zip">' in within("zh_Hans", render_explanations)
