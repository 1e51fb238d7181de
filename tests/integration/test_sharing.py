"""Links to a submission: for reading it, until they expire or are revoked."""

from datetime import timedelta

import pytest
from starlette.testclient import TestClient

from service.models import ShareLink, utc_now
from service.submissions import sharing
from tests.integration.test_api_refusals import expect


@pytest.fixture
def submission_id(installation) -> str:
    submission_id = installation.submit()
    installation.succeed(submission_id, {"predictions.csv": b"1\n"})
    return submission_id


@pytest.fixture
def link(installation, submission_id) -> dict:
    answer = installation.http.post(f"/v1/submissions/{submission_id}/shares")
    assert answer.status_code == 201, answer.text
    return answer.json()


@pytest.fixture
def guest(installation, link) -> TestClient:
    return client(installation, {"Authorization": f"Bearer {link['token']}"})


def client(installation, headers: dict[str, str]) -> TestClient:
    return TestClient(installation.app, headers=headers, raise_server_exceptions=False)


def test_a_link_reads_everything_of_its_submission(guest, submission_id) -> None:
    own = f"/v1/submissions/{submission_id}"
    assert guest.get(own).json()["id"] == submission_id
    for part in ("curve", "curve.svg", "log", "report", "files", "files/predictions.csv"):
        assert guest.get(f"{own}/{part}").status_code == 200, part
    assert "event: done" in guest.get(f"{own}/events").text


def test_a_link_changes_nothing_and_reads_nothing_else(installation, guest, submission_id) -> None:
    own = f"/v1/submissions/{submission_id}"
    other = installation.submit()
    expect(guest.get(f"/v1/submissions/{other}"), 403, "share-link-invalid")
    for method, address in (
        ("GET", "/v1/submissions"),
        ("POST", "/v1/submissions"),
        ("DELETE", own),
        ("PATCH", own),
        ("POST", f"{own}/cancel"),
        ("POST", f"{own}/rerun"),
        ("POST", f"{own}/shares"),
        ("GET", f"{own}/shares"),
        ("POST", "/v1/uploads"),
    ):
        expect(guest.request(method, address), 401, "token-invalid")


def test_its_token_is_shown_once_and_kept_as_a_digest(installation, submission_id, link) -> None:
    listed = installation.http.get(f"/v1/submissions/{submission_id}/shares").json()["items"]
    assert [item["id"] for item in listed] == [link["id"]]
    assert "token" not in listed[0]
    with installation.context.database.read() as session:
        row = session.get_one(ShareLink, link["id"])
        assert link["token"] not in {row.hash, row.id}
        assert sharing.find_link(session, link["token"]) is row


def test_a_revoked_link_opens_nothing(installation, guest, submission_id, link) -> None:
    shares = f"/v1/submissions/{submission_id}/shares"
    assert installation.http.delete(f"{shares}/{link['id']}").status_code == 204
    expect(guest.get(f"/v1/submissions/{submission_id}"), 403, "share-link-invalid")
    expect(installation.http.delete(f"{shares}/{link['id']}"), 404, "share-link-not-found")


def test_an_expired_link_opens_nothing(installation, guest, submission_id, link) -> None:
    with installation.context.database.write() as session:
        row = session.get_one(ShareLink, link["id"])
        row.expires_at = utc_now() - timedelta(seconds=1)
    expect(guest.get(f"/v1/submissions/{submission_id}"), 403, "share-link-invalid")
    listed = installation.http.get(f"/v1/submissions/{submission_id}/shares").json()["items"]
    assert listed == []


@pytest.mark.parametrize("seconds", [0, 59, 10**9, "soon", None])
def test_its_time_has_limits(installation, submission_id, seconds) -> None:
    address = f"/v1/submissions/{submission_id}/shares"
    answer = installation.http.post(address, json={"expires_in_seconds": seconds})
    expect(answer, 422, "field-invalid")


def test_there_are_not_too_many(installation, submission_id, monkeypatch) -> None:
    monkeypatch.setattr(sharing, "MAX_LINKS", 2)
    address = f"/v1/submissions/{submission_id}/shares"
    statuses = [installation.http.post(address).status_code for _ in range(2)]
    assert statuses == [201, 201]
    expect(installation.http.post(address), 400, "share-links-too-many")


class TestPage:
    def test_the_link_leads_to_the_page_and_leaves_no_token_in_it(
        self, installation, link, submission_id
    ) -> None:
        guest = client(installation, {"Accept": "text/html"})
        opened = guest.get(link["url"], follow_redirects=False)
        assert opened.status_code == 303
        assert opened.headers["location"] == f"/submissions/{submission_id}"
        assert opened.headers["referrer-policy"] == "no-referrer"
        assert opened.headers["x-robots-tag"] == "noindex"
        page = guest.get(f"/submissions/{submission_id}")
        assert page.status_code == 200
        assert link["token"] not in page.text
        assert page.headers["x-robots-tag"] == "noindex"
        own = f"/v1/submissions/{submission_id}"
        assert guest.get(f"{own}/files/predictions.csv").status_code == 200
        assert guest.get(f"{own}/curve.svg").status_code == 200

    def test_the_page_offers_a_guest_no_change(self, installation, link, submission_id) -> None:
        other = installation.submit()
        address = f"/v1/submissions/{other}/shares"
        url = installation.http.post(address).json()["url"]
        guest = client(installation, {"Accept": "text/html"})
        page = guest.get(url)
        assert page.status_code == 200
        assert "<form" not in page.text.partition("<main")[2].partition("</main")[0]
        assert "Log out" not in page.text
        owners = installation.http.get(f"/submissions/{other}")
        assert f'action="/submissions/{other}/cancel"' in owners.text

    def test_a_link_that_is_none_is_said_to_be_none(self, installation) -> None:
        guest = client(installation, {"Accept": "text/html"})
        page = guest.get("/shared/adlshare_" + "x" * 43)
        assert page.status_code == 403
        assert "has expired or was revoked" in page.text
