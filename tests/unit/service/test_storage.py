"""Objects appear whole or not at all."""

import hashlib
import io
import tempfile
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodl.errors import PlatformError, UsageError
from service.storage import FileStorage, Part, Storage, open_storage
from service.storage.base import KEY

PART_BYTES = 5 * 1024 * 1024  # the least that S3 takes
CONTENT = bytes(range(256)) * (2 * PART_BYTES // 256) + b"tail"


@pytest.fixture(params=["files", "s3"])
def storage(request, tmp_path) -> Storage:
    if request.param == "files":
        return FileStorage(tmp_path / "storage")
    return open_storage(request.getfixturevalue("s3").create())


@pytest.fixture
def files(tmp_path) -> FileStorage:
    return FileStorage(tmp_path / "storage")


def cut(number: int) -> tuple[Part, bytes]:
    data = CONTENT[(number - 1) * PART_BYTES : number * PART_BYTES]
    return Part(number, len(data), hashlib.sha256(data).hexdigest()), data


def write(storage: Storage, multipart, number: int) -> None:
    part, data = cut(number)
    writer = storage.write_part(multipart, part)
    writer.write(data[:100])
    writer.write(data[100:])
    writer.commit()
    writer.close()


def files_below(storage: FileStorage) -> list[str]:
    return [p.name for p in storage.root.rglob("*") if p.is_file()]


@pytest.mark.parametrize("wrap", [lambda b: [b[:3], b[3:]], io.BytesIO], ids=["chunks", "stream"])
def test_an_object_comes_back_with_its_size_and_digest(storage, wrap) -> None:
    stored = storage.put("a/b.txt", wrap(b"content"))
    assert (stored.key, stored.size_bytes) == ("a/b.txt", 7)
    assert stored.sha256 == hashlib.sha256(b"content").hexdigest()
    assert storage.read("a/b.txt") == b"content"
    assert storage.exists("a/b.txt")


def test_storing_again_replaces_the_whole_object(storage) -> None:
    storage.put("a", [b"longer than"])
    storage.put("a", [b"this"])
    assert storage.read("a") == b"this"


def test_too_large_an_upload_is_refused_and_leaves_nothing(storage) -> None:
    with pytest.raises(UsageError) as caught:
        storage.put("a/b", iter([b"12345", b"67890"]), max_bytes=9)
    assert caught.value.code == "upload-too-large"
    assert storage.list("a") == []


def test_a_refused_object_leaves_no_file(files) -> None:
    with pytest.raises(UsageError):
        files.put("a/b", iter([b"12345", b"67890"]), max_bytes=9)
    assert files_below(files) == []


def test_a_source_that_breaks_off_leaves_the_old_object(storage) -> None:
    storage.put("a", [b"old"])

    def break_off():
        yield b"new"
        raise ConnectionResetError

    with pytest.raises(PlatformError):
        storage.put("a", break_off())
    assert storage.read("a") == b"old"


def test_a_large_object_comes_in_one_piece_or_not_at_all(storage) -> None:
    def break_off():
        yield CONTENT * 4
        raise ConnectionResetError

    with pytest.raises(PlatformError):
        storage.put("a", break_off())
    assert not storage.exists("a")
    assert storage.list_multiparts() == []
    stored = storage.put("a", [CONTENT, CONTENT])
    assert stored.size_bytes == 2 * len(CONTENT)
    with storage.open("a") as file:
        assert file.read(300) == CONTENT[:300]
        assert hashlib.sha256(CONTENT[:300] + file.read()).hexdigest() == stored.sha256


def test_list_and_delete_work_on_whole_prefixes(storage) -> None:
    for key in ("runs/1/a", "runs/1/b/c", "runs/10/a"):
        storage.put(key, [b"x"])
    assert storage.list("runs/1") == ["runs/1/a", "runs/1/b/c"]
    storage.delete("runs/1")
    storage.delete("runs/1")
    assert storage.list("runs") == ["runs/10/a"]
    assert "10" in storage.list_folders("runs")
    assert not storage.exists("runs/1/a")


def test_parts_come_in_any_order_and_again(storage) -> None:
    multipart = storage.create_multipart("a/b", len(CONTENT), PART_BYTES)
    for number in (3, 1, 3, 2):
        write(storage, multipart, number)
    there = storage.list_parts(multipart)
    assert [(part.number, part.size_bytes) for part in there] == [
        (1, PART_BYTES),
        (2, PART_BYTES),
        (3, 4),
    ]
    assert storage.list_multiparts() == [("a/b", multipart.id)]
    assert not storage.exists("a/b")
    whole = hashlib.sha256(CONTENT).hexdigest()
    assert storage.complete_multipart(multipart, there) in (None, whole)
    assert storage.complete_multipart(multipart, there) is None  # it was not looked at again
    assert storage.read("a/b") == CONTENT
    assert storage.list_multiparts() == []


def send(storage: FileStorage, multipart, number: int, data: bytes) -> None:
    part = Part(number, len(data), hashlib.sha256(data).hexdigest())
    writer = storage.write_part(multipart, part)
    writer.write(data)
    writer.commit()
    writer.close()


@pytest.mark.parametrize("replaced", [None, 1, 3], ids=["nothing", "hashed", "last"])
@pytest.mark.parametrize("restarted", [False, True])
def test_the_digest_that_runs_along_is_that_of_what_is_there(files, replaced, restarted) -> None:
    parts = {1: b"aaaa", 2: b"bbbb", 3: b"cc"}
    multipart = files.create_multipart("a", 10, 4)
    for number in (1, 3, 2):
        send(files, multipart, number, parts[number])
    other = FileStorage(files.root)
    if replaced is not None:
        parts[replaced] = parts[replaced].upper()
        send(other, multipart, replaced, parts[replaced])
    storage = other if restarted else files
    whole = b"".join(parts.values())
    digest = storage.complete_multipart(multipart, storage.list_parts(multipart))
    assert digest == hashlib.sha256(whole).hexdigest()
    assert storage.read("a") == whole


def test_a_part_that_comes_after_the_completion_does_no_harm(files) -> None:
    multipart = files.create_multipart("a", 4, 4)
    part = Part(1, 4, hashlib.sha256(b"aaaa").hexdigest())
    late = files.write_part(multipart, part)
    late.write(b"aaaa")
    send(files, multipart, 1, b"aaaa")
    files.complete_multipart(multipart, [part])
    with pytest.raises(PlatformError) as caught:
        late.commit()
    assert caught.value.code == "object-not-found"
    assert files.read("a") == b"aaaa"


@pytest.mark.parametrize("second", [b"aaaa", b"bbbb"])
def test_a_part_that_hangs_is_overtaken_by_the_next(files, second) -> None:
    multipart = files.create_multipart("a", 4, 4)
    hanging = files.write_part(multipart, Part(1, 4, hashlib.sha256(b"aaaa").hexdigest()))
    hanging.write(b"aa")
    send(files, multipart, 1, second)
    hanging.write(b"aa")
    if second == b"aaaa":
        hanging.commit()  # the same part
    else:
        with pytest.raises(UsageError) as caught:
            hanging.commit()
        assert caught.value.code == "part-superseded"
    hanging.close()
    assert files.complete_multipart(multipart, files.list_parts(multipart)) is not None
    assert files.read("a") == second


class Attempt:
    """One of several senders of a part at once: it may be wrong on the way, stop, or be killed."""

    def __init__(self, storage: FileStorage, multipart, plan: tuple[bytes, bytes, str]) -> None:
        announced, sent, self.end = plan
        part = Part(1, 4, hashlib.sha256(announced).hexdigest())
        self.begin = partial(storage.write_part, multipart, part)
        self.halves = [sent[:2], sent[2:]]
        self.writer: Any = None

    def step(self) -> None:
        if self.writer is None:
            self.writer = self.begin()
        elif self.halves:
            self.writer.write(self.halves.pop(0))
        elif self.end != "killed":
            if self.end == "committed":
                with suppress(UsageError):  # wrong on the way, or overtaken
                    self.writer.commit()
            self.writer.close()


WORDS = st.sampled_from([b"aaaa", b"bbbb"])
PLANS = st.tuples(WORDS, WORDS, st.sampled_from(["committed", "closed", "killed"]))


@given(st.lists(PLANS, min_size=3, max_size=5), st.randoms(use_true_random=False))
def test_a_part_that_is_there_is_the_announced_one_whoever_else_sends(plans, chance) -> None:
    with tempfile.TemporaryDirectory() as root:
        storage = FileStorage(Path(root))
        multipart = storage.create_multipart("a", 6, 4)
        turns = [sender for p in plans for sender in 4 * [Attempt(storage, multipart, p)]]
        chance.shuffle(turns)
        for sender in turns:
            sender.step()
            there = (Path(root) / ".parts" / multipart.id / "data").read_bytes()[:4]
            for part in storage.list_parts(multipart):
                assert hashlib.sha256(there).hexdigest() == part.sha256
        send(storage, multipart, 2, b"ee")
        send(storage, multipart, 1, b"cccc")
        whole = storage.complete_multipart(multipart, storage.list_parts(multipart))
        assert storage.read("a") == b"ccccee"
        assert whole == hashlib.sha256(b"ccccee").hexdigest()


@pytest.mark.parametrize(
    ("data", "code"),
    [(b"tai", "part-size-wrong"), (b"tails", "part-size-wrong"), (b"liat", "digest-mismatch")],
)
def test_a_part_that_is_not_the_announced_one_is_not_kept(storage, data, code) -> None:
    multipart = storage.create_multipart("a", len(CONTENT), PART_BYTES)
    writer = storage.write_part(multipart, cut(3)[0])

    def send() -> None:
        writer.write(data)
        writer.commit()

    with pytest.raises(UsageError) as caught:
        send()
    writer.close()
    assert caught.value.code == code
    assert storage.list_parts(multipart) == []


def test_an_aborted_object_is_gone_with_its_parts(storage) -> None:
    multipart = storage.create_multipart("a", len(CONTENT), PART_BYTES)
    write(storage, multipart, 1)
    for _ in range(2):
        storage.abort_multipart("a", multipart.id)
    assert storage.list_multiparts() == []
    with pytest.raises(PlatformError) as caught:
        storage.complete_multipart(multipart, [cut(1)[0]])
    assert caught.value.code == "object-not-found"


def test_what_is_not_there_is_said_to_be_missing(storage) -> None:
    with pytest.raises(PlatformError) as caught:
        storage.read("a")
    assert caught.value.code == "object-not-found"


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "../a", "a/../b", ".aside/x", "a\\b", "é"])
def test_a_key_that_could_leave_the_store_is_refused(storage, key) -> None:
    with pytest.raises(PlatformError) as caught:
        storage.put(key, [b"x"])
    assert caught.value.code == "object-key-invalid"


@given(st.text(alphabet="ab./\\%~ \0\n-", max_size=12))
def test_every_accepted_key_stays_below_the_root(key) -> None:
    if KEY.fullmatch(key):
        assert ".." not in key.split("/")
        assert not key.startswith("/")


def test_a_read_url_names_the_file_even_with_odd_folder_names(tmp_path) -> None:
    storage = open_storage((tmp_path / "a b%20ü").as_uri())
    storage.put("k", [b"x"])
    assert storage.path("k").is_file()
    assert storage.path("k").as_uri() == storage.url("k")


def test_an_unknown_kind_of_store_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        open_storage("ftp://somewhere")
    assert caught.value.code == "storage-url-unknown"
