"""The pages, as a browser without JavaScript meets them."""

import re
import time

import pytest

from service.accounts.tokens import ensure_local_token
from service.errors import Problem
from service.models import RunKind, Token
from service.submissions import service

HTML = {"Accept": "text/html"}
SAME = {"Origin": "http://testserver", "Accept": "text/html"}
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)> {{ 7*7 }}"


@pytest.fixture
def browser(installation):
    """The client without a bearer token, logged in by the form."""
    del installation.http.headers["Authorization"]
    answer = installation.http.post(
        "/login", files={"token": (None, installation.token)}, headers=SAME
    )
    assert answer.status_code == 200
    return installation.http


def submit(browser, **fields: str) -> str:
    files = {"file": ("flowers.zip", b"PK")}
    answer = browser.post("/submissions", files=files, data=fields, headers=SAME)
    assert answer.status_code == 200, answer.text
    return answer.url.path.rpartition("/")[2]


def test_without_a_session_every_page_is_the_login(installation) -> None:
    del installation.http.headers["Authorization"]
    for path in ("/new", "/submissions/x"):
        answer = installation.http.get(path, headers=HTML)
        assert answer.status_code == 401
        assert f'name="following" value="{path}"' in answer.text


def test_a_login_leads_to_where_one_wanted_to_go(installation) -> None:
    del installation.http.headers["Authorization"]
    form = {"token": (None, installation.token), "following": (None, "/submissions/x")}
    answer = installation.http.post("/login", files=form, headers=SAME, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/submissions/x")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert installation.token.lower() not in cookie


@pytest.mark.parametrize("place", ["https://evil.example/", "//evil.example", "/\\evil.example"])
def test_a_login_never_leads_to_another_site(installation, place) -> None:
    form = {"token": (None, installation.token), "following": (None, place)}
    answer = installation.http.post("/login", files=form, headers=SAME, follow_redirects=False)
    assert answer.headers["location"] == "/"


def test_a_wrong_token_is_refused_in_words(installation) -> None:
    answer = installation.http.post("/login", files={"token": (None, "adl_x")}, headers=SAME)
    assert answer.status_code == 401
    assert "not a token of this service" in answer.text
    assert "set-cookie" not in answer.headers


def test_a_login_link_works_until_its_time_is_over(installation, monkeypatch) -> None:
    del installation.http.headers["Authorization"]
    with installation.context.database.read() as session:
        token_id = session.query(Token).one().id
    sign = installation.context.signer.sign
    links = {
        "good": sign("login", token_id, 60),
        "another purpose": sign("session", token_id, 60),
        "forged": f"{int(time.time()) + 60}.{token_id}.{'0' * 64}",
        "nonsense": "x",
        "over": sign("login", token_id, -1),
    }
    for kind, code in links.items():
        answer = installation.http.get("/login", params={"code": code}, headers=HTML)
        assert answer.status_code == (200 if kind == "good" else 401), kind
        assert ("New submission" in answer.text) == (kind == "good")
        installation.http.cookies.clear()


def test_a_session_ends_with_its_token(installation, browser) -> None:
    assert browser.get("/new", headers=HTML).status_code == 200
    (installation.context.settings.data / "token").unlink()
    ensure_local_token(installation.context.database, installation.context.settings.data / "token")
    assert browser.get("/new", headers=HTML).status_code == 401


def test_logging_out_ends_the_session(browser) -> None:
    assert browser.post("/logout", headers=SAME).status_code == 200
    assert browser.get("/new", headers=HTML).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://testserver:81"},
        {"Origin": "http://testserver", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://testserver", "Sec-Fetch-Site": "same-site"},
    ],
)
def test_another_sites_page_cannot_make_a_browser_act(browser, headers) -> None:
    submission_id = submit(browser)
    for path in ("/submissions", "/v1/submissions", f"/submissions/{submission_id}/cancel"):
        answer = browser.post(path, files={"file": b"PK"}, headers=headers)
        assert answer.status_code == 403
        assert answer.json()["code"] == "cross-site-request"


def test_the_form_uploads_and_shows_the_submission(browser) -> None:
    submission_id = submit(browser, name="My flowers", budget_seconds="90")
    page = browser.get(f"/submissions/{submission_id}", headers=HTML).text
    assert "<h1>My flowers</h1>" in page
    assert "Checking the data" in page
    assert "Waiting for the data to be checked." in page
    assert '<noscript><meta http-equiv="refresh"' in page
    assert "My flowers" in browser.get("/", headers=HTML).text


def test_a_refused_form_says_why_on_a_page(browser) -> None:
    files = {"file": ("flowers.zip", b"PK")}
    data = {"budget_seconds": "0"}
    answer = browser.post("/submissions", files=files, data=data, headers=SAME)
    assert answer.status_code == 422
    assert "The budget must be from 1 to" in answer.text
    assert 'href="/errors#budget-out-of-range"' in answer.text


def test_who_waits_sees_the_place_and_about_how_long(installation, browser) -> None:
    first = submit(browser, budget_seconds="600")
    installation.pass_check(first)
    installation.begin(first, RunKind.SOLVE)
    second = submit(browser)
    installation.pass_check(second)
    page = browser.get(f"/submissions/{second}", headers=HTML).text
    assert "Place 1 in the queue." in page
    assert re.search(r"It starts to learn in \d+ min to \d+ min\.", page)
    assert "in the queue" not in browser.get(f"/submissions/{first}", headers=HTML).text


