"""What an owner does with a submission: ask once, again, keep, share, delete."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from service.executors.base import Observation, Phase
from service.models import (
    IdempotencyKey,
    RunKind,
    ShareLink,
    Submission,
    Tombstone,
    Upload,
    utc_now,
)
from service.reconciler import Reconciler
from tests.integration.test_api_refusals import expect

CONTENT = b"PK the bundle"


def upload(installation, content: bytes = CONTENT) -> str:
    answer = installation.http.put("/v1/uploads?name=flowers.zip", content=content)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def ask(installation, upload_id: str, key: str | None = None, **fields: object):
    headers = {} if key is None else {"Idempotency-Key": key}
    asked = {"upload_id": upload_id} | fields
    return installation.http.post("/v1/submissions", json=asked, headers=headers)


def count(installation, table) -> int:
    with installation.context.database.read() as session:
        return session.scalar(select(func.count()).select_from(table))


class Gone:
    """An executor at rest, which remembers what it was told to forget."""

    name = "idle"

    def __init__(self) -> None:
        self.forgotten: list[str] = []
        self.busy: set[str] = set()

    def observe(self, run_ids):
        here = {run_id: Phase.RUNNING for run_id in self.busy}
        return [Observation(run_id=i, phase=here.get(i, Phase.ABSENT)) for i in run_ids]

    def cancel(self, run_id: str) -> None:
        self.busy.discard(run_id)

    def logs(self, run_id: str, tail_bytes: int) -> bytes:
        return b""

    def forget(self, run_id: str) -> None:
        self.forgotten.append(run_id)


@pytest.fixture
def gone() -> Gone:
    return Gone()


@pytest.fixture
def reconciler(installation, gone) -> Reconciler:
    context = installation.context
    return Reconciler(context.settings, context.database, context.storage, gone)


class TestIdempotency:
    def test_an_upload_becomes_a_submission(self, installation) -> None:
        upload_id = upload(installation)
        answer = ask(installation, upload_id, budget_seconds=90, name="Two  blanks")
        assert answer.status_code == 202, answer.text
        body = answer.json()
        assert (body["name"], body["budget_seconds"]) == ("Two blanks", 90)
        assert (body["upload_id"], body["state"]) == (upload_id, "validating")
        assert answer.headers["location"] == f"/v1/submissions/{body['id']}"
        assert ask(installation, upload_id).json()["name"] == "flowers"

    def test_the_same_key_gives_the_same_answer(self, installation) -> None:
        upload_id = upload(installation)
        first = ask(installation, upload_id, "k-1")
        again = ask(installation, upload_id, "k-1")
        assert (again.status_code, again.json()) == (202, first.json())
        assert again.headers["location"] == first.headers["location"]
        assert again.headers["idempotency-replayed"] == "true"
        assert "idempotency-replayed" not in first.headers
        assert ask(installation, upload_id, "k-2").json()["id"] != first.json()["id"]
        assert count(installation, Submission) == 2

    def test_a_key_stands_for_one_request_only(self, installation) -> None:
        upload_id = upload(installation)
        ask(installation, upload_id, "k-1")
        answer = ask(installation, upload_id, "k-1", budget_seconds=5)
        expect(answer, 422, "idempotency-key-reused")
        assert count(installation, Submission) == 1

    def test_what_was_refused_may_be_asked_again_with_its_key(self, installation) -> None:
        upload_id = upload(installation)
        expect(ask(installation, upload_id, "k", solution="?"), 422, "solution-unknown")
        assert ask(installation, upload_id, "k").status_code == 202

    def test_a_form_is_sent_once_however_often_it_comes(self, installation) -> None:
        answers = [
            installation.http.post(
                "/v1/submissions",
                files={"file": ("a.zip", CONTENT)},
                headers={"Idempotency-Key": "form"},
            )
            for _ in range(3)
        ]
        assert {answer.json()["id"] for answer in answers} == {answers[0].json()["id"]}
        assert len(installation.context.storage.list("uploads")) == 1
        other = installation.http.post(
            "/v1/submissions",
            files={"file": ("a.zip", b"other")},
            headers={"Idempotency-Key": "form"},
        )
        expect(other, 422, "idempotency-key-reused")
        assert len(installation.context.storage.list("uploads")) == 1

    @pytest.mark.parametrize("key", ["", "x" * 256, "é", "a b"])
    def test_a_key_is_short_and_visible(self, installation, key) -> None:
        headers = {"Idempotency-Key": key.encode("latin-1")}
        answer = installation.http.post("/v1/submissions", json={"upload_id": "x"}, headers=headers)
        expect(answer, 422, "field-invalid")

    @pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
    def test_a_thousand_at_once_make_one(self, installation) -> None:
        upload_id = upload(installation)
        with ThreadPoolExecutor(32) as pool:
            answers = list(pool.map(lambda _: ask(installation, upload_id, "same"), range(1000)))
        assert {answer.status_code for answer in answers} == {202}
        assert len({answer.json()["id"] for answer in answers}) == 1
        assert count(installation, Submission) == count(installation, IdempotencyKey) == 1


class TestRerun:
    def test_it_is_a_new_submission_of_the_same_data(self, installation) -> None:
        first = ask(installation, upload(installation), budget_seconds=90).json()
        installation.succeed(first["id"])
        answer = installation.http.post(f"/v1/submissions/{first['id']}/rerun")
        assert answer.status_code == 202, answer.text
        again = answer.json()
        assert (again["rerun_of"], again["upload_id"]) == (first["id"], first["upload_id"])
        assert (again["name"], again["budget_seconds"]) == (first["name"], 90)
        assert again["bundle"] == first["bundle"]
        assert answer.headers["location"] == f"/v1/submissions/{again['id']}"

    def test_something_may_be_different(self, installation) -> None:
        first = ask(installation, upload(installation)).json()
        address = f"/v1/submissions/{first['id']}/rerun"
        answer = installation.http.post(address, json={"budget_seconds": 5, "name": "short"})
        assert (answer.json()["budget_seconds"], answer.json()["name"]) == (5, "short")
        expect(installation.http.post(address, json={"colour": "red"}), 422, "field-invalid")

    def test_its_key_is_its_own(self, installation) -> None:
        first = ask(installation, upload(installation)).json()
        address = f"/v1/submissions/{first['id']}/rerun"
        headers = {"Idempotency-Key": "again"}
        ids = {installation.http.post(address, headers=headers).json()["id"] for _ in range(3)}
        assert len(ids) == 1


class TestDeletion:
    def delete(self, installation, submission_id: str):
        return installation.http.delete(f"/v1/submissions/{submission_id}")

    def test_it_is_gone_from_sight_at_once(self, installation) -> None:
        submission_id = installation.submit()
        assert self.delete(installation, submission_id).status_code == 204
        own = f"/v1/submissions/{submission_id}"
        for address in (own, f"{own}/events", f"{own}/files", f"{own}/files/x", f"{own}/log"):
            expect(installation.http.get(address), 410, "submission-deleted")
        expect(self.delete(installation, submission_id), 410, "submission-deleted")
        expect(installation.http.post(f"{own}/rerun"), 410, "submission-deleted")
        expect(installation.http.post(f"{own}/cancel"), 410, "submission-deleted")
        assert installation.http.get("/v1/submissions").json()["items"] == []

    def test_nothing_of_it_is_left_but_a_tombstone(self, installation, reconciler, gone) -> None:
        first = ask(installation, upload(installation), "key").json()
        run_id = installation.succeed(first["id"], {"predictions.csv": b"1\n"})
        installation.http.post(f"/v1/submissions/{first['id']}/shares")
        self.delete(installation, first["id"])
        reconciler.tick()
        storage = installation.context.storage
        assert [p for p in storage.root.rglob("*") if p.is_file()] == []
        assert run_id in gone.forgotten
        for table in (Submission, Upload, IdempotencyKey, ShareLink):
            assert count(installation, table) == 0
        assert count(installation, Tombstone) == 1
        expect(installation.http.get(f"/v1/submissions/{first['id']}"), 410, "submission-deleted")

    def test_data_that_another_one_uses_stay(self, installation, reconciler) -> None:
        upload_id = upload(installation)
        first, second = (ask(installation, upload_id).json()["id"] for _ in range(2))
        for submission_id in (first, second):
            installation.succeed(submission_id)
        expect(installation.http.delete(f"/v1/uploads/{upload_id}"), 409, "upload-in-use")
        self.delete(installation, first)
        reconciler.tick()
        assert installation.http.get(f"/v1/uploads/{upload_id}").json()["state"] == "complete"
        self.delete(installation, second)
        reconciler.tick()
        expect(installation.http.get(f"/v1/uploads/{upload_id}"), 404, "upload-not-found")

    def test_what_runs_is_canceled_first(self, installation, reconciler, gone) -> None:
        submission_id = installation.submit()
        run_id, _ = installation.begin(submission_id, RunKind.CHECK)
        gone.busy.add(run_id)
        self.delete(installation, submission_id)
        for _ in range(5):
            reconciler.tick()
        assert run_id in gone.forgotten
        assert count(installation, Submission) == 0
        assert count(installation, Tombstone) == 1

    def test_it_waits_for_programs_that_are_still_there(
        self, installation, reconciler, gone
    ) -> None:
        submission_id = installation.submit()
        run_id = installation.succeed(submission_id)
        gone.busy.add(run_id)
        self.delete(installation, submission_id)
        gone.cancel = lambda run_id: None
        reconciler.tick()
        assert count(installation, Submission) == 1
        gone.busy.clear()
        reconciler.tick()
        assert count(installation, Submission) == 0


class TestRetention:
    def retain(self, installation, submission_id: str, until: object, **headers: str):
        address = f"/v1/submissions/{submission_id}"
        return installation.http.patch(address, json={"retained_until": until}, headers=headers)

    def test_its_date_is_seen_and_changed(self, installation) -> None:
        submission_id = installation.submit()
        before = installation.http.get(f"/v1/submissions/{submission_id}")
        assert before.json()["retained_until"] > utc_now().isoformat()
        until = (utc_now() + timedelta(days=3)).isoformat()
        answer = self.retain(
            installation, submission_id, until, **{"If-Match": before.headers["etag"]}
        )
        assert answer.status_code == 200, answer.text
        after = installation.http.get(f"/v1/submissions/{submission_id}")
        assert after.json()["retained_until"][:19] == until[:19]
        assert after.headers["etag"] == answer.headers["etag"] != before.headers["etag"]
        late = self.retain(
            installation, submission_id, until, **{"If-Match": before.headers["etag"]}
        )
        expect(late, 412, "precondition-failed")

    @pytest.mark.parametrize("days", [-1, 400, 10**5])
    def test_it_lies_in_the_operators_limits(self, installation, days) -> None:
        until = (utc_now() + timedelta(days=days)).isoformat()
        answer = self.retain(installation, installation.submit(), until)
        expect(answer, 422, "retention-out-of-range")

    @pytest.mark.parametrize("until", [None, "tomorrow", "2026-11-25T10:00:00", True, []])
    def test_it_is_a_time_with_its_zone(self, installation, until) -> None:
        answer = self.retain(installation, installation.submit(), until)
        expect(answer, 422, "field-invalid")

    def test_what_has_been_kept_for_long_enough_goes(self, installation, reconciler) -> None:
        kept, old, running = (installation.submit(), installation.submit(), installation.submit())
        for submission_id in (kept, old):
            installation.succeed(submission_id)
        with installation.context.database.write() as session:
            for submission_id in (old, running):
                row = session.get_one(Submission, submission_id)
                row.retained_until = utc_now() - timedelta(seconds=1)
            session.get_one(Submission, running).cancel_wanted = False
        for step in list(reconciler._collector.list_steps()):
            step()
        for step in list(reconciler._collector.list_steps()):
            step()
        expect(installation.http.get(f"/v1/submissions/{old}"), 410, "submission-deleted")
        for submission_id in (kept, running):
            assert installation.http.get(f"/v1/submissions/{submission_id}").status_code == 200


class TestLists:
    def test_filters_and_cursors_go_together(self, installation) -> None:
        upload_id = upload(installation)
        names = ["Blumen", "flowers 1", "Flowers 2", "more FLOWERS", "100%", "1000"]
        ids = [ask(installation, upload_id, name=name).json()["id"] for name in names]
        installation.succeed(ids[2])

        def find(query: str) -> list[str]:
            answer = installation.http.get(f"/v1/submissions?limit=1{query}")
            found = [item["id"] for item in answer.json()["items"]]
            while answer.json()["next_cursor"]:
                following = answer.headers["link"].partition(">")[0].removeprefix("<")
                answer = installation.http.get(following)
                found += [item["id"] for item in answer.json()["items"]]
            return found

        assert find("") == ids[::-1]
        assert find("&name=flowers") == ids[3:0:-1]
        assert find("&name=0%25") == [ids[4]]
        assert find("&state=succeeded") == [ids[2]]
        assert find("&state=succeeded&state=validating&name=flowers") == ids[3:0:-1]
        expect(installation.http.get("/v1/submissions?state=happy"), 422, "field-invalid")
        expect(installation.http.get("/v1/submissions?name=%00"), 422, "field-invalid")
        unknown = installation.http.get(f"/v1/submissions/{uuid.uuid4()}")
        expect(unknown, 404, "submission-not-found")
