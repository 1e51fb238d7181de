"""The catalogues are whole, and there is no text outside them."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from babel.messages import Catalog
from babel.messages.frontend import CommandLineInterface
from babel.messages.pofile import read_po
from jinja2 import nodes

from service.web.language import ENGLISH, LANGUAGES, LOCALES
from service.web.rendering import templates

ROOT = Path(__file__).resolve().parents[4]
OTHERS = [language for language in LANGUAGES if language != ENGLISH]
PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]|%%|\{\w+\}|`[^`]+`|</?\w+[^>]*>")
WORDS = re.compile(r"[A-Z][a-z]+|[a-z]+ [a-z]+", re.I)
SHOWN_ATTRIBUTES = {"aria-label", "alt", "placeholder", "title"}
NAMES = {"AutoDL Self-Service", "SHA-256", "adl_…"}


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Catalog:
    """Every text that `make messages` finds."""
    path = tmp_path_factory.mktemp("messages") / "messages.pot"
    CommandLineInterface().run(
        [
            *("pybabel", "-q", "extract", "-F", str(ROOT / "pyproject.toml"), "--no-location"),
            *("--ignore-dirs", ".* build tests node_modules", "-o", str(path), str(ROOT)),
        ]
    )
    with path.open("rb") as file:
        return read_po(file)


def read(language: str) -> Catalog:
    with (LOCALES / language / "LC_MESSAGES/messages.po").open("rb") as file:
        return read_po(file, locale=language)


@pytest.mark.parametrize("language", OTHERS)
def test_every_text_is_translated_and_no_other(source, language) -> None:
    """If this fails: `make messages`, then fill in what is empty."""
    catalogue = read(language)
    assert {m.id for m in source} - {m.id for m in catalogue} == set()
    assert {m.id for m in catalogue} - {m.id for m in source} == set()
    texts = [m for m in catalogue if m.id]
    assert [m.id for m in texts if m.fuzzy] == []
    empty = [m.id for m in texts if not all(m.string if m.pluralizable else [m.string])]
    assert empty == []


@pytest.mark.parametrize("language", OTHERS)
def test_a_translation_has_the_same_values_code_and_tags(language) -> None:
    def list_placeholders(text: str) -> list[str]:
        return sorted(PLACEHOLDER.findall(text))

    wrong = [
        (m.id, string)
        for m in read(language)
        if m.id
        for string in (m.string if m.pluralizable else [m.string])
        if list_placeholders(string) != list_placeholders(m.id[-1] if m.pluralizable else m.id)
        and not (m.pluralizable and list_placeholders(string) == list_placeholders(m.id[0]))
    ]
    assert wrong == []


class ShownText(HTMLParser):
    """What of a page a reader sees or hears."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.silent += tag in ("code", "style")
        self.found += [v for k, v in attrs if k in SHOWN_ATTRIBUTES and v]

    def handle_endtag(self, tag: str) -> None:
        self.silent -= tag in ("code", "style")

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.found.append(data)


def list_bare_texts(source: str) -> Iterator[str]:
    """Words of a template that stand outside `_()`, `ngettext()` and `{% trans %}`."""
    without = re.sub(r"\{%-?\s*trans\b.*?endtrans\s*-?%\}|\{#.*?#\}", "", source, flags=re.S)
    shown = ShownText()
    shown.feed(re.sub(r"\{\{.*?\}\}|\{%.*?%\}", "", without, flags=re.S))
    yield from (" ".join(t.split()) for t in shown.found if WORDS.search(t))
    for output in templates.parse(without).find_all(nodes.Output):
        for value in output.nodes:
            yield from _list_literals(value)


def _list_literals(node: nodes.Node) -> Iterator[str]:
    """Strings that an expression may put on the page."""
    if isinstance(node, nodes.Const):
        if isinstance(node.value, str) and re.search(r"[A-Za-z]\w* \w|[A-Z][a-z]", node.value):
            yield node.value
    elif isinstance(node, nodes.CondExpr | nodes.Or | nodes.Concat | nodes.Add):
        for child in node.iter_child_nodes():
            yield from _list_literals(child)


@pytest.mark.parametrize("name", templates.list_templates(["html"]))
def test_a_template_has_no_text_outside_the_catalogues(name) -> None:
    assert templates.loader is not None
    source, _, _ = templates.loader.get_source(templates, name)
    assert [t for t in list_bare_texts(source) if t.strip("· ") not in NAMES] == []


@pytest.mark.parametrize(
    "source",
    [
        "<p>Two words</p>",
        "<p>Word</p>",
        '<a title="Two words"></a>',
        '{{ "Two words" if x else _("y") }}',
        '<b aria-label="Word"></b>',
    ],
)
def test_bare_texts_are_seen(source) -> None:
    assert list(list_bare_texts(source))


@pytest.mark.parametrize(
    "source", ['<p class="two words">{{ _("Two words") }} <code>a b</code></p>', "{# Two words #}"]
)
def test_other_texts_are_let_be(source) -> None:
    assert list(list_bare_texts(source)) == []
