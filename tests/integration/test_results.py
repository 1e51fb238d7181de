"""Results as they are fetched, from the service itself or from a store that is elsewhere."""

import hashlib
import json

import pytest

from service.body import format_digest

TABLE = b"subset,row,item,prediction\n" * 500
SHA256 = hashlib.sha256(TABLE).hexdigest()
MANIFEST = json.dumps({"files": {"predictions.csv": SHA256}}).encode()


@pytest.fixture
def address(installation) -> str:
    submission_id = installation.submit()
    installation.succeed(
        submission_id,
        {"predictions.csv": TABLE, "predictions.parquet": b"PAR1", "manifest.json": MANIFEST},
    )
    return f"/v1/submissions/{submission_id}/files"


def test_every_download_has_its_digest_its_kind_and_ranges(installation, address) -> None:
    whole = installation.http.get(f"{address}/predictions.csv")
    assert whole.content == TABLE
    assert whole.headers["repr-digest"] == format_digest(SHA256)
    assert whole.headers["content-type"] == "text/csv; charset=utf-8"
    part = installation.http.get(f"{address}/predictions.csv", headers={"Range": "bytes=100-"})
    assert (part.status_code, part.content) == (206, TABLE[100:])
    assert part.headers["repr-digest"] == format_digest(SHA256)  # of the whole
    parquet = installation.http.get(f"{address}/predictions.parquet")
    assert parquet.headers["content-type"] == "application/vnd.apache.parquet"


def test_a_store_that_is_elsewhere_is_named_with_the_digest_of_what_it_has(
    installation, address, monkeypatch
) -> None:
    monkeypatch.setattr(type(installation.context.storage), "path", lambda self, key: None)
    for name, digest in (("predictions.csv", format_digest(SHA256)), ("manifest.json", None)):
        answer = installation.http.get(f"{address}/{name}", follow_redirects=False)
        assert answer.status_code == 307
        assert answer.headers["location"].endswith(name)
        assert answer.headers.get("repr-digest") == digest


def test_before_the_end_of_a_run_its_files_have_no_digest_yet(installation, monkeypatch) -> None:
    submission_id = installation.submit()
    installation.succeed(submission_id, {"log.txt": b"at work"})
    monkeypatch.setattr(type(installation.context.storage), "path", lambda self, key: None)
    answer = installation.http.get(
        f"/v1/submissions/{submission_id}/files/log.txt", follow_redirects=False
    )
    assert (answer.status_code, answer.headers.get("repr-digest")) == (307, None)
