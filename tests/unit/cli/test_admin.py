"""``autodl admin``, on a service's data directory."""

import json

import pytest
from typer.testing import CliRunner

from autodl.errors import UsageError
from cli.main import app

GOOD = "three unusual words\n"


@pytest.fixture
def admin(tmp_path):
    def run(*words: str, stdin: str | None = None):
        command = ["admin", *words, "--data", str(tmp_path / "data")]
        done = CliRunner().invoke(app, command, input=stdin, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    return run


def listed(admin) -> dict[str, dict]:
    return {account["name"]: account for account in json.loads(admin("list", "--json"))}


def test_accounts_are_made_listed_limited_and_disabled(admin) -> None:
    assert "administrator" in admin("create", "Ada@Example.org", "--admin", stdin=GOOD)
    made = json.loads(admin("create", "bob", "--json", stdin=GOOD))
    admin("set-quota", "bob", "--submissions", "2", "--stored-bytes", "none", "--weight", "3")
    admin("set-quota", made["id"], "--parallel-runs", "1")
    accounts = listed(admin)
    assert accounts["ada@example.org"]["role"] == "admin"
    assert accounts["ada@example.org"]["verified_at"]
    limits = {"submissions_per_day": 2, "stored_bytes": None, "parallel_runs": 1}
    assert (accounts["bob"]["limits"], accounts["bob"]["weight"]) == (limits, 3)
    admin("set-quota", "bob", "--reset")
    admin("disable", "bob")
    bob = listed(admin)["bob"]
    assert (bob["limits"], bool(bob["disabled_at"])) == ({}, True)
    told = json.loads(admin("disable", "bob", "--undo", "--json"))
    assert (told["limits"], told["disabled"]) == ({}, False)
    assert listed(admin)["bob"]["disabled_at"] is None
    assert "bob" in admin("list")


@pytest.mark.parametrize(
    ("words", "stdin", "code"),
    [
        (("create", "bob"), "short\n", "password-weak"),
        (("create", "bob"), "", "password-weak"),
        (("create", "ADA@example.org"), GOOD, "name-taken"),
        (("create", "a@b@c"), GOOD, "name-invalid"),
        (("disable", "nobody"), None, "account-not-found"),
        (("disable", "ada@example.org"), None, "administrator-needed"),
        (("set-quota", "ada@example.org"), None, "limit-invalid"),
        (("set-quota", "ada@example.org", "--submissions", "-1"), None, "limit-invalid"),
        (("set-quota", "ada@example.org", "--parallel-runs", "0"), None, "limit-invalid"),
        (("set-quota", "ada@example.org", "--compute-minutes", "much"), None, "limit-invalid"),
    ],
)
def test_what_cannot_be_done_is_told_in_words_and_changes_nothing(
    admin, words, stdin, code
) -> None:
    admin("create", "ada@example.org", "--admin", stdin=GOOD)
    before = listed(admin)
    with pytest.raises(UsageError) as caught:
        admin(*words, stdin=stdin)
    assert caught.value.code == code
    assert listed(admin) == before
