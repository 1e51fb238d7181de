"""Pages in the reader's language, as a browser without JavaScript meets them."""

import re

import pytest

from tests.integration.test_accounts import ADA, GOOD, Site, post
from tests.integration.test_pages import SAME

TITLES = {"en": "Sign in", "fr": "Se connecter", "zh-Hans": "登录"}


@pytest.mark.parametrize("accepted", ["en", "fr-CA", "zh-CN"])
def test_a_page_comes_as_the_browser_asks(installation, accepted) -> None:
    page = installation.http.get("/login", headers={"Accept-Language": accepted}).text
    (tag,) = (tag for tag in TITLES if tag[:2] == accepted[:2])
    assert f'<html lang="{tag}">' in page
    assert f"<h1>{TITLES[tag]}</h1>" in page


def test_the_switch_is_remembered_and_leads_back(installation) -> None:
    form = {"language": (None, "fr"), "following": (None, "/sign-up?invitation=x")}
    answer = installation.http.post(
        "/language", files=form, headers=SAME | {"Accept-Language": "zh"}, follow_redirects=False
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-up?invitation=x")
    page = installation.http.get("/sign-up?invitation=x", headers={"Accept-Language": "zh"}).text
    assert '<html lang="fr">' in page
    assert 'value="/sign-up?invitation=x"' in page


def test_the_language_of_the_pages_is_that_of_the_mails(tmp_path) -> None:
    site = Site(tmp_path)
    with site.browser() as browser:
        french = SAME | {"Accept-Language": "fr"}
        post(browser, "/sign-up", french, identifier=ADA, password=GOOD)
        (mail,) = site.mails()
        assert (mail["Content-Language"], mail["Subject"]) == (
            "fr",
            "Confirmez votre adresse e-mail",
        )
        code = re.search(r"code=(\S+)", mail.get_payload(decode=True).decode())[1]
        post(browser, "/verify", french, code=code, password=GOOD)
        assert browser.get("/v1/account").json()["locale"] == "fr"
        post(browser, "/language", language="zh_Hans", following="/")
        assert browser.get("/v1/account").json()["locale"] == "zh-Hans"
        post(browser, "/reset", identifier=ADA)
        assert site.mails()[0]["Content-Language"] == "zh-Hans"


@pytest.mark.parametrize("place", ["https://evil.example/", "//evil.example", "/\\evil.example"])
def test_the_switch_never_leads_to_another_site(installation, place) -> None:
    form = {"language": (None, "fr"), "following": (None, place)}
    answer = installation.http.post("/language", files=form, headers=SAME, follow_redirects=False)
    assert answer.headers["location"] == "/"


def test_a_language_that_we_do_not_speak_is_refused(installation) -> None:
    form = {"language": (None, "../x"), "following": (None, "/")}
    answer = installation.http.post("/language", files=form, headers=SAME)
    assert answer.status_code == 422
    assert "set-cookie" not in answer.headers


def test_a_problem_is_explained_and_its_words_are_marked_as_english(installation) -> None:
    del installation.http.headers["Authorization"]
    headers = {"Accept": "text/html", "Accept-Language": "fr"}
    page = installation.http.get("/login?code=x", headers=headers).text
    assert "<h1>Connectez-vous</h1>" in page
    assert '<p class="hint" lang="en">The login link is not valid' in page
    assert "The login link" not in page.replace('lang="en">The login link', "")


def test_the_api_speaks_english_to_all(installation) -> None:
    headers = {"Accept-Language": "fr"}
    answer = installation.http.get("/v1/submissions/nothing", headers=headers)
    assert answer.json()["detail"].startswith("There is no")
