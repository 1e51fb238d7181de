"""The API as its clients meet it: what it gives."""

import base64
import hashlib
import json
import os
import re
from pathlib import Path

import pytest
from sqlalchemy import select

from service.accounts.tokens import is_token
from service.app import create_app, prepare
from service.models import Account, Token
from service.settings import Settings
from tests.integration.conftest import IdleExecutor

ROOT = Path(__file__).resolve().parents[2]


def events(text: str) -> list[dict]:
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line[:1] not in ":")
        if "data" in fields:
            found.append({**fields, "data": json.loads(fields["data"])})
    return found


def test_a_submission_is_accepted_and_can_be_read(installation) -> None:
    content = b"PK" + os.urandom(200_000)
    answer = installation.http.post(
        "/v1/submissions",
        data={"budget_seconds": "90", "name": "Two  blanks"},
        files={"file": ("flowers.zip", content)},
    )
    assert answer.status_code == 202
    assert int(answer.headers["retry-after"]) >= 1
    body = installation.http.get(answer.headers["location"]).json()
    assert body == answer.json()
    assert body["name"] == "Two blanks"
    assert body["state"] == "validating"
    assert body["budget_seconds"] == 90
    assert body["queue_position"] == 1
    assert body["bundle"] == {
        "size_bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    key = f"uploads/{body['upload_id']}/bundle.zip"
    assert installation.context.storage.read(key) == content


@pytest.mark.parametrize("name", ["../../etc/passwd.zip", "C:\\data\\passwd.zip", "passwd.zip"])
def test_a_file_name_gives_a_name_and_no_path(installation, name) -> None:
    answer = installation.http.post("/v1/submissions", files={"file": (name, b"PK")})
    assert answer.json()["name"] == "passwd"


def test_polling_with_the_etag_costs_nothing_until_something_changes(installation) -> None:
    address = f"/v1/submissions/{installation.submit()}"
    etag = installation.http.get(address).headers["etag"]
    again = installation.http.get(address, headers={"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")
    installation.http.post(f"{address}/cancel")
    assert installation.http.get(address, headers={"If-None-Match": etag}).status_code == 200


def test_a_list_is_read_page_by_page_without_gap_or_repeat(installation) -> None:
    made = [installation.submit(name=str(i)) for i in range(5)]
    seen, address = [], "/v1/submissions?limit=2"
    while address:
        answer = installation.http.get(address)
        seen += [s["id"] for s in answer.json()["items"]]
        following = answer.json()["next_cursor"]
        address = following and f"/v1/submissions?limit=2&cursor={following}"
        assert (address or "") in answer.headers.get("link", "")
    assert seen == made[::-1]


def test_cancel_is_asked_for_once_or_twice(installation) -> None:
    address = f"/v1/submissions/{installation.submit()}/cancel"
    for _ in range(2):
        answer = installation.http.post(address)
        assert answer.status_code == 202
        assert "cancel" in answer.json()["status_reason"].lower()


def test_a_success_shows_its_figures_curve_report_and_log(installation) -> None:
    submission_id = installation.submit()
    address = f"/v1/submissions/{submission_id}"
    installation.succeed(submission_id, {"log.txt": b"epoch 1\nepoch 2\n"})
    body = installation.http.get(address).json()
    assert body["is_over"]
    assert body["state"] == "succeeded"
    assert body["result"]["alc"] == 0.6
    assert body["result"]["nauc"] == 0.9
    curve = installation.http.get(f"{address}/curve").json()
    assert [p["seconds"] for p in curve["points"]] == [2, 30]
    assert curve["alc"] == 0.6
    svg = installation.http.get(f"{address}/curve.svg")
    assert svg.headers["content-type"] == "image/svg+xml"
    assert "ALC 0.6000" in svg.text
    assert installation.http.get(f"{address}/report").json()["summary"]["classes"] == 2
    assert installation.http.get(f"{address}/log?tail_bytes=8").text == "epoch 2\n"


def test_the_log_of_a_run_at_work_is_its_executors(installation) -> None:
    submission_id = installation.submit()
    installation.executor.log = b"learning\n"
    address = f"/v1/submissions/{submission_id}/log"
    assert installation.http.get(address).text == ""
    installation.pass_check(submission_id)
    assert installation.http.get(address).text == "learning\n"


def test_events_tell_the_whole_story_once_and_end(installation) -> None:
    submission_id = installation.submit()
    installation.succeed(submission_id, {"log.txt": b"hello\n"})
    answer = installation.http.get(f"/v1/submissions/{submission_id}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    story = events(answer.text)
    assert [e["data"]["state"] for e in story if e["event"] == "state"] == [
        "validating",
        "queued",
        "running",
        "scoring",
        "succeeded",
    ]
    assert [e["data"]["nauc"] for e in story if e["event"] == "point"] == [0.5, 0.9]
    assert [e["data"]["text"] for e in story if e["event"] == "log"] == ["hello\n"]
    assert story[-1]["event"] == "done"
    assert story[-1]["data"]["result"]["alc"] == 0.6
    ids = [tuple(map(int, e["id"].split("."))) for e in story]
    assert ids == sorted(ids)


def test_events_go_on_after_the_last_id(installation) -> None:
    submission_id = installation.submit()
    installation.succeed(submission_id, {"log.txt": b"hello\n"})
    address = f"/v1/submissions/{submission_id}/events"
    story = events(installation.http.get(address).text)
    for cut in range(len(story) - 1):
        last = {"Last-Event-ID": story[cut]["id"]}
        assert events(installation.http.get(address, headers=last).text) == story[cut + 1 :]


def test_files_come_whole_with_their_digest_or_in_ranges(installation) -> None:
    submission_id = installation.submit()
    content = b"item,a,b\n" + b"1,0.5,0.5\n" * 1000
    installation.succeed(
        submission_id, {"predictions.csv": content, "labelled/dataset.predict": b"1 0\n"}
    )
    base = f"/v1/submissions/{submission_id}/files"
    listed = installation.http.get(base).json()["items"]
    assert [i["path"] for i in listed] == ["labelled/dataset.predict", "predictions.csv"]
    assert installation.http.get(listed[0]["href"]).content == b"1 0\n"
    whole = installation.http.get(f"{base}/predictions.csv")
    assert whole.content == content
    assert whole.headers["content-type"].startswith("text/csv")
    digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
    assert whole.headers["repr-digest"] == f"sha-256=:{digest}:"
    head = installation.http.head(f"{base}/predictions.csv")
    assert (head.content, head.headers["etag"]) == (b"", whole.headers["etag"])
    part = installation.http.get(
        f"{base}/predictions.csv",
        headers={"Range": "bytes=9-13", "If-Range": whole.headers["etag"]},
    )
    assert (part.status_code, part.content) == (206, content[9:14])


def test_the_token_is_private_hashed_and_replaced_when_its_file_is(installation) -> None:
    data = installation.context.settings.data
    assert is_token(installation.token)
    assert (data / "token").stat().st_mode & 0o777 == 0o600
    assert data.stat().st_mode & 0o777 == 0o700
    with installation.context.database.read() as session:
        (row,) = session.query(Token).all()
        assert installation.token not in (row.hash, row.prefix)
        assert row.hash == hashlib.sha256(installation.token.encode()).hexdigest()
    for file in data.glob("autodl.db*"):
        assert installation.token.encode() not in file.read_bytes()
    from service.app import prepare

    assert prepare(installation.context) == installation.token
    (data / "token").unlink()
    renewed = prepare(installation.context)
    answer = installation.http.get("/v1/submissions")
    assert (answer.status_code, answer.json()["code"]) == (401, "token-invalid")
    fresh = {"Authorization": f"Bearer {renewed}"}
    assert installation.http.get("/v1/submissions", headers=fresh).status_code == 200


def test_health_needs_no_token(installation) -> None:
    installation.http.headers.pop("Authorization")
    assert installation.http.get("/healthz").json() == {"status": "alive"}
    assert installation.http.get("/readyz").json() == {"status": "ready"}


def test_the_committed_description_is_the_apis(installation) -> None:
    now = json.dumps(installation.http.get("/v1/openapi.json").json(), indent=1) + "\n"
    committed = (ROOT / "docs/openapi.json").read_text(encoding="utf-8")
    assert committed == now, "docs/openapi.json is stale: python -m service.app > docs/openapi.json"


@pytest.mark.parametrize("document", ["README.md", "docs/howto/curl.md"])
def test_the_documents_name_only_addresses_that_exist(installation, document) -> None:
    paths = installation.http.get("/v1/openapi.json").json()["paths"]
    known = [
        re.compile(re.sub(r"\{[^}]*path\}", ".+", re.sub(r"\{s[^}]*\}", "[^/]+", p))) for p in paths
    ]
    text = (ROOT / document).read_text(encoding="utf-8")
    named = set(re.findall(r"(/v1/submissions[\w/$.]*)", text))
    assert len(named) > 5
    assert {a for a in named if not any(k.fullmatch(a) for k in known)} == set()


def test_a_service_for_others_makes_no_local_administrator(tmp_path) -> None:
    settings = Settings(data=tmp_path, host="0.0.0.0", gpus=())
    context = create_app(settings, IdleExecutor()).state.context
    assert prepare(context) is None
    assert not (tmp_path / "token").exists()
    with context.database.read() as session:
        assert session.scalars(select(Account)).all() == []
    context.database.close()
