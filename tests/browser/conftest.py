"""A real browser before the service: Chromium, driven by Playwright.

``site`` is the application over an executor that does nothing: tests play the runs themselves.
``service`` and ``stocked`` have real runs, the latter a page of every kind. A test opens pages with
``open_page``, and fails when one of them had an error, a dialog, or asked another server.
"""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Dialog, Page, sync_playwright

from service.app import create_app
from service.executors.base import Executor
from service.executors.local import LocalExecutor
from service.reconciler import reconciling
from service.settings import Settings
from tests.browser.stock import FAILING, GUESSING, make_stock
from tests.integration.conftest import SECRET, IdleExecutor, Installation

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
PATIENCE_MS = 30_000
PASSWORD = "three unusual words"
GUESTS = Path(__file__).resolve().parents[1] / "guests"
#: that has to do with what the test did, and not with the page
EXPECTED_FAULTS = ("net::ERR_INTERNET_DISCONNECTED", "net::ERR_FAILED", "status of 4")


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium. Playwright's loop ends with this package, for other tests have loops too."""
    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if program is None:
        pytest.skip("no Chromium here; on Debian and Ubuntu: sudo apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program)
        yield browser
        browser.close()


@dataclass
class Site(Installation):
    """The application at an address, and what signs a browser in as its local account."""

    url: str

    def sign_in(self, context: BrowserContext) -> None:
        form = {"token": (None, self.token)}
        answer = httpx2.post(f"{self.url}/login", files=form, headers={"Origin": self.url})
        for name, value in answer.cookies.items():
            context.add_cookies([{"name": name, "value": value, "url": self.url}])


@contextmanager
def serve(data: Path, make_executor: Callable[[Settings], Any], **options: Any) -> Iterator[Site]:
    """The application before a socket, in a thread."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        settings = Settings(
            data=data,
            public_url=url,
            secret=SECRET,
            registration="open",
            sign_in_rate="1000/minute",
            default_budget_seconds=60,
            poll_seconds=0.1,
            gpus=(),
            **options,
        )
        executor: Executor = make_executor(settings)
        app = create_app(settings, executor)
        server = uvicorn.Server(uvicorn.Config(app, log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started and thread.is_alive():
            threading.Event().wait(0.02)
        token = (data / "token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        with httpx2.Client(base_url=url, headers=headers, timeout=60) as http:
            yield Site(app, http, token, executor, url)  # type: ignore[arg-type]
        app.state.context.stopping.set()
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Pages in any state, quickly."""
    with serve(tmp_path_factory.mktemp("site"), lambda _: IdleExecutor()) as site:
        yield site


@contextmanager
def serve_runs(folder: Path) -> Iterator[Site]:
    """Real runs, of guests too."""
    solutions = {"steady": GUESTS / "steady"}
    for name, source in {"failing": FAILING, "guessing": GUESSING}.items():
        solutions[name] = folder / name
        solutions[name].mkdir()
        (solutions[name] / "model.py").write_text(source, encoding="utf-8")
    with serve(folder / "data", LocalExecutor, solutions=solutions, part_bytes=8 * 1024) as site:
        context = site.context
        with reconciling(context.settings, context.database, context.storage, context.executor):
            yield site


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Nothing is in it yet, and its one slot is free."""
    with serve_runs(tmp_path_factory.mktemp("service")) as site:
        yield site


@pytest.fixture(scope="package")
def stocked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """That of ``stock``, whose slot is taken."""
    with serve_runs(tmp_path_factory.mktemp("stocked")) as site:
        yield site


@pytest.fixture(scope="package")
def stock(stocked: Site) -> dict[str, str]:
    """The address of every page, by what it shows."""
    return make_stock(stocked)


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """A page of a new browser session; options are Playwright's, like ``java_script_enabled``."""
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def open_page(site: Site, *, signed_in: bool = True, **options: Any) -> Page:
        context = browser.new_context(base_url=site.url, reduced_motion="reduce", **options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        if signed_in:
            site.sign_in(context)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(f"error: {error}"))
        page.on("dialog", note_dialog)
        page.on("console", note_console)
        page.on("request", lambda request: note_request(request.url, site.url))
        return page

    def note_console(message: Any) -> None:
        expected = any(known in message.text for known in EXPECTED_FAULTS)
        if message.type == "error" and not expected:
            faults.append(f"console: {message.text}")

    def note_dialog(dialog: Dialog) -> None:
        faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def note_request(address: str, url: str) -> None:
        if not address.startswith((f"{url}/", "blob:", "data:")):
            faults.append(f"request: {address}")

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []
