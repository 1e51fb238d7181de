"""Quotas, the queue and webhooks over HTTP, for users and for administrators."""

import re

import pytest

from service.executors.base import RunKind
from service.models import Submission
from service.notifications.delivery import Deliverer
from service.submissions import repository, service
from tests.integration.conftest import SECRET
from tests.integration.test_accounts import SAME, Site

THEIRS = {"family": "data", "code": "no-train", "message": "There is no training data.", "hint": ""}


@pytest.fixture
def site(tmp_path):
    site = Site(
        tmp_path,
        quota_submissions_per_day=2,
        quota_compute_minutes_per_day=500,
        quota_stored_bytes=1000,
        default_budget_seconds=60,
    )
    with site.browser():
        yield site


@pytest.fixture
def admin(site):
    token = (site.settings.data / "token").read_text().strip()
    return site.browser(headers={"Authorization": f"Bearer {token}"})


@pytest.fixture
def ada(site, admin):
    """A member; the first to sign up is an administrator."""
    site.add("first")
    browser = site.add("ada")
    browser.headers.update(SAME)
    return browser


def submit(browser, content: bytes = b"PK"):
    return browser.post("/v1/submissions", files={"file": ("a.zip", content)})


def account_id(browser) -> str:
    return browser.get("/v1/account").json()["id"]


def reject(site, submission_id: str) -> None:
    with site.context.database.write() as session:
        submission = session.get_one(Submission, submission_id)
        run = service.create_run(session, submission, RunKind.CHECK, "idle", SECRET)
        session.flush()
        token = repository.make_token(SECRET, run.id)
        service.finish_check(session, run.id, token, {"findings": [], "summary": {}}, THEIRS)


def test_a_quota_is_shown_before_an_upload_and_is_what_counts(site, ada) -> None:
    before = ada.get("/v1/quota")
    assert before.json()["submissions_per_day"] == {"used": 0, "limit": 2, "left": 2}
    assert before.headers["ratelimit-policy"] == '"submissions";q=2;w=86400'
    assert re.fullmatch(r'"submissions";r=2;t=\d+', before.headers["ratelimit"])
    made = [submit(ada) for _ in range(2)]
    assert [answer.status_code for answer in made] == [202, 202]
    left = [re.fullmatch(r'"submissions";r=(\d);t=\d+', a.headers["ratelimit"])[1] for a in made]
    assert left == ["1", "0"]
    after = ada.get("/v1/quota").json()
    assert after["submissions_per_day"]["left"] == 0
    assert after["compute_minutes_per_day"]["used"] == 2
    refused = submit(ada)
    assert (refused.status_code, refused.json()["code"]) == (429, "quota-exceeded")
    assert refused.json()["quota"] == "submissions_per_day"
    assert refused.json()["resets_at"] == after["resets_at"].replace("Z", "+00:00")
    assert 1 <= int(refused.headers["retry-after"]) <= 86400
    assert refused.headers["ratelimit-policy"] == '"submissions";q=2;w=86400'
    assert refused.headers["ratelimit"].startswith('"submissions";r=0;t=')
    assert len(ada.get("/v1/submissions").json()["items"]) == 2


def test_every_route_that_counts_tells_the_rate(site, ada) -> None:
    begun = ada.post("/v1/uploads", json={"size_bytes": 2})
    whole = ada.put("/v1/uploads", content=b"PK")
    made = ada.post("/v1/submissions", json={"upload_id": whole.json()["id"]})
    again = ada.post(f"/v1/submissions/{made.json()['id']}/rerun")
    for answer, left in ((begun, 2), (whole, 2), (made, 1), (again, 0)):
        assert answer.headers["ratelimit"].startswith(f'"submissions";r={left};t='), answer.text
        assert answer.headers["ratelimit-policy"] == '"submissions";q=2;w=86400'


def test_the_form_says_what_is_left_and_how_long_it_would_take(site, ada) -> None:
    page = ada.get("/new").text
    assert "2 of 2 submissions left today" in page
    assert "One submission is ahead" not in page
    submit(ada)
    page = ada.get("/new").text
    assert "1 of 2 submissions left today" in page
    assert "One submission is ahead" in page


def test_refused_data_cost_nothing(site, ada) -> None:
    for _ in range(3):
        answer = submit(ada)
        assert answer.status_code == 202
        reject(site, answer.json()["id"])
    assert ada.get("/v1/quota").json()["submissions_per_day"]["used"] == 0


def test_storage_is_bounded_and_a_refused_upload_leaves_nothing(site, ada) -> None:
    submission_id = submit(ada, b"x" * 600).json()["id"]
    assert ada.get("/v1/quota").json()["stored_bytes"]["used"] == 600
    refused = submit(ada, b"y" * 600)
    assert (refused.status_code, refused.json()["quota"]) == (429, "stored_bytes")
    assert site.context.storage.list("uploads") != []
    assert ada.get("/v1/quota").json()["stored_bytes"]["used"] == 600
    assert ada.get("/v1/quota").json()["submissions_per_day"]["used"] == 1
    reject(site, submission_id)
    assert submit(ada, b"z" * 300).status_code == 202


