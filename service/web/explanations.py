"""What each error code means: ``docs/errors.md``, in the language of the page.

The API's messages are English, with names and numbers in them. Where a page speaks another language
it gives the explanation of the code, and the message beside it as it is.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import IO, Any

from markdown_it import MarkdownIt
from markupsafe import Markup

from autodl.errors import AutoDLError
from service.web.language import ENGLISH, find_text, get_language

DOCUMENT = Path(__file__).parent / "errors.md"  # a link to that of docs/
_BLOCK = re.compile(r"^(#+) +(.+)|((?:^(?!#).+\n?)+)", re.M)
CODE_DEPTH = 3  # of the headings that are codes


def explain(code: str) -> str:
    """The meaning of a code, with code between backquotes; empty where the message is read itself.

    That is in English, and for a code that is not ours.
    """
    return _list_explanations(get_language()).get(code, "")


def put_in_words(error: AutoDLError) -> str:
    """What a form says of a refusal."""
    return explain(error.code) or f"{error.message} {error.hint}".strip()


def render_explanations() -> Markup:
    """All of them as HTML; the headings have their codes as ids."""
    return _render(get_language())


def extract_texts(
    file: IO[bytes], *_: Any, **__: Any
) -> Iterator[tuple[int, None, str, list[str]]]:
    """The document's texts, for Babel (``make messages``)."""
    for depth, text in _split(file.read().decode()):
        if depth != CODE_DEPTH:
            yield 0, None, text, []


def _split(document: str) -> Iterator[tuple[int, str]]:
    """Headings, with their depth, and paragraphs, of depth 0."""
    for marks, heading, paragraph in _BLOCK.findall(document):
        yield len(marks), " ".join((heading or paragraph).split())


def _translate_blocks() -> Iterator[tuple[int, str]]:
    for depth, text in _split(DOCUMENT.read_text(encoding="utf-8")):
        yield depth, text.strip("`") if depth == CODE_DEPTH else find_text(text)


@cache
def _list_explanations(language: str) -> dict[str, str]:
    found: dict[str, str] = {}
    if language == ENGLISH:
        return found
    code = ""
    for depth, text in _translate_blocks():
        if depth:
            code = text if depth == CODE_DEPTH else ""
        elif code:
            found[code] = f"{found.get(code, '')} {text}".strip()
    return found


@cache
def _render(_language: str) -> Markup:
    marks = {0: "", CODE_DEPTH: "### `"}
    document = "\n\n".join(
        marks.get(depth, f"{'#' * depth} ") + text + "`" * (depth == CODE_DEPTH)
        for depth, text in _translate_blocks()
    )
    markdown = MarkdownIt("commonmark")
    tokens = markdown.parse(document)
    for heading, content in itertools.pairwise(tokens):
        if heading.type == "heading_open":
            heading.attrSet("id", content.content.strip("`"))
    html = markdown.renderer.render(tokens, markdown.options, {})
    return Markup(html)  # noqa: S704 our own document
