"""A newcomer's whole way: with JavaScript, without it, and without a mouse."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.conftest import PASSWORD
from tests.browser.stock import make_table

TABLE = {"name": "texts.csv", "mimeType": "text/csv", "buffer": make_table()}
BUDGET_SECONDS = "5"
PATIENCE_MS = 60_000
SHIFTS = """() => {
  window.shifted = 0;
  window.isTheSamePage = true;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifted += entry.value;
  }).observe({ type: "layout-shift", buffered: false });
}"""


@pytest.fixture
def until(request: pytest.FixtureRequest) -> Callable[[Page, Locator], None]:
    """Waits for what will be on the page, looking again where no script does it."""

    def wait(page: Page, wanted: Locator) -> None:
        for _ in range(PATIENCE_MS // 500):
            if wanted.count():
                return
            page.wait_for_timeout(500)
            page.reload()
        raise TimeoutError(f"{wanted} is not on {page.url}:\n{page.inner_text('main')}")

    return wait


def sign_up(page: Page, name: str) -> None:
    page.goto("/sign-up")
    page.get_by_label("E-mail address, or a name of your own").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign up").click()
    page.get_by_role("link", name="New submission").click()


def fill_in(page: Page, name: str) -> None:
    page.locator("#file").set_input_files(TABLE)
    page.get_by_label("Name").fill(name)
    page.get_by_label("Time budget").fill(BUDGET_SECONDS)
    page.get_by_label("Solution").select_option("steady")
    page.get_by_label("Let me look at the data report").check()


def read_report_and_start(page: Page) -> None:
    expect(page.get_by_role("heading", name="Data report")).to_be_visible()
    expect(page.get_by_text("no findings")).to_have_count(0)
    page.get_by_role("button", name="Start the run").click()


def download(page: Page, name: str) -> str:
    with page.expect_download() as waited:
        page.get_by_role("link", name=name, exact=True).first.click()
    return waited.value.path().read_text(encoding="utf-8")


def share(page: Page) -> str:
    """The link, which is shown once; then back to the submission."""
    page.get_by_role("button", name="Share").click()
    link = page.locator("main a.break").get_attribute("href")
    assert link is not None
    page.locator(".crumb a").click()
    return link


def revoke_and_delete(page: Page, visitor: Page, link: str) -> None:
    """Whoever has the link sees the results, and no more after it was revoked."""
    visitor.goto(link)
    expect(visitor.locator(".figures").first).to_be_visible()
    expect(visitor.get_by_role("button", name="Delete for good")).to_have_count(0)
    page.get_by_role("button", name="Revoke the link").click()
    assert visitor.goto(link).status == 403
    address = page.url
    page.get_by_text("Delete this submission").click()
    page.get_by_role("button", name="Delete for good").click()
    assert page.goto(address).status == 410


def test_the_whole_way_with_a_cut_connection(service, open_page) -> None:
    page = open_page(service, signed_in=False)
    sign_up(page, "newcomer")
    fill_in(page, "my texts")
    sent: list[str] = []
    is_cut = False

    def pass_some(route: Route) -> None:
        nonlocal is_cut
        if route.request.method == "PUT":
            is_cut = is_cut or len(sent) == 2
            if is_cut:
                route.abort("internetdisconnected")
                return
            sent.append(route.request.url)
        route.continue_()

    page.route("**/v1/uploads/**", pass_some)
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_text("The connection is lost")).to_be_visible()
    assert len(sent) == 2
    page.unroute("**/v1/uploads/**")
    page.get_by_role("button", name="Start the run").wait_for(timeout=PATIENCE_MS)
    read_report_and_start(page)

    page.evaluate(SHIFTS)
    rows = page.locator("#points tbody th")
    expect(rows.nth(1)).to_be_attached(timeout=PATIENCE_MS)
    expect(page.get_by_role("img", name=re.compile("Learning curve, ALC"))).to_be_visible()
    few = rows.count()
    expect(rows.nth(few)).to_be_attached(timeout=PATIENCE_MS)
    assert page.evaluate("window.isTheSamePage")
    assert page.evaluate("window.shifted") == 0
    expect(page.locator("#status .state")).to_contain_text("Done", timeout=PATIENCE_MS)
    assert page.evaluate("window.isTheSamePage")

    assert download(page, "predictions.csv").count("\n") > 10
    revoke_and_delete(page, open_page(service, signed_in=False), share(page))


def test_the_whole_way_without_javascript(service, open_page, until) -> None:
    options: dict[str, Any] = {"java_script_enabled": False, "signed_in": False}
    page = open_page(service, **options)
    sign_up(page, "purist")
    fill_in(page, "my texts")
    page.get_by_role("button", name="Upload").click()
    if not page.url.endswith("/data"):
        page.goto(f"{page.url}/data")
    until(page, page.get_by_role("button", name="Start the run"))
    read_report_and_start(page)
    until(page, page.locator("#points tbody th"))
    until(page, page.locator("#status .state", has_text="Done"))
    assert download(page, "predictions.csv").count("\n") > 10
    revoke_and_delete(page, open_page(service, **options), share(page))


class Keyboard:
    """Somebody who has only that."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def go_to(self, wanted: Locator) -> None:
        """With the Tab key, from wherever one is; where one is can be seen."""
        wanted.wait_for(state="attached")
        for _ in range(120):
            self.page.keyboard.press("Tab")
            if wanted.evaluate("(element) => element === document.activeElement"):
                outline = wanted.evaluate("(element) => getComputedStyle(element).outlineStyle")
                assert outline != "none", f"the focus on {wanted} cannot be seen"
                return
        raise AssertionError(f"{wanted} is not reached by the Tab key")

    def press(self, wanted: Locator, key: str = "Enter") -> None:
        self.go_to(wanted)
        self.page.keyboard.press(key)

    def write(self, wanted: Locator, text: str) -> None:
        self.go_to(wanted)
        self.page.keyboard.press("Control+a")
        self.page.keyboard.type(text)


