"""The bundle is verified, and its labels set apart."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from autodl.errors import BundleError, PlatformError
from service.storage import open_storage
from service.worker import program
from service.worker.stage import stage
from service.worker.tasks import StageTask


@pytest.fixture
def archive(tiny_bundle: Path, tmp_path: Path) -> Path:
    path = tmp_path / "a b.zip"
    with zipfile.ZipFile(path, "w") as file:
        for member in sorted(tiny_bundle.rglob("*")):
            file.write(member, member.relative_to(tiny_bundle))
    return path


def make_task(archive: Path, kind: str, **changes) -> StageTask:
    folder = archive.parent
    content = archive.read_bytes()
    solving = kind == "solve"
    values = {
        "kind": kind,
        "result": folder / "stage.result.json",
        "url": archive.as_uri(),
        "size_bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "bundle": folder / ("public" if solving else "bundle"),
        "labels": folder / "labels" if solving else None,
    }
    return StageTask(**values | changes)


def test_a_check_sees_the_whole_bundle(archive) -> None:
    task = make_task(archive, "check")
    stage(task)
    assert (task.bundle / "toy.solution").is_file()
    assert (task.bundle / "toy.data/train/metadata.textproto").is_file()


def test_raw_data_stay_the_one_file_that_they_are(archive, tmp_path) -> None:
    raw = tmp_path / "raw.zip"
    with zipfile.ZipFile(raw, "w") as file:
        file.writestr("cats/1.txt", "miaow")
    for name, content in (("pets.zip", raw.read_bytes()), ("my table.csv", b"a,label\n")):
        archive.write_bytes(content)
        task = make_task(archive, "check", name=name, bundle=tmp_path / name)
        stage(task)
        (found,) = task.bundle.iterdir()
        assert found.name == name
        assert found.read_bytes() == content


def test_a_bundle_is_known_by_what_it_holds(archive) -> None:
    task = make_task(archive, "check", name="data.bin")
    stage(task)
    assert (task.bundle / "toy.solution").is_file()


def test_a_solving_run_has_the_labels_apart_and_nowhere_else(archive) -> None:
    task = make_task(archive, "solve")
    stage(task)
    assert [p.name for p in task.labels.iterdir()] == ["toy.solution"]
    assert list(task.bundle.rglob("*.solution")) == []
    assert (task.bundle / "toy.data/unlabelled/metadata.textproto").is_file()
    assert not (archive.parent / "unpacked").exists()


@pytest.mark.parametrize("changes", [{"sha256": "0" * 64}, {"size_bytes": 3}])
def test_a_bundle_that_is_not_the_uploaded_one_is_our_fault(archive, changes) -> None:
    with pytest.raises(PlatformError) as caught:
        stage(make_task(archive, "check", **changes))
    assert caught.value.code == "bundle-altered"


def test_a_bundle_that_is_gone_is_our_fault(archive) -> None:
    task = make_task(archive, "check")
    archive.unlink()
    with pytest.raises(PlatformError) as caught:
        stage(task)
    assert caught.value.code == "bundle-lost"


def test_what_is_no_zip_is_the_users_fault(archive) -> None:
    archive.write_bytes(b"no zip")
    with pytest.raises(BundleError):
        stage(make_task(archive, "check"))


@pytest.fixture
def remote(s3, archive):
    storage = open_storage(s3.create())
    storage.put("uploads/x/bundle.zip", [archive.read_bytes()])
    return storage


def test_a_bundle_in_a_remote_store_is_fetched_and_not_kept(remote, archive) -> None:
    task = make_task(archive, "solve", url=remote.url("uploads/x/bundle.zip"))
    stage(task)
    assert [p.name for p in task.labels.iterdir()] == ["toy.solution"]
    assert sorted(p.name for p in archive.parent.glob("*.zip")) == ["a b.zip"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"size_bytes": 3}, "bundle-altered"),
        ({"sha256": "0" * 64}, "bundle-altered"),
        ({"url": "http://127.0.0.1:9/x"}, "storage-unavailable"),
    ],
)
def test_a_remote_bundle_that_cannot_be_had_is_our_fault(
    remote, archive, changes, code, monkeypatch
) -> None:
    monkeypatch.setattr(program, "PATIENCE_SECONDS", 0.1)
    url = remote.url("uploads/x/bundle.zip")
    with pytest.raises(PlatformError) as caught:
        stage(make_task(archive, "check", **({"url": url} | changes)))
    assert caught.value.code == code


def test_a_remote_bundle_that_is_gone_is_our_fault(remote, archive) -> None:
    url = remote.url("uploads/x/bundle.zip")
    remote.delete("uploads/x")
    with pytest.raises(PlatformError) as caught:
        stage(make_task(archive, "check", url=url))
    assert caught.value.code == "bundle-lost"
