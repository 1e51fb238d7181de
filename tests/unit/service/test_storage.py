"""Objects appear whole or not at all."""

import hashlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodl.errors import PlatformError, UsageError
from service.storage import FileStorage, open_storage
from service.storage.base import KEY


def files_below(storage: FileStorage) -> list[str]:
    return [p.name for p in storage.root.rglob("*") if p.is_file()]


@pytest.mark.parametrize("wrap", [lambda b: [b[:3], b[3:]], io.BytesIO], ids=["chunks", "stream"])
def test_an_object_comes_back_with_its_size_and_digest(storage, wrap) -> None:
    stored = storage.put("a/b.txt", wrap(b"content"))
    assert (stored.key, stored.size_bytes) == ("a/b.txt", 7)
    assert stored.sha256 == hashlib.sha256(b"content").hexdigest()
    assert storage.read("a/b.txt") == b"content"
    assert storage.path("a/b.txt").read_bytes() == b"content"


def test_storing_again_replaces_the_whole_object(storage) -> None:
    storage.put("a", [b"longer than"])
    storage.put("a", [b"this"])
    assert storage.read("a") == b"this"


def test_too_large_an_upload_is_refused_and_leaves_nothing(storage) -> None:
    with pytest.raises(UsageError) as caught:
        storage.put("a/b", iter([b"12345", b"67890"]), max_bytes=9)
    assert caught.value.code == "upload-too-large"
    assert files_below(storage) == []


def test_a_source_that_breaks_off_leaves_the_old_object(storage) -> None:
    storage.put("a", [b"old"])

    def break_off():
        yield b"new"
        raise ConnectionResetError

    with pytest.raises(PlatformError):
        storage.put("a", break_off())
    assert storage.read("a") == b"old"
    assert files_below(storage) == ["a"]


def test_list_and_delete_work_on_whole_prefixes(storage) -> None:
    for key in ("runs/1/a", "runs/1/b/c", "runs/10/a"):
        storage.put(key, [b"x"])
    assert storage.list("runs/1") == ["runs/1/a", "runs/1/b/c"]
    storage.delete("runs/1")
    storage.delete("runs/1")
    assert storage.list("runs") == ["runs/10/a"]
    assert not storage.exists("runs/1/a")


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
