"""convert: from a source to a bundle that every reader accepts."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from autodl.bundle import find_bundle, read_items, unpack_zip
from autodl.check import check
from autodl.dataset import Dataset, open_subset
from autodl.errors import BundleError, UsageError
from autodl.predictions import read_labels
from formatter import csvs, parallel, scratch
from formatter.convert import convert
from formatter.source import Options


def subset(root: Path, name: str) -> Dataset:
    return open_subset(find_bundle(root).subsets[name])


def test_a_folder_of_images_becomes_a_bundle_without_findings(
    image_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    summary = convert(image_folder, out)
    report = check(out)
    assert report.ok
    assert summary.counts == {"train": 16, "test": 4, "unlabelled": 3}
    example, labels = subset(out, "train")[0]
    assert example.shape == (1, 8, 12, 3)
    assert labels.sum() == 1
    assert subset(out, "train").metadata.get_label_to_index_map() == {"cat": 0, "dog": 1}


def test_unlabelled_files_keep_their_natural_order(image_folder: Path, tmp_path: Path) -> None:
    convert(image_folder, tmp_path / "out")
    folder = find_bundle(tmp_path / "out").unlabelled
    assert folder is not None
    assert read_items(folder) == ["u1.png", "u2.png", "u10.png"]


def test_the_same_source_gives_the_same_bytes(image_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    convert(image_folder, tmp_path / "bundle.zip", Options(jobs=1))
    convert(image_folder, tmp_path / "again/bundle.zip", Options(jobs=4))
    first, second = tmp_path / "bundle.zip", tmp_path / "again/bundle.zip"
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("source", ["image_folder", "table"])
def test_more_processes_or_smaller_pieces_change_no_byte(
    source: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = request.getfixturevalue(source)
    convert(place, tmp_path / "1" / "d.zip", Options(jobs=1))
    monkeypatch.setattr(parallel, "FEW_BYTES", 0)
    monkeypatch.setattr(csvs, "CHUNK_BYTES", 64)
    monkeypatch.setattr(scratch, "BLOCK_ROWS", 5)
    monkeypatch.setattr(scratch, "STRETCH_BYTES", 1)
    convert(place, tmp_path / "2" / "d.zip", Options(jobs=2))
    one, two = ((tmp_path / n / "d.zip").read_bytes() for n in "12")
    assert one == two


def test_another_seed_gives_another_split_of_the_same_sizes(
    image_folder: Path, tmp_path: Path
) -> None:
    items = []
    for seed in (0, 1):
        convert(image_folder, tmp_path / f"s{seed}", Options(seed=seed, name="d"))
        items.append(read_items(find_bundle(tmp_path / f"s{seed}").test))
    assert items[0] != items[1]
    assert len(items[0] or ()) == len(items[1] or ()) == 4


def test_a_zip_is_stored_and_unpacks_to_the_bundle(table: Path, tmp_path: Path) -> None:
    convert(table, tmp_path / "things.zip")
    with zipfile.ZipFile(tmp_path / "things.zip") as archive:
        assert {e.compress_type for e in archive.infolist()} == {zipfile.ZIP_STORED}
    unpack_zip(tmp_path / "things.zip", tmp_path / "unpacked")
    assert check(tmp_path / "unpacked").ok


def test_a_table_keeps_numbers_codes_and_missing_values(table: Path, tmp_path: Path) -> None:
    convert(table, tmp_path / "out", Options(test=0.5))
    train = subset(tmp_path / "out", "train")
    spec = train.metadata.metadata_
    assert spec.feature_to_index_map == {"size": 0, "colour": 1}
    assert spec.channel_to_index_map == {"colour=blue": 0, "colour=red": 1}
    values = np.stack([train[i][0].ravel() for i in range(len(train))])
    assert set(np.unique(values[:, 1])) == {0.0, 1.0}
    assert np.isnan(values[:, 0]).any()


def test_several_label_columns_make_a_multi_label_dataset(tmp_path: Path) -> None:
    rows = [f"{n},{n % 2},{int(n % 3 == 0)}" for n in range(24)]
    (tmp_path / "t.csv").write_text("\n".join(["x,loud,fast", *rows]))
    summary = convert(tmp_path / "t.csv", tmp_path / "out", Options(label=("loud", "fast")))
    assert summary.multi_label
    labels = read_labels(find_bundle(tmp_path / "out").labels, 2)  # type: ignore[arg-type]
    assert labels.shape == (summary.counts["test"], 2)


def test_groups_are_never_split_apart(tmp_path: Path) -> None:
    rows = [f"{n},{n // 4},{'a' if (n // 4) % 2 else 'b'}" for n in range(80)]
    (tmp_path / "t.csv").write_text("\n".join(["x,patient,label", *rows]))
    convert(tmp_path / "t.csv", tmp_path / "out", Options(group="patient"))
    bundle = find_bundle(tmp_path / "out")
    patients = [{int(i) // 4 for i in read_items(p) or ()} for p in (bundle.train, bundle.test)]
    assert patients[0].isdisjoint(patients[1])
    assert patients[1]


def test_nothing_is_left_behind_when_the_source_is_bad(image_folder: Path, tmp_path: Path) -> None:
    (image_folder / "p7.png").write_bytes(b"not a picture")
    before = set(tmp_path.iterdir())
    with pytest.raises(BundleError) as caught:
        convert(image_folder, tmp_path / "out.zip")
    assert caught.value.code == "image-unreadable"
    assert caught.value.file == "pictures/p7.png"
    assert set(tmp_path.iterdir()) == before


def test_an_existing_output_is_never_overwritten(table: Path, tmp_path: Path) -> None:
    (tmp_path / "out.zip").write_text("mine")
    with pytest.raises(UsageError, match="already there"):
        convert(table, tmp_path / "out.zip")
    assert (tmp_path / "out.zip").read_text() == "mine"


def test_a_dry_run_reads_everything_and_writes_nothing(table: Path, tmp_path: Path) -> None:
    before = set(tmp_path.iterdir())
    assert convert(table, None).out is None
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("image_sign_digits", ""),
        ("image_chest_xray_multilabel", ""),
        ("tabular_adult_income", "income"),
        (
            "tabular_music_emotions_multilabel",
            "amazed-suprised,happy-pleased,relaxing-calm,quiet-still,sad-lonely,angry-aggresive",
        ),
    ],
)
def test_practice_datasets_keep_their_split(
    shared: Path, tmp_path: Path, name: str, label: str
) -> None:
    labels = tuple(label.split(",")) if label else ()
    summary = convert(shared / "data" / name, tmp_path / "out", Options(label=labels))
    assert summary.split == "kept"
    assert check(tmp_path / "out").ok
    assert len(subset(tmp_path / "out", "test")) == summary.counts["test"]


def test_a_test_part_may_lie_elsewhere(table: Path, tmp_path: Path) -> None:
    part = tmp_path / "held-out.csv"
    part.write_text("size,colour,label\n1,green,yes\n2,red,no\n3,red,no\n")
    summary = convert(table, tmp_path / "out", Options(test_part=part))
    assert summary.counts == {"train": 30, "test": 3}
    codes = subset(tmp_path / "out", "test").metadata.metadata_.channel_to_index_map
    assert codes == {"colour=blue": 0, "colour=green": 1, "colour=red": 2}


@pytest.mark.parametrize("part", ["nowhere.csv", "pictures"])
def test_a_test_part_must_be_laid_out_as_the_source(
    table: Path, image_folder: Path, part: str
) -> None:
    with pytest.raises(UsageError) as caught:
        convert(table, None, Options(test_part=image_folder.parent / part))
    assert caught.value.code == "test-part-unfit"


def test_a_number_column_with_a_late_word_is_categorical_in_every_part(tmp_path: Path) -> None:
    rows = [f"{n % 3},{'ab'[n % 2]}" for n in range(1500)]
    (tmp_path / "t.csv").write_text("\n".join(["code,label", *rows, "1.0,a", "x,b"]) + "\n")
    (tmp_path / "u.csv").write_text("code\n2\n1.0\n")
    convert(tmp_path / "t.csv", tmp_path / "out", Options(unlabelled=tmp_path / "u.csv"))
    unlabelled = subset(tmp_path / "out", "unlabelled")
    codes = unlabelled.metadata.metadata_.channel_to_index_map
    assert codes == {f"code={name}": n for n, name in enumerate(["0", "1", "1.0", "2", "x"])}
    assert [x.item() for x, _ in unlabelled] == [3, 2]


def test_a_short_line_is_found_without_quotes_and_with(tmp_path: Path) -> None:
    for quoted in ("1", '"1"'):
        (tmp_path / "t.csv").write_text(f"label,a,b\nx,{quoted},2\ny,3\nx,4,\n")
        with pytest.raises(BundleError) as caught:
            convert(tmp_path / "t.csv", None)
        assert (caught.value.code, caught.value.line) == ("table-row-ragged", 3)


def test_rows_with_an_id_and_a_time_each_are_no_series(tmp_path: Path) -> None:
    rows = [f"{n},{n * 7 % 5},{n % 3},{'ab'[n % 2]}" for n in range(20)]
    (tmp_path / "t.csv").write_text("\n".join(["id,time,x,label", *rows]) + "\n")
    assert convert(tmp_path / "t.csv", None).kind == "tabular"


def test_a_semicolon_table_may_have_decimal_commas(tmp_path: Path) -> None:
    rows = [f"{n},5;{'ab'[n % 2]}" for n in range(10)]
    (tmp_path / "t.csv").write_text("\n".join(["x;label", *rows]))
    convert(tmp_path / "t.csv", tmp_path / "out")
    train = subset(tmp_path / "out", "train")
    assert {x.item() % 1 for x, _ in train} == {0.5}


def test_a_zip_is_what_it_holds(image_folder: Path, table: Path, tmp_path: Path) -> None:
    packed = Path(shutil.make_archive(str(tmp_path / "p"), "zip", tmp_path, image_folder.name))
    assert convert(packed, None).counts == {"train": 16, "test": 4, "unlabelled": 3}
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.write(table, "things.csv")
    convert(tmp_path / "t.zip", tmp_path / "bundle.zip", Options(name="d"))
    again = convert(tmp_path / "bundle.zip", tmp_path / "anew", Options(resplit=True, test=0.5))
    assert (again.kind, again.counts) == ("bundle", {"train": 15, "test": 15})
    assert check(tmp_path / "anew").ok
