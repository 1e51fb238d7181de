"""Accounts that go for good."""

from sqlalchemy import select

from service.accounts import removal
from service.models import Account, AuditEntry, Submission
from tests.integration.test_accounts import ADA, GOOD, SAME, act, post, site  # noqa: F401 a fixture


def test_a_removed_account_leaves_nothing_that_tells_who_it_was(site) -> None:  # noqa: F811 the fixture
    browser, other = site.browser(), site.add("bob")
    post(browser, "/sign-up", identifier=ADA, password=GOOD)
    post(browser, "/verify", code=site.read_code("/verify"), password=GOOD)
    token = browser.post("/v1/account/tokens", headers=SAME, json={"name": "Ada's"}).json()
    hook = {"url": "https://93.184.216.34/ada"}
    assert browser.post("/v1/webhooks", headers=SAME, json=hook).status_code == 201
    files = {"file": ("ada.zip", b"PK of Ada")}
    made = browser.post("/v1/submissions", headers=SAME | {"Idempotency-Key": "k"}, files=files)
    assert made.status_code == 202
    assert act(browser, "remove-account").status_code == 422  # who is not sure
    gone = act(browser, "remove-account", sure="on")
    assert "no longer here" in gone.text
    assert "Log out" not in gone.text

    assert "Sign in" in browser.get("/account", headers=SAME).text
    bearer = {"Authorization": f"Bearer {token['token']}"}
    assert site.browser().get("/v1/account", headers=bearer).status_code == 401
    assert post(site.browser(), "/login", identifier=ADA, password=GOOD).status_code == 401
    assert post(site.browser(), "/sign-up", identifier=ADA, password=GOOD).status_code == 200
    assert site.mails()[0]["To"] == ADA  # the address is free again
    assert other.get("/v1/account").json()["name"] == "bob"
    with site.context.database.read() as session:
        removed = session.scalars(select(Account).where(Account.name.like("removed %"))).one()
        assert (removed.email, removed.password_hash, removed.limits) == (None, None, {})
        for table in removal.OWNED:
            query = select(table).where(table.account_id == removed.id)
            assert session.scalars(query).all() == [], table
        assert session.scalars(select(AuditEntry.target)).all() == [removed.id]
        assert all(s.deleted_at for s in session.scalars(select(Submission)))


def test_the_last_administrator_and_the_installations_own_account_stay(site) -> None:  # noqa: F811 the fixture
    ada = site.add("ada")
    assert "Nobody could manage" in act(ada, "remove-account", sure="on").text
    assert ada.get("/v1/account").json()["name"] == "ada"
    secret = (site.settings.data / "token").read_text().strip()
    bearer = {"Authorization": f"Bearer {secret}"}
    answer = site.browser().delete("/v1/account", headers=bearer)
    assert (answer.status_code, answer.json()["code"]) == (409, "administrator-needed")
