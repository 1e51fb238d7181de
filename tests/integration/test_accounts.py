"""Signing up, in and out, as browsers and clients meet it."""

import re
from email import message_from_bytes
from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.testclient import TestClient

from service.accounts.tokens import Scope
from service.app import create_app
from service.models import Account, BrowserSession, Token
from service.notifications.delivery import Deliverer
from service.settings import Settings
from tests.integration.conftest import SECRET, IdleExecutor

SAME = {"Origin": "http://testserver", "Accept": "text/html"}
GOOD = "three unusual words"
ADA = "ada@example.org"


class Site:
    """A service that takes sign-ups, and browsers before it."""

    def __init__(self, folder, **settings) -> None:
        options = {
            "registration": "open",
            "secret": SECRET,
            "gpus": (),
            "sign_in_rate": "99/minute",
        }
        self.settings = Settings(data=folder / "data", **(options | settings))
        self.app = create_app(self.settings, IdleExecutor())

    @property
    def context(self):
        return self.app.state.context

    def browser(self, **options) -> TestClient:
        return TestClient(self.app, raise_server_exceptions=False, **options)

    def mails(self) -> list:
        """Those that were delivered by now, oldest first; each once."""
        Deliverer(self.settings, self.context.database).tick()
        files = sorted(self.settings.data.glob("mails/*.eml"))
        mails = [message_from_bytes(path.read_bytes()) for path in files]
        for path in files:
            assert path.stat().st_mode & 0o777 == 0o600
            path.unlink()
        return mails

    def read_code(self, path: str) -> str:
        """The code in the one new mail's link to that page."""
        (mail,) = self.mails()
        link = re.search(r"http\S+", mail.get_payload(decode=True).decode())[0]
        assert urlsplit(link).path == path
        return parse_qs(urlsplit(link).query)["code"][0]

    def add(self, name: str, password: str = GOOD) -> TestClient:
        """A browser that has signed up with a pseudonym."""
        browser = self.browser()
        assert post(browser, "/sign-up", identifier=name, password=password).status_code == 200
        return browser

    def count(self, table) -> int:
        with self.context.database.read() as session:
            return session.query(table).count()


def post(browser, path: str, headers=SAME, **fields: str):
    files = {name: (None, value) for name, value in fields.items()}
    return browser.post(path, files=files, headers=headers)


def act(browser, action: str, **fields: str):
    """One of the forms of the account's page."""
    page = browser.get("/account", headers=SAME).text
    form_token = re.search(r'name="form_token" value="(\w+)"', page)[1]
    return post(browser, "/account", action=action, form_token=form_token, **fields)


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    with site.browser():
        yield site


def test_a_pseudonym_signs_up_out_and_in(site) -> None:
    browser = site.add("Grace H.")
    assert browser.get("/v1/account").json()["name"] == "Grace H."
    assert post(browser, "/logout").status_code == 200
    assert browser.get("/v1/account").status_code == 401
    assert post(browser, "/login", identifier=" Grace  H. ", password="wrong").status_code == 401
    assert post(browser, "/login", identifier="Grace H.", password=GOOD).status_code == 200
    assert browser.get("/v1/account").json()["role"] == "admin"  # the first one
    assert site.add("second").get("/v1/account").json()["role"] == "member"


def test_an_address_is_confirmed_before_it_opens_anything(site) -> None:
    browser = site.browser()
    answer = post(browser, "/sign-up", identifier="Ada@Example.org", password=GOOD)
    assert "Look at your mail" in answer.text
    assert post(browser, "/login", identifier=ADA, password=GOOD).status_code == 401
    code = site.read_code("/verify")
    assert browser.get("/verify", params={"code": code}).status_code == 200  # a look opens nothing
    assert post(browser, "/verify", code=code, password="another's").status_code == 401
    assert post(browser, "/verify", code=code, password=GOOD).status_code == 200
    assert browser.get("/v1/account").json()["email"] == ADA
    assert post(site.browser(), "/verify", code=code, password=GOOD).status_code == 410
    assert post(site.browser(), "/login", identifier=ADA.upper(), password=GOOD).status_code == 200


