"""Tokens, sessions and links: what opens an account, and for how long."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from autodl.errors import UsageError
from service.accounts import tokens
from service.accounts.tokens import Scope, ensure_local_token, find_token, is_token, make_token
from service.models import Account, OneTimeToken, Purpose, Role, Token, utc_now


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


def test_the_local_account_is_an_administrator_with_a_token_for_everything(
    database, tmp_path
) -> None:
    secret = ensure_local_token(database, tmp_path / "token")
    with database.read() as session:
        token = find_token(session, secret)
        assert tokens.read_scopes(token) == tokens.ALL_SCOPES
        assert session.get_one(Account, token.account_id).role is Role.ADMIN


def test_a_token_is_kept_as_a_digest_and_opens_until_its_time_is_over(database, account_id) -> None:
    with database.write() as session:
        in_time, over = utc_now() + timedelta(days=1), utc_now() - timedelta(seconds=1)
        options = {"name": "n", "scopes": {Scope.READ}}
        _, good = tokens.create_token(session, account_id, expires_at=in_time, **options)
        _, late = tokens.create_token(session, account_id, expires_at=over, **options)
        assert tokens.read_scopes(find_token(session, good)) == {Scope.READ}
        assert find_token(session, late) is None
        for row in session.query(Token):
            assert good not in (row.hash, row.prefix)
        assert [t.name for t in tokens.list_tokens(session, account_id)] == ["n"]


def test_a_token_of_another_account_cannot_be_revoked(database, account_id, add_account) -> None:
    other = add_account("bob")
    with database.write() as session:
        token, secret = tokens.create_token(
            session, account_id, name="n", scopes={Scope.READ}, expires_at=None
        )
        with pytest.raises(UsageError) as caught:
            tokens.revoke_token(session, other, token.id)
        assert caught.value.code == "token-unknown"
        tokens.revoke_token(session, account_id, token.id)
        assert find_token(session, secret) is None


def test_an_account_has_so_many_tokens_and_no_more(database, account_id, monkeypatch) -> None:
    monkeypatch.setattr(tokens, "MAX_TOKENS", 2)
    with database.write() as session:
        for _ in range(2):
            tokens.create_token(session, account_id, name="n", scopes={Scope.READ}, expires_at=None)
        with pytest.raises(UsageError, match="at most 2"):
            tokens.create_token(session, account_id, name="n", scopes={Scope.READ}, expires_at=None)


def test_a_session_ends_by_time_by_sign_out_and_with_its_token(database, account_id) -> None:
    with database.write() as session:
        token, _ = tokens.create_token(
            session, account_id, name="n", scopes={Scope.READ}, expires_at=None
        )
        plain = tokens.create_session(session, account_id, 60)
        by_token = tokens.create_session(session, account_id, 60, token.id)
        over = tokens.create_session(session, account_id, -1)
        assert tokens.find_session(session, over) is None
        assert tokens.find_session(session, plain)[1] is None
        assert tokens.find_session(session, by_token)[1] is token
        tokens.revoke_token(session, account_id, token.id)
        session.flush()
        assert tokens.find_session(session, by_token) is None
        tokens.end_session(session, plain)
        session.expire_all()
        assert tokens.find_session(session, plain) is None


def test_a_link_opens_one_thing_once_and_only_the_newest(database, account_id) -> None:
    with database.write() as session:
        old = tokens.create_one_time(session, account_id, Purpose.RESET, "ada@example.org")
        new = tokens.create_one_time(session, account_id, Purpose.RESET, "ada@example.org")
        session.flush()
        for secret, purpose in ((old, Purpose.RESET), (new, Purpose.VERIFY), ("x", Purpose.RESET)):
            with pytest.raises(UsageError) as caught:
                tokens.use_one_time(session, secret, purpose)
            assert caught.value.code == "link-invalid"
        assert tokens.use_one_time(session, new, Purpose.RESET).email == "ada@example.org"
        with pytest.raises(UsageError):
            tokens.use_one_time(session, new, Purpose.RESET)


def test_a_link_is_good_for_its_time(database, account_id) -> None:
    with database.write() as session:
        secret = tokens.create_one_time(session, account_id, Purpose.VERIFY, "ada@example.org")
        session.flush()
        session.query(OneTimeToken).one().expires_at = utc_now() - timedelta(seconds=1)
        with pytest.raises(UsageError):
            tokens.use_one_time(session, secret, Purpose.VERIFY)
