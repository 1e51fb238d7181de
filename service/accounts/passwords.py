"""Passwords: hashed with argon2id (RFC 9106), refused when they are easily guessed."""

from __future__ import annotations

from functools import cache

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from autodl.errors import UsageError

MIN_CHARACTERS = 10  # NIST SP 800-63B asks for 8 at least, and for length rather than rules
MAX_CHARACTERS = 256
#: what the lists of leaked passwords are made of, once digits and signs are taken away
COMMON = frozenset(
    "password passwort passwords motdepasse qwerty qwertyuiop qwertz azerty asdfgh asdfghjkl zxcvbn"
    " iloveyou welcome welcometo letmein monkey dragon football baseball superman batman princess"
    " sunshine shadow master admin administrator login changeme secret trustno trustnoone abc abcd"
    " abcdef abcdefgh default guest root test testtest user hello whatever starwars computer"
    " michael jordan summer winter spring autumn pokemon liverpool chelsea autodl".split()
)

LOOKALIKES = str.maketrans("013457@$", "oleastas")


@cache
def _hasher() -> PasswordHash:
    """OWASP's second choice of costs: 19 MiB, two passes, one lane; about 30 ms."""
    return PasswordHash((Argon2Hasher(time_cost=2, memory_cost=19 * 1024, parallelism=1),))


@cache
def _nobodys_hash() -> str:
    return _hasher().hash("the password of an account that does not exist")


def hash_password(password: str) -> str:
    """What the database keeps of a password, in PHC's form."""
    return _hasher().hash(password)


def verify_password(password: str, known: str | None) -> tuple[bool, str | None]:
    """Whether it is the password, and its hash anew where the costs have changed.

    Takes the same time where there is no password to compare with.
    """
    nobodys = _nobodys_hash()
    matches, renewed = _hasher().verify_and_update(password, known or nobodys)
    return (matches, renewed) if known else (False, None)


def check_strength(password: str, *own_words: str) -> None:
    """Raises ``UsageError`` (``password-weak``); ``own_words`` are the name and the address."""
    if len(password) > MAX_CHARACTERS:
        raise UsageError("password-weak", f"A password has at most {MAX_CHARACTERS} characters.")
    reduced = "".join(filter(str.isalpha, password.lower().translate(LOOKALIKES)))
    plain = "".join(filter(str.isalpha, password.lower()))
    own = {part.lower() for word in own_words for part in (word, word.partition("@")[0]) if part}
    if len(password) < MIN_CHARACTERS:
        why = f"it has fewer than {MIN_CHARACTERS} characters"
    elif len(set(password)) < 5:
        why = "it repeats itself"
    elif reduced in COMMON or plain in COMMON or not plain:
        why = "it is one of the first that anybody would try"
    elif password.lower() in own or reduced in own:
        why = "it is your name"
    else:
        return
    raise UsageError(
        "password-weak",
        f"The password is weak: {why}.",
        hint="Three unusual words make a good one.",
    )
