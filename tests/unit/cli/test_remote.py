"""The verbs for submissions that a service has."""

import json

import pytest

from autodl.errors import UsageError
from client import AuthenticationError
from tests.unit.cli.conftest import REJECTED
from tests.unit.client.played import DONE

FAILED = {**REJECTED, "state": "failed"}


@pytest.mark.parametrize(
    ("submission", "code"), [(DONE, 0), (REJECTED, 3), (FAILED, 7)], ids=["good", "data", "failed"]
)
def test_watch_tells_every_event_on_stderr_and_ends_as_the_run_did(
    played, autodl, submission, code
) -> None:
    played.submission = submission
    done = autodl("watch", "s1")
    assert done.exit_code == code
    assert done.stdout == ""
    assert "The data passed [the] check." in done.stderr
    assert "place 2 in the queue" in done.stderr
    assert "NAUC 0.9000   accuracy 0.8000   ALC so far 0.6000" in done.stderr
    if code == 0:
        assert "ALC 0.6000   NAUC 0.9000   accuracy –" in done.stderr
    else:
        assert "toy.solution: line 4: Too few columns. [labels-width]" in done.stderr
        assert "Add [one]." in done.stderr


def test_watch_with_json_prints_one_event_a_line(played, autodl) -> None:
    lines = [json.loads(line) for line in autodl("watch", "s1", "--json").stdout.splitlines()]
    assert [line["event"] for line in lines] == ["state", "queue", "point", "done"]


def test_ctrl_c_ends_the_watching_and_not_the_run(played, autodl, monkeypatch) -> None:
    def interrupt(event: object, console: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cli.follow._tell", interrupt)
    done = autodl("watch", "s1")
    assert done.exit_code == 130
    assert "Follow it again with: autodl watch s1" in done.stderr
    assert not any(r.method == "POST" for r in played.requests)


def test_list_and_status_are_for_people_or_for_programs(played, autodl) -> None:
    rows = autodl("list").stdout.splitlines()
    assert rows[0].split() == ["s1", "2026-11-25", "16:32", "succeeded", "0.6000", "toy"]
    assert [s["state"] for s in json.loads(autodl("list", "--json").stdout)] == [
        "succeeded",
        "rejected",
    ]
    assert autodl("status", "s1").stdout == "succeeded: The solution is learning.\n"
    assert json.loads(autodl("status", "s1", "--json").stdout) == DONE
    assert autodl("cancel", "s1").exit_code == 0
    assert autodl("start", "s1").exit_code == 0
    assert played.requests[-1].url.path == "/v1/submissions/s1/start"


def test_rerun_prints_the_new_id_and_can_follow_it(played, autodl) -> None:
    assert autodl("rerun", "s1").stdout == "s1\n"
    assert json.loads(autodl("rerun", "s1", "--json").stdout)["id"] == "s1"
    played.submission = FAILED
    assert autodl("rerun", "s1", "--watch").exit_code == 7


def test_downloads_lie_below_their_folder(played, autodl, tmp_path) -> None:
    done = autodl("download", "s1", "--out", "results")
    assert done.stdout.split() == ["results/a.csv", "results/b/c"]
    assert (tmp_path / "results/b/c").read_text() == "/s1/files/b/c"


def test_predictions_come_in_the_format_that_is_wanted(played, autodl, tmp_path) -> None:
    assert autodl("predictions", "s1").stdout == "/s1/files/predictions.csv"
    assert autodl("predictions", "s1", "--json").stdout == "/s1/files/predictions.json"
    autodl("predictions", "s1", "--format", "parquet", "--out", "p.parquet")
    assert (tmp_path / "p.parquet").read_text() == "/s1/files/predictions.parquet"


def test_nothing_is_deleted_without_being_asked_for_twice(played, autodl) -> None:
    done = autodl("delete", "s1")
    assert isinstance(done.exception, UsageError)
    assert done.exception.code == "confirmation-missing"
    assert not any(r.method == "DELETE" for r in played.requests)
    assert json.loads(autodl("delete", "s1", "--yes", "--json").stdout)["deleted"]
    assert played.requests[-1].method == "DELETE"


def test_quota_is_shown_beside_what_was_used(played, autodl) -> None:
    lines = autodl("quota").stdout.splitlines()
    assert lines[0].split() == ["submissions", "today", "1", "of", "2"]
    assert lines[2].split() == ["GiB", "stored", "1.5", "no", "limit"]
    assert json.loads(autodl("quota", "--json").stdout)["submissions_per_day"]["limit"] == 2


def test_the_queue_tells_when_a_new_submission_and_ones_own_start(played, autodl) -> None:
    shown = autodl("queue", "--budget", "60")
    assert played.requests[-1].url.params["budget_seconds"] == "60"
    assert [line.split() for line in shown.stdout.splitlines()] == [
        ["1", "0", "to", "65", "s", "s1"],
        ["3", "0", "to", "65", "s", "a", "new", "one"],
    ]
    assert "2 run, 2 wait" in shown.stderr
    assert json.loads(autodl("queue", "--json").stdout)["waiting"] == 2


def test_webhooks_are_made_listed_tried_and_removed(played, autodl) -> None:
    made = autodl("webhook", "create", "https://a.example/")
    assert (made.stdout, "w1" in made.stderr) == ("whsec_x\n", True)
    assert json.loads(played.requests[-1].content) == {"url": "https://a.example/"}
    assert autodl("webhook", "list").stdout == "w1  2026-11-26 00:00  https://a.example/\n"
    assert json.loads(autodl("webhook", "list", "--json").stdout)[0]["id"] == "w1"
    assert autodl("webhook", "test", "w1").stdout == "webhook.test: pending\n"
    assert json.loads(autodl("webhook", "delete", "w1", "--json").stdout)["deleted"]
    asked = played.requests[-1]
    assert (asked.method, asked.url.path) == ("DELETE", "/v1/webhooks/w1")


def test_a_link_is_made_and_all_of_them_can_be_revoked(played, autodl) -> None:
    assert autodl("share", "s1", "--days", "2").stdout == "http://127.0.0.1:8000/shared/t\n"
    assert json.loads(played.requests[-1].content) == {"expires_in_seconds": 172800}
    assert json.loads(autodl("share", "s1", "--revoke", "--json").stdout) == {"revoked": ["l1"]}
    assert played.requests[-1].method == "DELETE"
    assert played.requests[-1].url.path.endswith("/s1/shares/l1")


def test_an_error_of_the_service_goes_out_as_it_is(played, autodl) -> None:
    import httpx2

    problem = {"code": "token-invalid", "detail": "No such token."}
    played.refusal = httpx2.Response(401, json=problem)
    done = autodl("list")
    assert isinstance(done.exception, AuthenticationError)
