from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autodl.bundle import (
    find_bundle,
    looks_like_bundle,
    read_items,
    sha256_file,
    split_bundle,
    write_items,
)
from autodl.errors import BundleError
from autodl.metadata import Format
from autodl.records import Example
from tests.hostile import datasets as make

Make = Callable[[Path], object]
LAYOUTS = {
    "tfrecord": make.table,
    "autospeech": make.speech,
    "autonlp": make.lines,
    "automl": make.matrix,
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_found(layout: str, tmp_path: Path) -> None:
    LAYOUTS[layout](tmp_path)
    bundle = find_bundle(tmp_path)
    assert bundle.layout == layout
    assert bundle.name == "d"
    assert list(bundle.subsets) == ["train", "test"]
    assert bundle.labels is not None
    assert all(path.exists() for path in bundle.subsets.values())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_split_sets_the_labels_apart(layout: str, tmp_path: Path) -> None:
    root, public, labels = (tmp_path / name for name in ("root", "public", "labels"))
    root.mkdir()
    LAYOUTS[layout](root)
    (root / "d_private.info").write_text("secret")
    whole = find_bundle(root)
    split_bundle(whole, public, labels)
    assert [path.name for path in labels.iterdir()] == ["d.solution"]
    assert whole.labels is not None
    assert (labels / "d.solution").read_bytes() == whole.labels.read_bytes()
    part = find_bundle(public)
    assert part.layout == layout
    assert part.name == "d"
    assert part.labels is None
    secrets = {whole.labels.read_bytes(), b"secret"}
    assert not [p for p in public.rglob("*") if p.is_file() and p.read_bytes() in secrets]


def test_split_copies_no_bytes_within_a_file_system(tmp_path: Path) -> None:
    make.table(tmp_path / "root")
    split_bundle(find_bundle(tmp_path / "root"), tmp_path / "public", tmp_path / "labels")
    source, placed = tmp_path / "root" / make.TRAIN_FILE, tmp_path / "public" / make.TRAIN_FILE
    assert placed.samefile(source)


def test_split_follows_links_to_files(tmp_path: Path) -> None:
    make.table(tmp_path / "root")
    record = tmp_path / "root" / make.TRAIN_FILE
    record.rename(tmp_path / "elsewhere")
    record.symlink_to(tmp_path / "elsewhere")
    split_bundle(find_bundle(tmp_path / "root"), tmp_path / "public", tmp_path / "labels")
    placed = tmp_path / "public" / make.TRAIN_FILE
    assert not placed.is_symlink()
    assert placed.samefile(tmp_path / "elsewhere")


def test_the_unlabelled_part_comes_along(tmp_path: Path) -> None:
    make.table(tmp_path / "root")
    spec = make.spec_of(Format.DENSE, -1)
    make.write_subset(tmp_path / "root/unlabelled", spec, [Example(0)])
    write_items(["a.png"], tmp_path / "root/unlabelled")
    split_bundle(find_bundle(tmp_path / "root"), tmp_path / "public", tmp_path / "labels")
    part = find_bundle(tmp_path / "public")
    assert part.unlabelled == tmp_path / "public/d.data/unlabelled"
    assert read_items(part.unlabelled) == ["a.png"]


def test_subsets_at_the_root_take_their_name_from_the_labels(tmp_path: Path) -> None:
    make.table(tmp_path)
    for subset in ("train", "test"):
        (tmp_path / "d.data" / subset).rename(tmp_path / subset)
    (tmp_path / "d.data").rmdir()
    assert find_bundle(tmp_path).name == "d"
    split_bundle(find_bundle(tmp_path), tmp_path / "public", tmp_path / "labels")
    assert find_bundle(tmp_path / "public").name == "d"


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(BundleError) as caught:
        find_bundle(tmp_path / "none")
    assert caught.value.code == "bundle-missing"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))))
def test_items_read_back(tmp_path: Path, names: list[str]) -> None:
    write_items(names, tmp_path)
    assert read_items(tmp_path) == names


def test_items_are_optional(tmp_path: Path) -> None:
    assert read_items(tmp_path) is None


def test_the_digest_is_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_file(tmp_path / "a").startswith("ba7816bf8f01cfea")


@pytest.mark.parametrize(
    ("name", "is_bundle"),
    [
        ("a/b.data/train/metadata.textproto", True),
        ("b.data/train.pkl", True),
        ("b_train.data", True),
        ("train/sample-b-train.tfrecord", True),
        ("b.solution", True),
        ("cats/1.png", False),
        ("train.csv", False),
        ("labels.csv", False),
        ("iris.data", False),
    ],
)
def test_a_bundle_is_told_from_raw_data_by_its_names(name, is_bundle) -> None:
    assert looks_like_bundle(["readme.txt", name]) is is_bundle
