"""Passwords are hashed with argon2id, and refused when anybody would guess them."""

import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from autodl.errors import UsageError
from service.accounts.passwords import check_strength, hash_password, verify_password

GOOD = "three unusual words"


def test_a_password_is_recognised_by_its_hash_alone() -> None:
    known = hash_password(GOOD)
    assert known.startswith("$argon2id$")
    assert GOOD not in known
    assert known != hash_password(GOOD)  # salted
    assert verify_password(GOOD, known) == (True, None)
    assert verify_password(GOOD + "x", known) == (False, None)


def test_nobodys_password_is_compared_all_the_same(monkeypatch) -> None:
    """Whether there is an account must not be told by the time that an answer takes."""
    compared = []
    verify = PasswordHash.verify_and_update
    monkeypatch.setattr(
        PasswordHash, "verify_and_update", lambda *args: compared.append(args) or verify(*args)
    )
    assert verify_password(GOOD, None) == (False, None)
    assert verify_password("the password of an account that does not exist", None) == (False, None)
    assert len(compared) == 2


def test_a_hash_of_other_costs_is_renewed() -> None:
    cheap = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=1024, parallelism=1),)).hash(GOOD)
    matches, renewed = verify_password(GOOD, cheap)
    assert matches
    assert verify_password(GOOD, renewed) == (True, None)


@pytest.mark.parametrize(
    "password",
    [
        *("", "short", "password123", "P4ssw0rd!!", "qwertyuiop", "aaaaaaaaaaaaaaa", "1234567890"),
        *("ada@example.org", "Ada@Example.org", "x" * 257, "2026-11-25", "Iloveyou2026"),
    ],
)
def test_a_weak_password_is_refused(password) -> None:
    with pytest.raises(UsageError) as caught:
        check_strength(password, "ada@example.org")
    assert caught.value.code == "password-weak"
    assert password not in str(caught.value) or password == ""


@pytest.mark.parametrize("password", [GOOD, "Tr0ub4dor&3x", "一二三四五六七八九十", "x9!kD2#mQz"])
def test_a_good_password_is_taken(password) -> None:
    check_strength(password, "ada@example.org")
