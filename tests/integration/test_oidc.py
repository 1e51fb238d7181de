"""Signing in at an identity provider: a tiny one that does what OpenID Connect asks for."""

import base64
import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from service.models import Account, Role, utc_now
from tests.integration.test_accounts import GOOD, SAME, Site, post

CLIENT = "autodl"
SECRET = "the provider's secret for us"
PERSON = {"sub": "u-17", "email": "Ada@Example.org", "email_verified": True, "name": "Ada"}


class Provider:
    """Discovery, keys and the token endpoint; the person at its sign-in page is the test."""

    def __init__(self) -> None:
        self.key = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig"})
        self.codes: dict[str, dict[str, str]] = {}
        self.claims: dict[str, object] = dict(PERSON)
        self.algorithm, self.signing_key = "RS256", self.key
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answers = {
                    "/.well-known/openid-configuration": provider.metadata,
                    "/jwks": {"keys": [provider.key.as_dict(private=False)]},
                }
                self.answer(200, answers[self.path])

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                self.answer(*provider.give_token(dict(parse_qsl(body)), self.headers))

            def answer(self, status: int, value: object) -> None:
                body = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_args: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server.server_port}"
        self.metadata = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
        }

    def agree(self, url: str) -> dict[str, str]:
        """The person signs in there; what the browser brings back."""
        asked = {k: v[0] for k, v in parse_qs(urlsplit(url).query).items()}
        assert url.startswith(f"{self.issuer}/authorize?")
        assert asked["client_id"] == CLIENT
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        code = f"code-{len(self.codes)}"
        self.codes[code] = asked
        return {"code": code, "state": asked["state"]}

    def give_token(self, form: dict[str, str], headers) -> tuple[int, object]:
        asked = self.codes.pop(form["code"], None)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        own = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if (
            asked is None
            or challenge != asked["code_challenge"]
            or form["redirect_uri"] != asked["redirect_uri"]
            or headers["Authorization"] != f"Basic {own}"
        ):
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300}
        claims |= {"nonce": asked["nonce"]} | self.claims
        header = {"alg": self.algorithm, "kid": "k1"}
        token = jwt.encode(header, claims, self.signing_key, algorithms=[self.algorithm])
        return 200, {"access_token": "x", "token_type": "Bearer", "id_token": token}


@pytest.fixture(scope="module")
def running():
    provider = Provider()
    thread = threading.Thread(target=provider.server.serve_forever, daemon=True)
    thread.start()
    yield provider
    provider.server.shutdown()
    provider.server.server_close()
    thread.join()


@pytest.fixture
def provider(running):
    running.claims = dict(PERSON)
    running.algorithm, running.signing_key = "RS256", running.key
    return running


@pytest.fixture
def site(tmp_path, provider):
    site = Site(
        tmp_path,
        registration="closed",
        public_url="http://testserver",
        oidc_issuer=provider.issuer,
        oidc_client_id=CLIENT,
        oidc_client_secret=SECRET,
    )
    with site.browser():
        yield site


def begin(browser) -> str:
    answer = browser.get("/login/oidc", follow_redirects=False)
    assert answer.status_code == 303
    return answer.headers["location"]


def come_back(browser, answer: dict[str, str]):
    return browser.get("/login/oidc/callback", params=answer, headers=SAME)


def test_a_person_of_the_provider_gets_an_account_and_the_same_one_again(site, provider) -> None:
    browser = site.browser()
    assert "/login/oidc" in browser.get("/login").text
    assert come_back(browser, provider.agree(begin(browser))).status_code == 200
    first = browser.get("/v1/account").json()
    assert (first["email"], first["name"]) == ("ada@example.org", "ada@example.org")
    provider.claims |= {"email": "ada.new@example.org"}
    other = site.browser()
    come_back(other, provider.agree(begin(other)))
    assert other.get("/v1/account").json()["id"] == first["id"]


def test_an_answer_is_taken_once_and_from_the_browser_that_asked(site, provider) -> None:
    asking, other = site.browser(), site.browser()
    answer = provider.agree(begin(asking))
    begin(other)
    assert come_back(other, answer).status_code == 401  # its state is another's
    assert come_back(site.browser(), answer).status_code == 401  # it never asked
    assert come_back(asking, answer | {"state": "forged"}).status_code == 401
    assert come_back(asking, answer | {"iss": "https://evil.example"}).status_code == 401
    assert (
        come_back(asking, {"error": "access_denied", "state": answer["state"]}).status_code == 401
    )
    assert come_back(asking, answer).status_code == 200
    assert come_back(asking, answer).status_code == 401


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example"},
        {"aud": "another client"},
        {"nonce": "another"},
        {"exp": 1},
        {"sub": None},
    ],
)
def test_a_token_that_is_not_for_this_sign_in_is_refused(site, provider, claims) -> None:
    provider.claims |= claims
    browser = site.browser()
    answer = come_back(browser, provider.agree(begin(browser)))
    assert answer.status_code == 401
    assert "did not sign you in" in answer.text
    assert site.count(Account) == 1


def test_a_token_signed_by_another_key_is_refused(site, provider) -> None:
    provider.signing_key = RSAKey.generate_key(2048, {"kid": "k1"})
    browser = site.browser()
    assert come_back(browser, provider.agree(begin(browser))).status_code == 401


def test_an_address_that_the_provider_has_not_verified_opens_no_account(site, provider) -> None:
    with site.context.database.write() as session:
        account = Account(name="ada@example.org", email="ada@example.org", verified_at=utc_now())
        session.add(account)
        session.flush()
        account_id = account.id
    provider.claims |= {"email_verified": False}
    browser = site.browser()
    come_back(browser, provider.agree(begin(browser)))
    stranger = browser.get("/v1/account").json()
    assert stranger["id"] != account_id
    assert stranger["email"] is None
    provider.claims |= {"email_verified": True, "sub": "u-18"}
    known = site.browser()
    come_back(known, provider.agree(begin(known)))
    assert known.get("/v1/account").json()["id"] == account_id


def test_who_signed_up_with_the_address_but_never_had_it_loses_the_account(
    tmp_path, provider
) -> None:
    options = {"oidc_issuer": provider.issuer, "oidc_client_id": CLIENT}
    site = Site(tmp_path, public_url="http://testserver", oidc_client_secret=SECRET, **options)
    with site.browser() as thief:
        post(thief, "/sign-up", identifier="ada@example.org", password=GOOD)
        browser = site.browser()
        come_back(browser, provider.agree(begin(browser)))
        assert browser.get("/v1/account").json()["email"] == "ada@example.org"
        answer = post(thief, "/login", identifier="ada@example.org", password=GOOD)
        assert answer.status_code == 401
        with site.context.database.read() as session:
            assert session.query(Account).filter_by(role=Role.ADMIN).count() == 2


def test_a_provider_that_is_away_is_told_in_words(tmp_path) -> None:
    site = Site(tmp_path, oidc_issuer="http://127.0.0.1:1", oidc_client_id=CLIENT)
    with site.browser() as browser:
        answer = browser.get("/login/oidc", headers=SAME)
        assert answer.status_code == 503
        assert "provider-unavailable" in answer.text


def test_without_a_provider_there_is_nothing_at_its_addresses(tmp_path) -> None:
    with Site(tmp_path).browser() as browser:
        assert browser.get("/login/oidc").status_code == 404
        assert browser.get("/login/oidc/callback").status_code == 401
        assert "/login/oidc" not in browser.get("/login").text
