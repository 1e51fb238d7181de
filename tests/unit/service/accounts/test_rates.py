"""How often something may be tried, and the fields that tell it."""

import pytest

from service.accounts.limits import LimitError
from service.accounts.rates import Rates


def test_each_key_has_its_own_count() -> None:
    rates = Rates("sign-in", "2/minute")
    rates.hit("from a")
    rates.hit("from a")
    with pytest.raises(LimitError):
        rates.hit("from a")
    rates.hit("from b")


def test_the_fields_are_those_of_the_key_with_the_least_left() -> None:
    rates = Rates("sign-in", "3/minute;100/hour")
    rates.hit("at ada")
    fields = rates.hit("from a", "at ada")
    assert fields["RateLimit-Policy"] == '"sign-in";q=3;w=60, "sign-in";q=100;w=3600'
    assert fields["RateLimit"].startswith('"sign-in";r=1;t=')


def test_a_refusal_says_when_to_come_back() -> None:
    rates = Rates("sign-in", "1/minute;2/hour")
    rates.hit("from a")
    with pytest.raises(LimitError) as caught:
        rates.hit("from a")
    assert caught.value.code == "too-many-requests"
    assert 1 <= int(caught.value.headers["Retry-After"]) <= 3600
    assert ";r=0;" in caught.value.headers["RateLimit"]


def test_whoever_tries_one_account_from_everywhere_is_slowed_down_too() -> None:
    rates = Rates("sign-in", "3/minute")
    for number in range(3):
        rates.hit(f"from {number}", "at ada")
    with pytest.raises(LimitError):
        rates.hit("from 4", "at ada")
    rates.hit("from 4", "at bob")
