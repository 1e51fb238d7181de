"""The administrators' page and the leaderboard."""

import re
from datetime import timedelta

import pytest

from service.accounts.tokens import Scope, create_session
from service.models import Account, AuditEntry, Publication, Run, RunKind, Submission, utc_now
from service.submissions import service
from service.submissions.keeping import purge_rows
from tests.integration.test_access import add_account
from tests.integration.test_comparing_pages import HOSTILE, succeed

SAME = {"Origin": "http://testserver"}


@pytest.fixture
def browser(installation):
    """The installation's client as the administrator's browser."""
    with installation.context.database.write() as session:
        account_id = session.query(Account).one().id
        cookie = create_session(session, account_id, 600)
    del installation.http.headers["Authorization"]
    installation.http.cookies.set("autodl_session", cookie)
    return installation.http


def act(browser, **fields: str):
    token = re.search(r'name="form_token" value="([0-9a-f]+)"', browser.get("/admin").text)[1]
    form = {key: (None, value) for key, value in (fields | {"form_token": token}).items()}
    return browser.post("/admin", files=form, headers=SAME)


def test_what_is_stuck_or_has_failed_comes_first(installation) -> None:
    names = ("good", "late", "unseen")
    ids = {name: installation.submit(name=name) for name in names}
    for name in names:
        installation.pass_check(ids[name])
        run_id, _ = installation.begin(ids[name], RunKind.SOLVE)
        with installation.context.database.write() as session:
            run = session.get_one(Run, run_id)
            run.observed_at = utc_now() - timedelta(seconds=120 * (name == "unseen"))
            run.deadline = utc_now() + timedelta(hours=-1 if name == "late" else 1)
    failed = installation.submit(name="broken")
    run_id, _ = installation.begin(failed, RunKind.CHECK)
    with installation.context.database.write() as session:
        submission, run = session.get_one(Submission, failed), session.get_one(Run, run_id)
        error = {"family": "platform", "code": "run-lost", "message": "The node was lost."}
        service.end_with_points(session, submission, run, error)
    page = installation.http.get("/admin").text
    first = page[page.index('id="attention"') :].partition("</section>")[0]
    assert "No reconciler leads" in first
    assert re.findall(r"✗ (good|late|unseen)<", first) == ["late", "unseen"]
    assert "It is past all its limits" in first
    assert "Nobody has seen it for a minute" in first
    assert "The node was lost." in first
    assert "the platform's" in first
    assert page.index('id="attention"') < page.index('id="workers"') < page.index('id="queue"')
    assert "foreign code could read this machine" in page  # the isolation that was reached


def test_an_administrator_acts_and_is_recorded(installation, browser) -> None:
    ada_id, _ = add_account(installation, "ada")
    submission_id = installation_submit(installation)
    assert act(browser, action="cancel", id=submission_id).status_code == 200
    changed = act(
        browser, action="change-account", id=ada_id, role="member", submissions_per_day="3",
        stored_bytes="-",
    )  # fmt: skip
    assert changed.status_code == 200
    assert act(browser, action="change-account", id=ada_id, disabled="yes").status_code == 200
    invited = act(browser, action="invite", email="").text
    assert re.search(r"/sign-up\?invitation=[\w-]{32}", invited)
    with installation.context.database.read() as session:
        ada = session.get_one(Account, ada_id)
        assert ada.limits == {"submissions_per_day": 3, "stored_bytes": None}
        assert ada.disabled_at is not None
        assert session.get_one(Submission, submission_id).cancel_wanted
        actions = [entry.action for entry in session.query(AuditEntry).order_by(AuditEntry.id)]
    assert actions == [
        "submission.canceled",
        "account.changed",
        "account.changed",
        "invitation.created",
    ]
    page = browser.get("/admin").text
    assert "account.changed" in page
    assert "■ disabled" in page


def installation_submit(installation) -> str:
    """By a token, while the client is a browser."""
    installation.http.headers["Authorization"] = f"Bearer {installation.token}"
    submission_id = installation.submit(name="waiting")
    del installation.http.headers["Authorization"]
    return submission_id


