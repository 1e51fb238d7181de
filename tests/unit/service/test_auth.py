"""What browsers keep for us is signed."""

import pytest

from service.auth import Signer


def test_a_signature_is_for_one_purpose_one_installation_and_a_time() -> None:
    signer = Signer("a secret")
    value = signer.sign("session", "token-1", 60)
    assert signer.read("session", value) == "token-1"
    assert signer.read("login", value) is None
    assert Signer("another").read("session", value) is None
    assert signer.read("session", signer.sign("session", "token-1", -1)) is None
    expiry, rest = value.split(".", 1)
    assert signer.read("session", f"{int(expiry) + 1}.{rest}") is None


@pytest.mark.parametrize("value", ["", ".", "..", "x", "1.2.3", "\xff.\xff.\xff", "a" * 10_000])
def test_nonsense_is_no_session(value) -> None:
    assert Signer("a secret").read("session", value) is None