def test_the_whole_way_by_keyboard(service, open_page) -> None:
    page = open_page(service, signed_in=False)
    keyboard = Keyboard(page)
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    keyboard.press(page.get_by_role("link", name="Sign up"))
    keyboard.write(page.get_by_label("E-mail address, or a name of your own"), "typist")
    keyboard.write(page.get_by_label("Password"), PASSWORD)
    page.keyboard.press("Enter")
    keyboard.press(page.get_by_role("link", name="New submission"))
    with page.expect_file_chooser() as chooser:
        keyboard.press(page.locator("#file"))
    chooser.value.set_files(TABLE)  # the dialog is the system's, not ours
    keyboard.write(page.get_by_label("Name"), "typed")
    keyboard.write(page.get_by_label("Time budget"), BUDGET_SECONDS)
    keyboard.go_to(page.get_by_label("Solution"))
    page.keyboard.type("constant")
    keyboard.press(page.get_by_label("Let me look at the data report"), "Space")
    keyboard.press(page.get_by_role("button", name="Upload"))
    page.get_by_role("button", name="Start the run").wait_for(timeout=PATIENCE_MS)
    keyboard.press(page.get_by_role("button", name="Start the run"))
    keyboard.press(page.get_by_text("The curve as a table"))
    expect(page.locator("#points")).to_be_visible()
    expect(page.locator("#status .state")).to_contain_text("Done", timeout=PATIENCE_MS)
    keyboard.press(page.get_by_role("button", name="Share"))
    keyboard.press(page.locator(".crumb a"))
    keyboard.press(page.get_by_role("button", name="Revoke the link"))
    keyboard.press(page.get_by_text("Delete this submission"))
    address = page.url
    keyboard.press(page.get_by_role("button", name="Delete for good"))
    page.wait_for_url(lambda url: url != address)
    assert page.goto(address).status == 410
