"""From files on one's disk to a submission, in a real browser: cuts, folders, and no script."""

import io
import re
import threading
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from service.web.samples import make_sample
from tests.browser.conftest import serve
from tests.browser.stock import wait_for
from tests.integration.conftest import IdleExecutor

ROWS = 2_000
PUT = re.compile(r"/v1/uploads/[^/]+/parts/\d+")


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("table") / "My fruits.csv"
    header = ",".join([*(f"size{column}" for column in range(8)), "label"])
    rows = (
        ",".join([*(f"{n / (7 + column):.4f}" for column in range(8)), "ab"[n % 2]])
        for n in range(ROWS)
    )
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def submission_of(page: Page) -> str:
    page.wait_for_url(re.compile(r"/submissions/[0-9a-f-]{36}$"))
    return page.url.rpartition("/")[2]


def test_a_cut_upload_goes_on_and_waits_for_a_look(service, open_page, table) -> None:
    page = open_page(service)
    cuts = iter(range(3))

    def cut_some(route: Route) -> None:
        if next(cuts, None) is not None:
            route.abort("failed")
        else:
            route.continue_()

    page.route(PUT, cut_some)
    page.goto("/new")
    page.set_input_files("#file", table)
    expect(page.locator("[data-chosen-status]")).to_contain_text("My fruits.csv")
    page.get_by_label("Name").fill("with cuts")
    page.get_by_label("Time budget").fill("20")
    page.get_by_label("Solution").select_option("constant")
    page.get_by_label("Let me look").check()
    page.get_by_role("button", name="Upload").click()
    submission_id = submission_of(page)
    assert next(cuts, None) is None, "nothing was cut"
    assert wait_for(service, submission_id, "held") == "held"
    page.goto(f"/submissions/{submission_id}/data")
    expect(page.get_by_role("heading", name="Classes and their balance")).to_be_visible()
    expect(page.locator(".examples li").first).to_be_visible()
    page.get_by_role("button", name="Start the run").click()
    assert submission_of(page) == submission_id
    assert wait_for(service, submission_id, "queued", "running", "scoring") != "held"
    service.http.post(f"/v1/submissions/{submission_id}/cancel")


def test_an_upload_goes_on_after_the_page_was_left(service, open_page, table, tmp_path) -> None:
    copy = tmp_path / "left alone.csv"
    copy.write_bytes(table.read_bytes() + b"1,2,3,4,5,6,7,8,a\n")  # else the service would know it
    page = open_page(service)
    sent: list[str] = []
    full = threading.Event()

    def let_two_through(route: Route) -> None:
        sent.append(route.request.url)
        if len(sent) > 2 and not full.is_set():
            route.abort("failed")
        else:
            route.continue_()

    page.route(PUT, let_two_through)
    page.goto("/new")
    page.set_input_files("#file", copy)
    page.get_by_role("button", name="Upload").click()
    expect(page.locator("[data-upload-status]")).to_contain_text("The connection is lost")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("[data-upload-status]")).to_contain_text("Paused at")
    page.reload()
    expect(page.locator("[data-chosen-status]")).to_contain_text("left alone.csv was sent to")
    full.set()
    sent.clear()
    page.set_input_files("#file", copy)
    page.get_by_label("Let me look").check()
    page.get_by_role("button", name="Upload").click()
    submission_id = submission_of(page)
    parts = -(-copy.stat().st_size // service.context.settings.part_bytes)
    assert len(sent) < parts, "what had arrived was sent again"
    service.http.post(f"/v1/submissions/{submission_id}/cancel")


def test_a_folder_is_sent_as_it_is(service, open_page, tmp_path) -> None:
    with zipfile.ZipFile(io.BytesIO(make_sample("shapes"))) as archive:
        archive.extractall(tmp_path, archive.namelist()[::5])
    (tmp_path / "shapes/.DS_Store").write_bytes(b"left behind")
    page = open_page(service)
    page.goto("/new")
    page.set_input_files("[data-folder-input]", tmp_path / "shapes")
    expect(page.locator("[data-chosen-status]")).to_contain_text("shapes: 48 files")
    page.get_by_label("Let me look").check()
    page.get_by_role("button", name="Upload").click()
    submission_id = submission_of(page)
    assert wait_for(service, submission_id, "held") == "held"
    found = service.http.get(f"/v1/submissions/{submission_id}/report").json()["summary"]
    assert found["formatted"]["kind"] == "image"
    page.goto(f"/submissions/{submission_id}/data")
    picture = page.locator(".examples img").first
    expect(picture).to_be_visible()
    assert picture.evaluate("(image) => image.decode().then(() => image.naturalWidth)") == 32
    page.get_by_role("button", name="Discard").click()
    expect(page.locator("#status")).to_contain_text(re.compile("Canceled|Being canceled"))


def test_without_scripts_the_form_does_it_all(site, open_page, tmp_path) -> None:
    (tmp_path / "plain.csv").write_text("a,label\n1,x\n2,y\n")
    page = open_page(site, java_script_enabled=False)
    page.goto("/new")
    page.set_input_files("#file", tmp_path / "plain.csv")
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_role("heading", name="plain")).to_be_visible()


def test_what_the_service_refuses_is_said_beside_the_button(site, open_page, tmp_path) -> None:
    (tmp_path / "empty.csv").write_text("")
    page = open_page(site)
    page.goto("/new")
    page.set_input_files("#file", tmp_path / "empty.csv")
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_role("alert")).to_contain_text("size_bytes")
    page.get_by_role("button", name="Upload").focus()
    expect(page.get_by_role("button", name="Upload")).to_be_enabled()


def test_a_sample_is_one_click(site, open_page) -> None:
    page = open_page(site)
    page.goto("/")
    page.get_by_role("button", name="A table").click()
    expect(page.get_by_role("heading", name="fruits")).to_be_visible()


def test_parts_go_straight_to_a_store_of_another_origin(browser, s3, tmp_path) -> None:
    path = tmp_path / "large.zip"
    path.write_bytes(bytes(range(256)) * 24 * 1024)  # two parts of what S3 takes at least
    idle = IdleExecutor()
    with serve(tmp_path / "data", lambda _: idle, storage=s3.create(), part_bytes=5 << 20) as site:
        context = browser.new_context(base_url=site.url)
        site.sign_in(context)
        page = context.new_page()
        sent: list[str] = []
        page.on("request", lambda r: sent.append(r.url) if r.method == "PUT" else None)
        page.goto("/new")
        page.set_input_files("#file", path)
        page.get_by_role("button", name="Upload").click()
        submission = site.http.get(f"/v1/submissions/{submission_of(page)}").json()
        context.close()
        key = f"uploads/{submission['upload_id']}/bundle.zip"
        assert site.context.storage.read(key) == path.read_bytes()
    assert len(sent) == 2
    assert all(url.startswith(f"{s3.endpoint}/") for url in sent)
