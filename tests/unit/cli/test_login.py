"""Whose token is shown to whom, and where it lies."""

import json
import stat
from pathlib import Path

import httpx2
import pytest

from autodl.errors import UsageError
from cli.connection import Logins
from client import AuthenticationError

REMOTE = "https://autodl.example"


def test_the_token_of_a_service_in_this_folder_is_for_this_machine_only(played, autodl) -> None:
    assert autodl("list").exit_code == 0
    assert played.tokens() == ["adl_mine"]
    done = autodl("list", "--url", REMOTE)
    assert isinstance(done.exception, UsageError)
    assert done.exception.code == "token-not-found"
    assert len(played.requests) == 1


def test_a_login_is_tried_kept_for_the_user_alone_and_becomes_the_default(
    played, autodl, home
) -> None:
    done = autodl("login", "--url", REMOTE + "/", input="adl_remote\n")
    assert done.exit_code == 0, done.output
    (path,) = (home / "config").rglob("*.json")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "adl_remote" not in done.output
    autodl("list")
    assert played.tokens() == ["adl_remote"] * 2
    assert {r.url.host for r in played.requests} == {"autodl.example"}
    autodl("list", "--url", "http://localhost:8000")
    assert played.tokens()[-1] == "adl_mine"


def test_a_token_that_the_service_refuses_is_not_kept(played, autodl, home) -> None:
    problem = {"code": "token-invalid", "detail": "No such token."}
    played.refusal = httpx2.Response(401, json=problem)
    done = autodl("login", "--url", REMOTE, input="adl_wrong\n")
    assert isinstance(done.exception, AuthenticationError)
    assert list(home.rglob("login.json")) == []


def test_logout_forgets_and_says_whether_there_was_anything(played, autodl) -> None:
    autodl("login", "--url", REMOTE, input="adl_remote\n")
    done = autodl("logout", "--json")
    assert json.loads(done.stdout) == {"url": REMOTE, "was_logged_in": True}
    assert Logins().find(REMOTE) is None
    assert not json.loads(autodl("logout", "--json").stdout)["was_logged_in"]


def test_a_file_given_goes_before_any_login(played, autodl, tmp_path) -> None:
    autodl("login", input="adl_kept\n")
    (tmp_path / "other").write_text("adl_other\n")
    autodl("list", "--token-file", "other")
    autodl("list", env={"AUTODL_TOKEN_FILE": "other", "AUTODL_URL": REMOTE})
    assert played.tokens()[-2:] == ["adl_other"] * 2
    assert played.requests[-1].url.host == "autodl.example"
    done = autodl("list", "--token-file", "nowhere")
    assert done.exception.code == "token-not-found"


def test_a_broken_file_of_logins_is_told(played, autodl, home) -> None:
    Logins().path.parent.mkdir(parents=True)
    Logins().path.write_text("{")
    assert autodl("list").exception.code == "login-file-invalid"


KEYRING = """
import json, pathlib
import keyring.errors
KEPT = pathlib.Path(__file__).with_name("kept.json")
def _read():
    return json.loads(KEPT.read_text()) if KEPT.exists() else {}
def set_password(service, name, secret):
    if name.startswith("http://locked"):
        raise keyring.errors.NoKeyringError("no backend")
    KEPT.write_text(json.dumps(_read() | {name: secret}))
def get_password(service, name):
    return _read().get(name)
def delete_password(service, name):
    KEPT.write_text(json.dumps({k: v for k, v in _read().items() if k != name}))
"""


@pytest.fixture
def keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package of that name, with a file for a desktop."""
    folder = tmp_path / "site/keyring"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(KEYRING)
    (folder / "errors.py").write_text(
        "class KeyringError(Exception): pass\nclass NoKeyringError(KeyringError): pass\n"
    )
    monkeypatch.syspath_prepend(folder.parent)
    for name in ("keyring", "keyring.errors"):
        monkeypatch.delitem(__import__("sys").modules, name, raising=False)
    return folder / "kept.json"


def test_where_there_is_a_keyring_the_token_lies_in_no_file(played, autodl, home, keyring) -> None:
    assert "the keyring" in autodl("login", "--url", REMOTE, input="adl_secret\n").output
    assert "adl_secret" not in Logins().path.read_text()
    autodl("list")
    assert played.tokens()[-1] == "adl_secret"
    autodl("logout")
    assert json.loads(keyring.read_text()) == {}


def test_a_keyring_that_cannot_be_used_is_no_obstacle(played, autodl, keyring) -> None:
    done = autodl("login", "--url", "http://locked.example", input="adl_secret\n")
    assert "login.json" in done.output.replace("\n", "")
    assert Logins().find("http://locked.example") == "adl_secret"