def test_a_wrong_form_changes_nothing_and_says_why(installation, browser) -> None:
    ada_id, _ = add_account(installation, "ada")
    wrong = act(browser, action="change-account", id=ada_id, role="member", parallel_runs="many")
    assert wrong.status_code == 422
    assert "A limit is a number of at least 0" in wrong.text
    with installation.context.database.read() as session:
        assert session.get_one(Account, ada_id).limits == {}
    forged = {"action": (None, "invite"), "form_token": (None, "0" * 64)}
    assert browser.post("/admin", files=forged, headers=SAME).status_code == 403
    alone = re.search(r'value="([0-9a-f-]{36})"', browser.get("/admin").text)[1]
    demoted = act(browser, action="change-account", id=alone, role="member")
    assert "Nobody could manage the accounts any more." in demoted.text


def test_members_do_not_see_the_administrators_page(installation) -> None:
    _, token = add_account(installation, "ada")
    answer = installation.http.get("/admin", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 403
    assert answer.json()["code"] == "administrators-only"


def publish(installation, submission_id: str, dataset="Flowers", author="ada"):
    form = {"dataset": (None, dataset), "author": (None, author)}
    return installation.http.post(f"/submissions/{submission_id}/publish", files=form)


def test_the_leaderboard_has_the_best_of_each_solution_on_the_same_data(installation) -> None:
    for solution, alc in (("winner", 0.55), ("winner", 0.7), ("linear", 0.6)):
        shown = publish(installation, succeed(installation, solution=solution, alc=alc))
        assert shown.status_code == 200
    publish(installation, succeed(installation, content=b"PK other"), dataset="Birds")
    secret = succeed(installation, name="not shown")
    boards = installation.http.get("/v1/leaderboard").json()["items"]
    assert [board["dataset"] for board in boards] == ["Birds", "Flowers"]
    ranks = [(e["rank"], e["solution"], e["alc"]) for e in boards[1]["entries"]]
    assert ranks == [(1, "winner", 0.7), (2, "linear", 0.6)]
    page = installation.http.get("/leaderboard").text
    assert page.index("0.7000") < page.index("0.6000", page.index("0.7000"))
    assert "0.5500" not in page[page.index("Flowers") :].partition("</section>")[0]
    assert "not shown" not in page
    assert secret not in page


def test_a_result_leaves_the_leaderboard_with_its_owners_word_or_its_submission(
    installation,
) -> None:
    first, second = (succeed(installation, content=b"PK %d" % n) for n in range(2))
    for number, submission_id in enumerate((first, second)):
        publish(installation, submission_id, dataset=f"data {number}")
    assert "Take it out of the leaderboard" in installation.http.get(f"/submissions/{first}").text
    installation.http.post(f"/submissions/{first}/withdraw")
    installation.http.post(f"/submissions/{second}/delete")
    assert installation.http.get("/v1/leaderboard").json() == {"items": []}
    with installation.context.database.write() as session:
        submission = session.get_one(Submission, second)
        purge_rows(session, submission)
        assert session.query(Publication).count() == 0


def test_only_a_result_is_shown_and_only_by_its_owner(installation) -> None:
    waiting = installation.submit()
    assert publish(installation, waiting).json()["code"] == "result-not-found"
    done = succeed(installation)
    assert publish(installation, done, dataset="").json()["code"] == "field-invalid"
    _, other = add_account(installation, "ada", *Scope)
    path, body = f"/v1/submissions/{done}/publication", {"dataset": "x", "author": "y"}
    headers = {"Authorization": f"Bearer {other}"}
    assert installation.http.put(path, json=body, headers=headers).status_code == 404
    assert installation.http.put(path, json=body).json()["dataset"] == "x"
    assert installation.http.put(path, json=body | {"dataset": "z"}).json()["dataset"] == "z"
    assert installation.http.delete(path).status_code == 204
    assert installation.http.delete(path).status_code == 204


def test_nothing_in_the_leaderboard_is_rendered_unescaped(installation) -> None:
    publish(installation, succeed(installation), dataset=HOSTILE, author=HOSTILE)
    page = installation.http.get("/leaderboard").text
    assert "alert(1)" in page
    for live in ("<script>alert", "<img src=x", "\"'><"):
        assert live not in page


def test_of_a_long_queue_the_page_shows_the_beginning(installation, monkeypatch) -> None:
    monkeypatch.setattr("service.web.admin.QUEUED", 2)
    for number in range(3):
        installation.submit(name=f"waiting {number}")
    queue = installation.http.get("/admin").text.partition('id="queue"')[2]
    assert "waiting 1" in queue
    assert "waiting 2" not in queue.partition("</section>")[0]
    assert "The first 2 of 3." in queue