def test_nobody_learns_whether_an_address_has_an_account(site) -> None:
    browser = site.browser()
    post(browser, "/sign-up", identifier=ADA, password=GOOD)
    post(browser, "/verify", code=site.read_code("/verify"), password=GOOD)
    other = site.browser()
    for path, fields in {
        "/sign-up": {"password": "another three words"},
        "/login": {"password": "another three words"},
        "/reset": {},
    }.items():
        taken = post(other, path, identifier=ADA, **fields)
        free = post(other, path, identifier="bob@example.org", **fields)
        assert taken.status_code == free.status_code, path
        assert taken.text.replace(ADA, "") == free.text.replace("bob@example.org", ""), path
    told = {mail["To"]: mail["Subject"] for mail in site.mails()}
    assert told[ADA] in ("You have an account already", "Set a new password")


def test_a_forgotten_password_is_replaced_and_every_browser_signed_out(site) -> None:
    first = site.browser()
    post(first, "/sign-up", identifier=ADA, password=GOOD)
    post(first, "/verify", code=site.read_code("/verify"), password=GOOD)
    second = site.browser()
    post(second, "/reset", identifier=ADA)
    code = site.read_code("/reset")
    assert post(second, "/reset", code=code, password="short").status_code == 422
    assert post(second, "/reset", code=code, password="three other words").status_code == 200
    assert second.get("/v1/account").status_code == 200
    assert first.get("/v1/account").status_code == 401
    assert post(first, "/reset", code=code, password="three other words").status_code == 410
    assert post(first, "/login", identifier=ADA, password=GOOD).status_code == 401


def test_who_owns_the_address_takes_an_account_from_who_does_not(site) -> None:
    thief, owner = site.browser(), site.browser()
    post(thief, "/sign-up", identifier=ADA, password="the thief's password")
    site.mails()
    post(owner, "/reset", identifier=ADA)
    post(owner, "/reset", code=site.read_code("/reset"), password=GOOD)
    assert owner.get("/v1/account").json()["email"] == ADA
    assert post(thief, "/login", identifier=ADA, password="the thief's password").status_code == 401


@pytest.mark.parametrize(
    ("mode", "invited", "status"),
    [("closed", True, 403), ("invite", False, 403), ("invite", True, 200), ("open", True, 200)],
)
def test_registration_is_what_the_operator_set(tmp_path, mode, invited, status) -> None:
    site = Site(tmp_path, registration=mode)
    with site.browser() as admin:
        admin.headers["Authorization"] = "Bearer " + (tmp_path / "data/token").read_text().strip()
        link = admin.post("/v1/admin/invitations", json={}).json()["url"]
        code = parse_qs(urlsplit(link).query)["invitation"][0] if invited else ""
        fields = {"identifier": "grace", "password": GOOD, "invitation": code}
        assert post(site.browser(), "/sign-up", **fields).status_code == status
        fields["identifier"] = "second"
        if invited:  # once
            assert post(site.browser(), "/sign-up", **fields).status_code == 403


def test_an_invitation_may_be_for_one_address_only(tmp_path) -> None:
    site = Site(tmp_path, registration="invite")
    with site.browser() as admin:
        admin.headers["Authorization"] = "Bearer " + (tmp_path / "data/token").read_text().strip()
        link = admin.post("/v1/admin/invitations", json={"email": ADA}).json()["url"]
        code = parse_qs(urlsplit(link).query)["invitation"][0]
        for identifier, status in (("bob", 403), ("bob@example.org", 403), (ADA, 200)):
            fields = {"identifier": identifier, "password": GOOD, "invitation": code}
            assert post(site.browser(), "/sign-up", **fields).status_code == status


@pytest.mark.parametrize(
    ("identifier", "password", "status"),
    [
        ("", GOOD, 422),
        ("x" * 61, GOOD, 422),
        ("a\u202eb", GOOD, 422),
        ("not@an@address", GOOD, 422),
        ("taken", GOOD, 409),
        ("local", GOOD, 409),
        ("grace", "password123", 422),
        ("<script>alert(1)</script>", "short", 422),
    ],
)
def test_a_sign_up_that_cannot_be_is_refused_in_words(site, identifier, password, status) -> None:
    site.add("taken")
    answer = post(site.browser(), "/sign-up", identifier=identifier, password=password)
    assert answer.status_code == status
    assert 'role="alert"' in answer.text
    assert "<script>alert" not in answer.text
    assert "set-cookie" not in answer.headers