def test_a_run_at_work_shows_its_curve_as_picture_and_table(installation, browser) -> None:
    submission_id = submit(browser)
    installation.pass_check(submission_id)
    run_id, token = installation.begin(submission_id, RunKind.SOLVE)
    installation.score(run_id, token, (2.0, 0.5, 0.4321), (30.0, 0.9, 0.6543))
    installation.executor.log = b"epoch 3 of 9\n"
    page = browser.get(f"/submissions/{submission_id}", headers=HTML).text
    assert 'role="img"' in page
    assert "ALC 0.6543" in page
    assert '<td class="number">0.4321</td>' in page
    assert "epoch 3 of 9" in page
    assert f'action="/submissions/{submission_id}/cancel"' in page


def test_a_success_shows_figures_downloads_and_no_more_refreshing(installation, browser) -> None:
    submission_id = submit(browser)
    installation.succeed(submission_id, {"predictions.csv": b"1\n", "log.txt": b"done\n"})
    page = browser.get(f"/submissions/{submission_id}", headers=HTML).text
    assert "<dt>ALC</dt><dd>0.6000</dd>" in page
    assert '<th scope="row">&lt;a&gt;</th>' in page
    assert "<dt>train</dt><dd>7 examples</dd>" in page
    assert "refresh" not in page
    assert "/cancel" not in page
    (link,) = re.findall(r'href="(/v1/submissions/[^"]+predictions\.csv)"', page)
    assert browser.get(link).content == b"1\n"


def test_a_rejection_shows_each_finding_with_place_and_hint(installation, browser) -> None:
    submission_id = submit(browser)
    finding = {
        "code": "record-crc-mismatch",
        "severity": "error",
        "message": "The checksum is wrong.",
        "hint": "Copy it with `cp` again.",
        "file": "toy.data/train/a.tfrecord",
        "record": 7,
        "line": None,
    }
    run_id, token = installation.begin(submission_id, RunKind.CHECK)
    error = {"family": "data"} | {k: v for k, v in finding.items() if k != "severity"}
    with installation.context.database.write() as session:
        named = finding | {"item": "cats/7.png"}
        report = {"ok": False, "findings": [named], "summary": {"formatted": {"kind": "image"}}}
        service.finish_check(session, run_id, token, report, error)
    page = browser.get(f"/submissions/{submission_id}", headers=HTML).text
    assert "Data refused" in page
    assert page.count("<code>toy.data/train/a.tfrecord</code>, record 7") == 2
    assert "Copy it with <code>cp</code> again." in page
    assert "item <code>cats/7.png</code>" in page
    assert "An item is a file of yours by its name" in page
    assert "Learning curve" not in page


def test_older_submissions_are_a_link_away(browser, monkeypatch) -> None:
    monkeypatch.setattr("service.web.listing.LISTED", 2)
    for number in range(3):
        submit(browser, name=f"flowers {number}")
    page = browser.get("/submissions", headers=HTML).text
    assert "flowers 0" not in page
    (link,) = re.findall(r'href="(/submissions\?cursor=[^"]+)"', page)
    older = browser.get(link, headers=HTML).text
    assert "flowers 0" in older
    assert "flowers 1" not in older
    assert "Older submissions" not in older
    assert older.count('href="/submissions"') > 1  # back to the newest


def test_the_cancel_button_works(browser) -> None:
    submission_id = submit(browser)
    answer = browser.post(f"/submissions/{submission_id}/cancel", headers=SAME)
    assert "Being canceled" in answer.text
    assert '<button class="quiet" disabled>Cancel</button>' in answer.text


def test_nothing_of_a_users_is_rendered_unescaped(installation, browser) -> None:
    submission_id = submit(browser, name=HOSTILE)
    run_id, token = installation.begin(submission_id, RunKind.CHECK)
    finding = dict.fromkeys(("code", "message", "hint", "file"), f"{HOSTILE} `{HOSTILE}`")
    report = {
        "ok": False,
        "findings": [finding | {"severity": HOSTILE, "record": None, "line": None}],
        "summary": {HOSTILE: HOSTILE},
    }
    error = finding | {"family": "data", "record": None, "line": 3}
    installation.executor.log = HOSTILE.encode()
    with installation.context.database.write() as session:
        service.finish_check(session, run_id, token, report, error)
    for path in (f"/submissions/{submission_id}", "/"):
        page = browser.get(path, headers=HTML).text
        assert "alert(1)" in page
        for live in ("<script>alert", "<img src=x", "\"'><"):
            assert live not in page
        assert "{{ 7*7 }}" in page


def test_pages_have_no_inline_script_or_style(installation, browser) -> None:
    submission_id = submit(browser)
    installation.succeed(submission_id)
    for path in ("/", "/new", f"/submissions/{submission_id}", "/login", "/errors", "/nothing"):
        page = browser.get(path, headers=HTML).text
        assert re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", page) is None
        assert re.search(r'(src|href)="(https?:)?//', page) is None


def test_a_missing_page_is_a_page(browser) -> None:
    answer = browser.get("/nothing", headers=HTML)
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
    assert "There is nothing at this address." in answer.text


def test_every_code_has_its_place_on_the_page_of_errors(installation) -> None:
    del installation.http.headers["Authorization"]
    page = installation.http.get("/errors", headers=HTML).text
    assert '<h3 id="not-a-zip">' in page
    assert '<h3 id="upload-too-large">' in page


def test_a_problem_says_its_status_in_words() -> None:
    assert Problem(422, "field-invalid", "x").title == "Unprocessable Content"