def test_administrators_see_and_change_what_others_may(site, ada, admin) -> None:
    path = f"/v1/admin/accounts/{account_id(ada)}"
    change = {"limits": {"submissions_per_day": None, "stored_bytes": 5}, "weight": 2}
    assert admin.patch(path, json=change).status_code == 200
    assert ada.get("/v1/quota").json()["submissions_per_day"]["limit"] is None
    assert ada.get("/v1/quota").json()["stored_bytes"]["limit"] == 5
    view = admin.get(path).json()
    assert (view["weight"], view["quota"]["stored_bytes"]["limit"]) == (2, 5)
    assert admin.patch(path, json={"limits": {}}).json()["limits"] == {}
    assert ada.get("/v1/quota").json()["submissions_per_day"]["limit"] == 2
    first = admin.get("/v1/admin/accounts", params={"limit": 2}).json()
    rest = admin.get("/v1/admin/accounts", params={"cursor": first["next_cursor"]}).json()
    assert [a["name"] for a in first["items"] + rest["items"]] == ["local", "first", "ada"]
    actions = [entry["action"] for entry in admin.get("/v1/admin/audit").json()["items"]]
    assert actions == ["account.changed"] * 2


@pytest.mark.parametrize(
    "change",
    [
        {"limits": {"submissions_per_day": -1}},
        {"limits": {"parallel_runs": 0}},
        {"limits": {"unknown": 1}},
        {"limits": {"stored_bytes": 0.5}},
        {"weight": 0},
        {"role": "king"},
        {"name": "x"},
        [],
    ],
)
def test_a_change_that_means_nothing_is_refused(ada, admin, change) -> None:
    answer = admin.patch(f"/v1/admin/accounts/{account_id(ada)}", json=change)
    assert (answer.status_code, answer.json()["code"]) == (422, "field-invalid")


def test_somebody_must_manage_the_accounts(site, admin) -> None:
    own = f"/v1/admin/accounts/{account_id(admin)}"
    answer = admin.patch(own, json={"disabled": True})
    assert (answer.status_code, answer.json()["code"]) == (409, "administrator-needed")
    assert admin.get("/v1/admin/accounts/nobody").status_code == 404


def test_the_queue_tells_everyone_their_own_place(site, ada, admin) -> None:
    empty = ada.get("/v1/queue").json()
    assert empty["next"] == {"position": 1, "starts_in_seconds": {"low": 0, "high": 0}}
    others = admin.post("/v1/submissions", files={"file": ("a.zip", b"PK")}).json()["id"]
    own = submit(ada).json()["id"]
    queue = ada.get("/v1/queue", params={"budget_seconds": 600}).json()
    assert queue["waiting"] == 2
    assert queue["next"]["position"] == 3
    assert queue["next"]["starts_in_seconds"]["high"] > 0
    assert [(p["submission_id"], p["position"]) for p in queue["yours"]] == [(own, 2)]
    assert others not in str(queue)
    whole = admin.get("/v1/admin/queue").json()["items"]
    assert [p["submission_id"] for p in whole] == [others, own]
    assert ada.get("/v1/queue", params={"budget_seconds": 0}).status_code == 422


def test_an_administrator_cancels_anybodys_submission(ada, admin) -> None:
    submission_id = submit(ada).json()["id"]
    answer = admin.post(f"/v1/admin/submissions/{submission_id}/cancel")
    assert answer.status_code == 202
    assert "Being canceled" in ada.get(f"/v1/submissions/{submission_id}").json()["status_reason"]
    assert admin.get("/v1/admin/audit").json()["items"][0]["action"] == "submission.canceled"
    assert admin.post("/v1/admin/submissions/x/cancel").status_code == 404


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1/", "https://169.254.169.254/latest", "http://example.org", "x" * 9]
)
def test_a_webhook_to_an_inner_address_is_refused(ada, url) -> None:
    answer = ada.post("/v1/webhooks", json={"url": url})
    assert (answer.status_code, answer.json()["code"]) == (422, "webhook-url-refused")
    assert ada.get("/v1/webhooks").json()["items"] == []


def test_a_webhook_is_made_tested_looked_at_and_removed(site, ada) -> None:
    made = ada.post("/v1/webhooks", json={"url": "https://1.1.1.1/hook"}).json()
    assert made["secret"].startswith("whsec_")
    path = f"/v1/webhooks/{made['id']}"
    assert ada.post(f"{path}/test").json()["state"] == "pending"
    site_webhook = ada.get("/v1/webhooks").json()["items"]
    assert [w["id"] for w in site_webhook] == [made["id"]]
    assert "secret" not in site_webhook[0]
    assert ada.delete(path).status_code == 204
    Deliverer(site.settings, site.context.database).tick()
    assert ada.get(f"{path}/deliveries").status_code == 404
    assert ada.post(f"{path}/test").status_code == 404


def test_an_ended_submission_is_told_to_each_webhook(site, ada) -> None:
    webhook = ada.post("/v1/webhooks", json={"url": "https://1.1.1.1/hook"}).json()
    submission_id = submit(ada).json()["id"]
    reject(site, submission_id)
    (told,) = ada.get(f"/v1/webhooks/{webhook['id']}/deliveries").json()["items"]
    assert (told["event"], told["state"]) == ("submission.rejected", "pending")
