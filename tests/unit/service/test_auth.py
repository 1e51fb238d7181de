"""Tokens and what stands for them."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from autodl.errors import UsageError
from service.auth import Sessions, ensure_local_token, find_token, is_token, make_token
from service.models import Token, utc_now


def test_tokens_differ_and_know_themselves() -> None:
    tokens = {make_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(map(is_token, tokens))


def test_one_wrong_character_is_noticed() -> None:
    token = make_token()
    for place in range(4, len(token)):
        other = "a" if token[place] != "a" else "b"
        assert not is_token(token[:place] + other + token[place + 1 :])
    assert not is_token(token + "a")
    assert not is_token("")


def test_the_same_file_gives_the_same_token_and_one_row(database, tmp_path) -> None:
    path = tmp_path / "token"
    token = ensure_local_token(database, path)
    assert ensure_local_token(database, path) == token
    with database.read() as session:
        assert session.query(Token).count() == 1


def test_services_that_start_together_share_one_token(database, tmp_path) -> None:
    path = tmp_path / "token"
    with ThreadPoolExecutor(8) as pool:
        tokens = list(pool.map(lambda _: ensure_local_token(database, path), range(8)))
    assert len(set(tokens)) == 1
    assert path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["token"]


def test_a_revoked_token_opens_nothing(database, tmp_path) -> None:
    token = ensure_local_token(database, tmp_path / "token")
    with database.write() as session:
        row = find_token(session, token)
        assert row is not None
        row.revoked_at = utc_now()
    with database.read() as session:
        assert find_token(session, token) is None


@pytest.mark.parametrize("content", ["", "my password", "adl_" + "x" * 36, "\xff\xfe"])
def test_a_token_file_with_something_else_is_refused_and_kept(database, tmp_path, content) -> None:
    path = tmp_path / "token"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(UsageError) as caught:
        ensure_local_token(database, path)
    assert caught.value.code == "token-file-invalid"
    assert path.read_text(encoding="latin-1") == content


def test_a_signature_is_for_one_purpose_one_installation_and_a_time() -> None:
    sessions = Sessions("a secret")
    value = sessions.sign("session", "token-1", 60)
    assert sessions.read("session", value) == "token-1"
    assert sessions.read("login", value) is None
    assert Sessions("another").read("session", value) is None
    assert sessions.read("session", sessions.sign("session", "token-1", -1)) is None
    expiry, rest = value.split(".", 1)
    assert sessions.read("session", f"{int(expiry) + 1}.{rest}") is None


@pytest.mark.parametrize("value", ["", ".", "..", "x", "1.2.3", "\xff.\xff.\xff", "a" * 10_000])
def test_nonsense_is_no_session(value) -> None:
    assert Sessions("a secret").read("session", value) is None
