"""What owners see of their account, and how they remove what is theirs."""

import re

from tests.integration.test_pages import HTML, SAME, browser, submit  # noqa: F401 a fixture


def act(browser, **fields: str):  # noqa: F811 the fixture
    token = re.search(r'name="form_token" value="(\w+)"', browser.get("/account").text)[1]
    form = {name: (None, value) for name, value in {"form_token": token, **fields}.items()}
    return browser.post("/account", files=form, headers=SAME)


def test_the_ledger_says_what_was_used_and_what_came_back(installation, browser) -> None:  # noqa: F811
    submission_id = submit(browser, budget_seconds="90")
    installation.succeed(submission_id)
    page = browser.get("/account", headers=HTML).text
    ledger = page[page.index("What was used, and what came back") :]
    assert "accepted: the most that it can cost" in ledger
    assert '<td class="number">1.5</td>' in ledger
    assert '<td class="number">-1.5</td>' in ledger
    assert ledger.count(f'href="/submissions/{submission_id}"') == 2


def test_everything_is_deleted_by_who_is_sure(installation, browser) -> None:  # noqa: F811
    ids = [submit(browser, name=f"data {number}") for number in range(2)]
    installation.succeed(ids[0])
    assert act(browser, action="delete-everything").status_code == 422
    assert browser.get(f"/submissions/{ids[0]}", headers=HTML).status_code == 200
    assert act(browser, action="delete-everything", sure="on").status_code == 200
    for submission_id in ids:
        assert browser.get(f"/submissions/{submission_id}", headers=HTML).status_code == 410
    assert "data 0" not in browser.get("/submissions", headers=HTML).text