def test_signing_in_is_slowed_down_and_says_so(tmp_path) -> None:
    site = Site(tmp_path, sign_in_rate="3/minute")
    with site.browser() as browser:
        for _ in range(3):
            answer = post(browser, "/login", identifier="nobody", password="x")
            assert answer.status_code == 401
        answer = post(browser, "/login", identifier="somebody else", password="x")
        assert answer.status_code == 429
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert answer.headers["ratelimit-policy"] == '"sign-in";q=3;w=60'
        assert re.fullmatch(r'"sign-in";r=0;t=\d+', answer.headers["ratelimit"])
        for path in ("/sign-up", "/reset"):  # one count for all ways to guess
            assert post(browser, path, identifier="nobody", password=GOOD).status_code == 429


def test_by_https_the_cookie_is_bound_to_the_host(tmp_path) -> None:
    site = Site(tmp_path, public_url="https://autodl.example.org/")
    with site.browser(base_url="https://testserver") as browser:
        headers = {"Origin": "https://autodl.example.org"}
        answer = browser.post(
            "/sign-up",
            files={"identifier": (None, "grace"), "password": (None, GOOD)},
            headers=headers,
            follow_redirects=False,
        )
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-autodl_session=")
        for attribute in ("Secure", "HttpOnly", "Path=/", "SameSite=lax"):
            assert attribute in cookie
        assert "Domain" not in cookie
        assert browser.get("/v1/account").status_code == 200


