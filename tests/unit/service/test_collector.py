"""What nobody needs any more goes; what somebody may still need stays."""

import os
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from service.collector import Collector
from service.models import IdempotencyKey, Upload, UploadState, utc_now
from service.storage import FileStorage
from service.uploads.service import upload_key

DAY = 86400


def made_at(seconds_ago: float) -> str:
    """A UUIDv7 of that time."""
    milliseconds = int((datetime.now(UTC).timestamp() - seconds_ago) * 1000)
    return str(uuid.UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62 | uuid.uuid4().node))


OLD, NEW = made_at(2 * DAY), made_at(60)


@pytest.fixture
def sweep(settings, database, storage):
    """Every step once, from a start."""

    def sweep() -> None:
        for step in list(Collector(settings, database, storage, None).list_steps()):
            step()

    return sweep


@pytest.fixture
def add_upload(database, account_id):
    def add_upload(upload_id: str, *, key: str = "", seconds: float = DAY) -> Upload:
        upload = Upload(
            id=upload_id,
            account_id=account_id,
            name="a.zip",
            state=UploadState.COMPLETE,
            key=key or upload_key(upload_id),
            size_bytes=2,
            sha256="0" * 64,
            part_bytes=2,
            expires_at=utc_now() + timedelta(seconds=seconds),
        )
        with database.write() as session:
            session.add(upload)
        return upload

    return add_upload


def test_old_bytes_without_a_row_go(sweep, storage, add_upload) -> None:
    known = made_at(3 * DAY)
    add_upload(known)
    for upload_id in (OLD, NEW, known):
        storage.put(upload_key(upload_id), [b"PK"])
    for run_id in (OLD, NEW, "not-one-of-ours"):
        storage.put(f"runs/{run_id}/log.txt", [b"x"])
    sweep()
    assert set(storage.list_folders("uploads")) == {NEW, known}
    assert set(storage.list_folders("runs")) == {NEW, "not-one-of-ours"}


def test_bytes_that_another_row_names_stay(sweep, storage, add_upload) -> None:
    storage.put(upload_key(OLD), [b"PK"])
    add_upload(NEW, key=upload_key(OLD))
    sweep()
    assert storage.exists(upload_key(OLD))


def test_old_parts_without_a_row_go(sweep, storage) -> None:
    for upload_id in (OLD, NEW):
        storage.create_multipart(upload_key(upload_id), 10, 5)
    sweep()
    assert [key for key, _ in storage.list_multiparts()] == [upload_key(NEW)]


def test_what_a_killed_write_left_aside_goes(sweep, storage: FileStorage) -> None:
    storage.put("a", [b"x"])
    left = storage.root / ".aside" / "tmp1"
    left.write_bytes(b"half")
    sweep()
    assert left.exists()
    os.utime(left, (0, 0))
    sweep()
    assert not left.exists()


def test_an_upload_that_nobody_uses_in_time_goes(
    sweep, storage, add_upload, database, create
) -> None:
    used, late, early = made_at(30), made_at(20), made_at(10)
    for upload_id, seconds in ((used, -1), (late, -1), (early, DAY)):
        add_upload(upload_id, seconds=seconds)
        storage.put(upload_key(upload_id), [b"PK"])
    with database.write() as session:
        create(session).upload_id = used
    sweep()
    assert set(storage.list_folders("uploads")) == {used, early}
    with database.read() as session:
        assert session.get(Upload, late) is None


def test_old_answers_are_forgotten(sweep, database, account_id) -> None:
    def add(key: str, age: timedelta) -> None:
        row = IdempotencyKey(
            account_id=account_id,
            route="r",
            key=key,
            fingerprint="",
            answer={},
            resource_id="x",
            created_at=utc_now() - age,
        )
        with database.write() as session:
            session.add(row)

    add("old", timedelta(days=3))
    add("new", timedelta(hours=30))
    sweep()
    with database.read() as session:
        assert session.get(IdempotencyKey, (account_id, "r", "old")) is None
        assert session.get(IdempotencyKey, (account_id, "r", "new")) is not None
