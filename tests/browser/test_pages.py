"""Every page in a real browser: barriers, sizes, languages, and what users may have put into it."""

import gzip
import re
from collections.abc import Iterator
from gettext import NullTranslations
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Response

from service.web import explanations, language
from tests.browser.stock import HOSTILE, HOSTILE_NAME, PAGES

WIDTHS = (320, 1440)
CONTRAST = {"resultTypes": ["violations"], "runOnly": ["color-contrast"]}
ALL_RULES = {"resultTypes": ["violations"]}
MAX_SCRIPT_BYTES = 60_000  # as it would be sent: gzipped
MAX_PAGE_BYTES = 150_000  # without pictures
LOADED = ("document", "script", "stylesheet")
WITH_SUBMISSIONS = ("submissions", "compare", "done", "running", "failed", "leaderboard", "account")
IS_WIDER = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
#: elements and attributes that no template of ours has
INJECTED = "script:not([src]), img[src=x], [onerror], [onload], [onclick], a[href^='javascript:']"
#: names, units and what the stock's data hold
NEUTRAL = set(
    "AutoDL Self Service ALC NAUC AUC UTC SHA GPU winner constant linear steady failing local train"
    " test unlabelled data text csv tfrecord red blue tall small newcomer purist typist"
    " guessing finetune pretrained resnet many classes class number".split()
)
#: what is read or heard, without code, what is in a language of its own, and users' words
SHOWN = """() => {
  const silent = "code, pre, script, style, [lang]:not(html), option, .downloads a, .brand";
  const shown = [document.title];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    if (!walker.currentNode.parentElement.closest(silent)) shown.push(walker.currentNode.data);
  }
  for (const element of document.querySelectorAll("[aria-label], [placeholder], [title]")) {
    if (element.closest(silent)) continue;
    for (const name of ["aria-label", "placeholder", "title"]) {
      shown.push(element.getAttribute(name) ?? "");
    }
  }
  return shown.join(" ");
}"""


def open_shown(page: Page, address: str) -> str:
    """Open a page, whose HTML is returned; the report is shown as what it is made for: a file."""
    response = page.goto(address)
    assert response is not None
    html = response.text()
    assert response.status < 500, html
    if "sandbox" in response.headers.get("content-security-policy", ""):
        page.goto("about:blank")
        page.set_content(html)
    return html


def list_barriers(page: Page, options: dict[str, Any]) -> list[str]:
    return [
        f"{violation['id']}: {node['html'][:200]}: {node['failureSummary']}"
        for violation in Axe().run(page, options=options).response["violations"]
        for node in violation["nodes"]
    ]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_no_barrier(stocked, stock, open_page, name) -> None:
    """On a phone and on a screen; what is dark differs in its colours only."""
    page = open_page(stocked, color_scheme="light")
    open_shown(page, stock[name])
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme="light")
        assert list_barriers(page, ALL_RULES) == []
        assert not page.evaluate(IS_WIDER), f"wider than {width} px"
        page.emulate_media(color_scheme="dark")
        assert list_barriers(page, CONTRAST) == []


def test_no_page_is_heavy(stocked, stock, open_page) -> None:
    page = open_page(stocked)
    loaded: list[Response] = []
    page.on("response", lambda response: loaded.append(response))
    heavy = {}
    for name, address in stock.items():
        loaded.clear()
        page.goto(address)
        own = [r for r in list(loaded) if r.request.resource_type in LOADED and r.ok]
        bodies = [(r.request.resource_type, r.body()) for r in own]
        scripts = sum(len(gzip.compress(body)) for kind, body in bodies if kind == "script")
        total = sum(len(body) for _, body in bodies)
        if scripts > MAX_SCRIPT_BYTES or total > MAX_PAGE_BYTES:
            heavy[name] = (scripts, total)
    assert heavy == {}


def test_nothing_of_a_users_comes_alive(stocked, stock, open_page) -> None:
    """Names, labels and texts that mean harm are words on every page, and nothing else."""
    page = open_page(stocked)
    for name, address in stock.items():
        html = open_shown(page, address)
        assert page.locator(INJECTED).count() == 0, name
        assert "1337" not in page.inner_text("body"), name  # 7 * 191
        for harmful in HOSTILE[:3]:
            assert harmful not in html, name
        if name in WITH_SUBMISSIONS:
            assert HOSTILE_NAME in page.inner_text("body"), name


class Marking(NullTranslations):
    """A language in which every text has brackets around it."""

    def gettext(self, message: str) -> str:
        return f"⟦{message}⟧"

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return self.gettext(msgid1 if n == 1 else msgid2)


def list_unmarked(shown: str) -> list[str]:
    for harmful in (HOSTILE_NAME, *HOSTILE, "of this machine", "adl_"):
        shown = shown.replace(harmful, " ")
        for length in range(len(harmful), 5, -1):  # where there is no room for all of it
            shown = shown.replace(f"{harmful[:length]}…", " ")
    shown = re.sub(r"\d+ \w+\.? \d{4} \d\d:\d\d", " ", shown)  # as French writes a time
    while (without := re.sub(r"⟦[^⟦⟧]*⟧", " ", shown)) != shown:
        shown = without
    return re.findall(r"[^\W\d_]{3,}", shown)


@pytest.fixture
def marked(monkeypatch) -> Iterator[None]:
    """French is ``Marking``; nothing that was kept of it is met by the tests that follow."""
    kept = (explanations._list_explanations, explanations._render)
    for texts in kept:
        texts.cache_clear()
    monkeypatch.setattr(language, "_read_catalogue", lambda _: Marking())
    yield
    for texts in kept:
        texts.cache_clear()


@pytest.mark.usefixtures("marked")
@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_no_text_outside_the_catalogues(stocked, stock, open_page, name) -> None:
    page = open_page(stocked, locale="fr")
    open_shown(page, stock[name])
    assert set(list_unmarked(page.evaluate(SHOWN))) - NEUTRAL == set()


@pytest.mark.parametrize(("locale", "tag"), [("fr-CA", "fr"), ("zh-CN", "zh-Hans")])
def test_the_switch_works_without_javascript(service, open_page, locale, tag) -> None:
    page = open_page(service, locale=locale, java_script_enabled=False)
    page.goto("/submissions")
    assert page.locator("html").get_attribute("lang") == tag
    page.get_by_role("button", name="English").click()
    assert page.url.endswith("/submissions")
    assert page.locator("html").get_attribute("lang") == "en"
