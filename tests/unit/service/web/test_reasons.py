"""Reasons in the language of the page: those that the service gives are known."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.web.reasons import find_reason, say_reason
from tests.unit.service.web.test_language import within

ROOT = Path(__file__).resolve().parents[4]
SOURCES = [*(ROOT / "service/submissions").glob("*.py"), ROOT / "service/worker/supervisor.py"]
NAMES = {"cause", "reason", "status_reason"}


def list_texts(value: ast.expr) -> Iterator[str]:
    """What an expression may say, with a 7 for each value in it."""
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        yield value.value
    elif isinstance(value, ast.JoinedStr):
        yield "".join(v.value if isinstance(v, ast.Constant) else "7" for v in value.values)  # type: ignore[misc]
    elif isinstance(value, ast.IfExp):
        yield from list_texts(value.body)
        yield from list_texts(value.orelse)
    elif isinstance(value, ast.BoolOp):
        for part in value.values:
            yield from list_texts(part)


def list_reasons(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            is_progress = getattr(node.func, "attr", "") == "_write"
            for keyword in node.keywords:
                if keyword.arg in NAMES or (is_progress and keyword.arg == "message"):
                    yield from list_texts(keyword.value)
        elif isinstance(node, ast.Assign):
            names = {getattr(t, "id", getattr(t, "attr", "")) for t in node.targets}
            if names & NAMES:
                yield from list_texts(node.value)


def test_every_reason_that_the_service_gives_is_known() -> None:
    reasons = {reason for path in SOURCES for reason in list_reasons(path)}
    assert len(reasons) > 15
    assert {reason for reason in reasons if find_reason(reason) is None} == set()


@pytest.mark.parametrize(
    ("reason", "french"),
    [
        ("Waiting for a free slot.", "En attente d'une place libre."),
        ("Waiting for a free slot: 3 submissions are ahead.", "3 soumissions sont devant"),
        ("Waiting for a free slot: about 1,200 submissions are ahead.", "environ 1,200"),
        ("The run disappeared. Waiting for a free slot to start again.", "a disparu. En attente"),
        ("Formatting the data: 40 %.", "40 %"),
    ],
)
def test_a_reason_keeps_its_numbers(reason, french) -> None:
    assert french.replace("'", "&#39;") in within("fr", say_reason, reason)


def test_what_is_not_known_is_marked_as_english_and_escaped() -> None:
    said = within("fr", say_reason, "<b> `x`")
    assert said == '<span lang="en">&lt;b&gt; <code>x</code></span>'
    assert say_reason("<b> `x`") == "&lt;b&gt; <code>x</code>"