def test_a_form_of_the_account_needs_the_sessions_own_token(site) -> None:
    browser, other = site.add("grace"), site.add("bob")
    page = other.get("/account", headers=SAME).text
    others = re.search(r'name="form_token" value="(\w+)"', page)[1]
    for form_token in ("", "0" * 64, others):
        answer = post(browser, "/account", action="end-sessions", form_token=form_token)
        assert answer.status_code == 403
    for headers in ({}, {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        for path in ("/login", "/sign-up", "/reset", "/verify", "/account"):
            assert post(browser, path, headers=headers, identifier="x").status_code == 403


def test_a_token_is_made_shown_once_used_and_revoked(site) -> None:
    browser = site.add("grace")
    page = act(browser, "create-token", name="<b>my laptop", scope_read="on", days="30").text
    secret = re.search(r"adl_\w{36}", page)[0]
    assert "&lt;b&gt;my laptop" in page
    assert secret not in browser.get("/account").text
    client = site.browser(headers={"Authorization": f"Bearer {secret}"})
    assert client.get("/v1/submissions").status_code == 200
    (token,) = client.get("/v1/account/tokens").json()["items"]
    assert token["scopes"] == ["read"]
    assert token["prefix"] == secret[:8]
    assert token["last_used_at"]
    assert act(browser, "revoke-token", id=token["id"]).status_code == 200
    assert client.get("/v1/submissions").status_code == 401


def test_a_token_can_do_what_its_scopes_say(site) -> None:
    browser = site.add("grace")
    browser.headers.update(SAME)
    made = {}
    for scope in Scope:
        wanted = {"name": scope, "scopes": [scope], "expires_in_days": None}
        answer = browser.post("/v1/account/tokens", json=wanted)
        assert answer.status_code == 201
        made[scope] = site.browser(headers={"Authorization": f"Bearer {answer.json()['token']}"})
    calls = {
        Scope.READ: ("GET", "/v1/submissions"),
        Scope.SUBMIT: ("POST", "/v1/submissions/x/cancel"),
        Scope.ADMIN: ("PATCH", "/v1/account"),
    }
    for owner, client in made.items():
        for scope, (method, path) in calls.items():
            answer = client.request(method, path, json={} if method == "PATCH" else None)
            assert (answer.status_code != 403) == (owner is scope), (owner, scope)
            if owner is not scope:
                assert answer.json()["code"] == "scope-missing"
    more = {"name": "more", "scopes": ["read", "admin"]}
    answer = made[Scope.ADMIN].post("/v1/account/tokens", json=more)
    assert (answer.status_code, answer.json()["code"]) == (403, "scope-missing")


def test_another_accounts_things_are_not_there(site) -> None:
    ada, bob = site.add("ada"), site.add("bob")
    bob.headers.update(SAME)
    ada.headers.update(SAME)
    token = ada.post("/v1/account/tokens", json={"name": "n"}).json()["id"]
    submission = ada.post("/v1/submissions", files={"file": ("a.zip", b"PK")}).json()["id"]
    calls = [
        ("DELETE", f"/v1/account/tokens/{token}"),
        ("GET", f"/v1/submissions/{submission}"),
        ("POST", f"/v1/submissions/{submission}/cancel"),
        ("DELETE", "/v1/webhooks/x"),
        ("GET", "/v1/webhooks/x/deliveries"),
    ]
    for method, path in calls:
        assert bob.request(method, path).status_code == 404, path
    assert bob.get("/v1/account/tokens").json()["items"] == []
    assert ada.get("/v1/account/tokens").json()["items"] != []
    for method, path in (
        ("GET", "/v1/admin/accounts"),
        ("GET", "/v1/admin/queue"),
        ("GET", "/v1/admin/audit"),
        ("POST", f"/v1/admin/submissions/{submission}/cancel"),
    ):
        answer = bob.request(method, path)
        assert (answer.status_code, answer.json()["code"]) == (403, "administrators-only")


def test_a_new_password_signs_the_other_browsers_out(site) -> None:
    first = site.add("grace")
    second = site.browser()
    post(second, "/login", identifier="grace", password=GOOD)
    assert (
        act(first, "change-password", old="wrong", password="three other words").status_code == 401
    )
    new = {"old": GOOD, "password": "three other words"}
    assert act(first, "change-password", **new).status_code == 200
    assert first.get("/v1/account").status_code == 200
    assert second.get("/v1/account").status_code == 401


def test_a_pseudonym_can_add_an_address_later(site) -> None:
    browser = site.add("grace")
    assert act(browser, "change-email", old=GOOD, email="Grace@example.org").status_code == 200
    assert browser.get("/v1/account").json()["email"] is None
    post(browser, "/verify", code=site.read_code("/verify"), password=GOOD)
    account = browser.get("/v1/account").json()
    assert (account["name"], account["email"]) == ("grace", "grace@example.org")


def test_the_database_holds_no_secret(site) -> None:
    browser = site.add("grace")
    page = act(browser, "create-token", name="n", scope_read="on", days="").text
    secret = re.search(r"adl_\w{36}", page)[0]
    cookie = browser.cookies["autodl_session"]
    site.context.database.close()
    files = b"".join(path.read_bytes() for path in site.settings.data.glob("autodl.db*"))
    for hidden in (secret, cookie, GOOD):
        assert hidden.encode() not in files
    assert site.count(Account) == 2
    assert site.count(Token) == 2
    assert site.count(BrowserSession) == 1


def test_a_disabled_account_can_do_nothing(site) -> None:
    browser, admin = site.add("grace"), site.browser()
    token = (site.settings.data / "token").read_text().strip()
    admin.headers["Authorization"] = f"Bearer {token}"
    account_id = browser.get("/v1/account").json()["id"]
    path = f"/v1/admin/accounts/{account_id}"
    assert admin.patch(path, json={"disabled": True}).json()["disabled_at"]
    assert browser.get("/v1/account").status_code == 401
    answer = post(browser, "/login", identifier="grace", password=GOOD)
    assert answer.status_code == 403
    assert post(browser, "/login", identifier="grace", password="wrong").status_code == 401
    assert admin.patch(path, json={"disabled": False}).status_code == 200
    assert post(browser, "/login", identifier="grace", password=GOOD).status_code == 200
    log = admin.get("/v1/admin/audit").json()["items"]
    assert [entry["detail"]["disabled"] for entry in log] == [[True, False], [False, True]]


def test_a_character_that_cannot_be_kept_is_no_fault(tmp_path, database_url) -> None:
    with Site(tmp_path, database_url=database_url).browser() as browser:
        token = (tmp_path / "data/token").read_text().strip()
        for identifier in ("a\0b", "a\0@example.org"):
            answer = post(browser, "/login", identifier=identifier, password=GOOD)
            assert answer.status_code in (401, 422)
            assert post(browser, "/reset", identifier=identifier).status_code in (200, 422)
        browser.headers["Authorization"] = f"Bearer {token}"
        for path in ("submissions/a%00b", "admin/accounts/%00", "webhooks/%00/deliveries"):
            assert browser.get(f"/v1/{path}").status_code in (404, 422)
