"""A submission that waits until its owner has seen the report."""

import re

import pytest

from service.models import RunKind, Submission
from service.submissions import repository, service
from tests.integration.test_api_refusals import expect

HTML = {"Accept": "text/html"}
SAME = {"Origin": "http://testserver", "Accept": "text/html"}


@pytest.fixture
def held(installation) -> str:
    submission_id = installation.submit(review="yes")
    installation.pass_check(submission_id)
    return f"/v1/submissions/{submission_id}"


def test_it_is_held_and_says_until_when(installation, held) -> None:
    body = installation.http.get(held).json()
    assert body["state"] == "held"
    assert not body["is_over"]
    assert body["held_until"] > body["updated_at"]
    assert "start the run, until" in body["status_reason"]
    assert body["queue_position"] is None
    assert installation.http.get(f"{held}/report").status_code == 200


def test_starting_it_twice_queues_it_once(installation, held) -> None:
    for _ in range(2):
        answer = installation.http.post(f"{held}/start")
        assert answer.status_code == 202
        assert answer.json()["state"] == "queued"
        assert answer.json()["held_until"] is None
    with installation.context.database.read() as session:
        steps = repository.list_transitions(session, held.rpartition("/")[2])
    assert [step.to_state for step in steps] == ["validating", "held", "queued"]


def test_it_can_be_discarded(installation, held) -> None:
    assert installation.http.post(f"{held}/cancel").status_code == 202
    answer = installation.http.post(f"{held}/start")
    expect(answer, 409, "submission-ended")


def test_it_cannot_be_started_before_its_check(installation) -> None:
    submission_id = installation.submit(review="yes")
    answer = installation.http.post(f"/v1/submissions/{submission_id}/start")
    expect(answer, 409, "submission-not-checked")


def test_without_a_review_nothing_is_held(installation) -> None:
    submission_id = installation.submit()
    installation.pass_check(submission_id)
    answer = installation.http.get(f"/v1/submissions/{submission_id}").json()
    assert answer["state"] == "queued"


@pytest.mark.parametrize(
    ("field", "value"),
    [("test", "1.5"), ("test", "much"), ("review", "perhaps"), ("label", "x" * 3000)],
)
def test_a_wrong_option_is_refused_by_its_name(installation, field, value) -> None:
    answer = installation.http.post(
        "/v1/submissions", files={"file": ("a.csv", b"x")}, data={field: value}
    )
    expect(answer, 422, "field-invalid")
    assert field in answer.json()["detail"]


def test_a_form_may_name_what_was_uploaded_before(installation) -> None:
    upload = installation.http.put("/v1/uploads?name=my%20table.csv", content=b"a,b\n1,2\n").json()
    fields = {"upload_id": upload["id"], "label": "b, c", "separator": " ", "test": "0.4"}
    form = {name: (None, value) for name, value in fields.items()}
    answer = installation.http.post("/v1/submissions", files=form)
    assert answer.status_code == 202, answer.text
    assert answer.json()["name"] == "my table"
    with installation.context.database.read() as session:
        source = session.get_one(Submission, answer.json()["id"]).source
    assert source == {
        "name": "my table.csv",
        "label": ["b", "c"],
        "separator": " ",
        "test": 0.4,
    }


def test_a_rerun_keeps_what_was_said_and_can_correct_it(installation) -> None:
    file = {"file": ("t.csv", b"a,b\n")}
    first = installation.http.post(
        "/v1/submissions", files=file, data={"label": "a", "test": "0.3"}
    )
    address = f"/v1/submissions/{first.json()['id']}/rerun"
    again = installation.http.post(address, json={"label": "b"}).json()
    with installation.context.database.read() as session:
        source = session.get_one(Submission, again["id"]).source
    assert source == {"name": "t.csv", "label": ["b"], "separator": None, "test": 0.3}


def test_the_bundle_that_was_made_is_the_submissions(installation) -> None:
    submission_id = installation.submit()
    run_id, token = installation.begin(submission_id, RunKind.CHECK)
    made = {"size_bytes": 5, "sha256": "a" * 64}
    with installation.context.database.write() as session:
        report = {"ok": True, "findings": [], "summary": {}}
        service.finish_check(session, run_id, token, report, None, made)
    body = installation.http.get(f"/v1/submissions/{submission_id}").json()
    assert body["bundle"] == made
    with installation.context.database.read() as session:
        key = session.get_one(Submission, submission_id).bundle_key
    assert key == f"runs/{run_id}/bundle.zip"


class TestPages:
    @pytest.fixture
    def browser(self, installation):
        del installation.http.headers["Authorization"]
        form = {"token": (None, installation.token)}
        assert installation.http.post("/login", files=form, headers=SAME).status_code == 200
        return installation.http

    def test_the_report_is_shown_before_the_run_starts(self, installation, browser) -> None:
        files = {"file": ("flowers.zip", b"PK")}
        page = browser.post("/submissions", files=files, data={"review": "yes"}, headers=SAME)
        submission_id = page.url.path.rpartition("/")[2]
        installation.pass_check(submission_id)
        page = browser.get(f"/submissions/{submission_id}/data", headers=HTML).text
        assert "Nothing wrong was found." in page
        assert '<th scope="row">&lt;a&gt;</th>' in page
        (start,) = re.findall(r'action="(/submissions/[^"]+/start)"', page)
        page = browser.post(start, headers=SAME).text
        assert "Waiting for a free slot." in page
        assert start not in browser.get(f"/submissions/{submission_id}/data", headers=HTML).text

    def test_a_sample_is_a_click_away_and_stored_once(self, installation, browser) -> None:
        for _ in range(2):
            page = browser.post("/samples/fruits", headers=SAME)
            assert page.status_code == 200
            assert "<h1>fruits</h1>" in page.text
        assert len(installation.context.storage.list_folders("uploads")) == 1
        assert browser.post("/samples/nothing", headers=SAME).status_code == 404

    def test_whoever_comes_by_sees_what_this_is(self, installation) -> None:
        del installation.http.headers["Authorization"]
        page = installation.http.get("/", headers=HTML)
        assert page.status_code == 200
        assert 'href="/login"' in page.text
        assert "/samples/" not in page.text
        assert "Log out" not in page.text

    def test_parts_may_go_to_the_store_from_the_form_alone(
        self, installation, browser, monkeypatch
    ) -> None:
        monkeypatch.setattr(
            type(installation.context.storage), "origin", "https://store.example:8333"
        )
        policies = {
            path: browser.get(path, headers=HTML).headers["content-security-policy"]
            for path in ("/new", "/")
        }
        assert "connect-src 'self' https://store.example:8333;" in policies["/new"]
        assert "store.example" not in policies["/"]
