"""Listings of other tools: Roboflow, COCO, and the original formatter's."""

import json
from pathlib import Path

import pytest

from autodl.bundle import find_bundle, read_items
from autodl.errors import AutoDLError, BundleError
from formatter.convert import convert
from formatter.source import Options

from .conftest import write_images

NAMES = [f"p{n}.png" for n in range(12)]


def test_roboflow_classes_are_columns_and_valid_joins_train(tmp_path: Path) -> None:
    for part in ("train", "valid", "test"):
        write_images(tmp_path / "r" / part, NAMES)
        lines = [f"{name}, {n % 2}, {int(n % 3 == 0)}" for n, name in enumerate(NAMES)]
        text = "\n".join(["filename, cat, dog", *lines])
        (tmp_path / "r" / part / "_classes.csv").write_text(text)
    summary = convert(tmp_path / "r", None)
    assert summary.counts == {"train": 24, "test": 12}
    assert summary.multi_label
    assert summary.labels == {"cat": 18, "dog": 12}


def coco(**changes: object) -> str:
    content = {
        "images": [{"id": n, "file_name": name} for n, name in enumerate(NAMES)],
        "categories": [{"id": 5, "name": "cat"}, {"id": 9, "name": "dog"}],
        "annotations": [{"image_id": n, "category_id": (5, 9)[n % 2]} for n in range(12)],
    }
    return json.dumps(content | changes)


def test_coco_annotations_are_labels(tmp_path: Path) -> None:
    write_images(tmp_path / "c", NAMES)
    (tmp_path / "c/_annotations.coco.json").write_text(coco())
    summary = convert(tmp_path / "c", None)
    assert summary.labels == {"cat": 6, "dog": 6}
    assert not summary.multi_label


def test_a_coco_annotation_of_no_category_is_refused(tmp_path: Path) -> None:
    write_images(tmp_path / "c", NAMES)
    (tmp_path / "c/a.json").write_text(coco(categories=[{"id": 5, "name": "cat"}]))
    with pytest.raises(BundleError) as caught:
        convert(tmp_path / "c", None)
    assert (caught.value.code, caught.value.file) == ("coco-malformed", "c/a.json")


def test_the_original_formatters_folder_keeps_its_subset_and_names(tmp_path: Path) -> None:
    write_images(tmp_path / "o", NAMES)
    lines = [f"{name},{n % 2} 0.9,{'train' if n < 8 else 'test'}" for n, name in enumerate(NAMES)]
    text = "\n".join(["FileName,LabelConfidencePairs,subset", *lines])
    (tmp_path / "o/my_labels.csv").write_text(text)
    (tmp_path / "o/label.name").write_text("left\nright\n")
    (tmp_path / "o/private.info").write_text("name: signs\n")
    summary = convert(tmp_path / "o", None)
    assert (summary.split, summary.counts) == ("kept", {"train": 8, "test": 4})
    assert summary.labels == {"left": 6, "right": 6}


def test_coco_files_of_each_split_keep_it(tmp_path: Path) -> None:
    write_images(tmp_path / "c/train2017", NAMES[:8])
    write_images(tmp_path / "c/val2017", NAMES[8:])
    content = json.loads(coco())
    (tmp_path / "c/annotations").mkdir()
    for split, numbers in (("train", range(8)), ("val", range(8, 12))):
        part = {
            "images": [content["images"][n] for n in numbers],
            "annotations": [content["annotations"][n] for n in numbers],
        }
        path = tmp_path / f"c/annotations/instances_{split}2017.json"
        path.write_text(json.dumps(content | part))
    summary = convert(tmp_path / "c", None)
    assert (summary.split, summary.counts) == ("kept", {"train": 8, "test": 4})
    assert summary.labels == {"cat": 6, "dog": 6}


def test_coco_annotations_may_lie_beside_a_folder_of_images(tmp_path: Path) -> None:
    write_images(tmp_path / "c/images", NAMES)
    (tmp_path / "c/annotations").mkdir()
    (tmp_path / "c/annotations/instances.json").write_text(coco())
    (tmp_path / "c/annotations/captions.json").write_text('{"info": {}}')
    assert convert(tmp_path / "c", None).labels == {"cat": 6, "dog": 6}
    images = [{"id": n, "file_name": "x" * 5000 + ".png"} for n in range(12)]
    (tmp_path / "c/annotations/instances.json").write_text(coco(images=images))
    with pytest.raises(BundleError) as caught:
        convert(tmp_path / "c", Path(tmp_path / "never"))
    assert caught.value.code == "source-file-missing"


def test_several_labels_may_be_separated_by_anything(tmp_path: Path) -> None:
    write_images(tmp_path / "o", NAMES)
    rows = [f"{name},{('big cat; dog', 'dog', '')[n % 3]}" for n, name in enumerate(NAMES)]
    (tmp_path / "o/labels_of_all.csv").write_text("\n".join(["FileName,Labels", *rows]))
    summary = convert(tmp_path / "o", None, Options(separator=";"))
    assert summary.labels == {"big cat": 4, "dog": 8}
    assert summary.multi_label


@pytest.mark.parametrize("header", ["file,label", "filename,class", "Path,Category"])
def test_a_cell_of_one_label_is_not_split(tmp_path: Path, header: str) -> None:
    write_images(tmp_path / "o", NAMES)
    rows = [f"{name},{('Food & Drink', 'Flags')[n % 2]}" for n, name in enumerate(NAMES)]
    (tmp_path / "o/labels.csv").write_text("\n".join([header, *rows]))
    summary = convert(tmp_path / "o", None)
    assert summary.labels == {"Flags": 6, "Food & Drink": 6}
    assert not summary.multi_label


@pytest.mark.parametrize(("column", "labels"), [("label", 2), ("labels", 3)])
def test_texts_have_several_labels_where_the_column_says_so(
    tmp_path: Path, column: str, labels: int
) -> None:
    rows = [f"some words {n},{('World news', 'World sports')[n % 2]}" for n in range(16)]
    (tmp_path / "t.csv").write_text("\n".join([f"text,{column}", *rows]))
    assert len(convert(tmp_path / "t.csv", None).labels) == labels


def test_a_list_may_have_groups_and_a_column_for_each_label(
    image_folder: Path, tmp_path: Path
) -> None:
    lines = [f"p{n}.png,{n % 2},{int(n % 3 == 0)},patient{n // 4}" for n in range(20)]
    (image_folder / "labels.csv").write_text("\n".join(["image,old,ill,patient", *lines]) + "\n")
    options = Options(label=("old", "ill"), group="patient", test=0.4)
    summary = convert(image_folder, tmp_path / "out", options)
    assert (summary.labels, summary.multi_label) == ({"ill": 7, "old": 10}, True)
    bundle = find_bundle(tmp_path / "out")
    patients = []
    for part in (bundle.train, bundle.test):
        names = read_items(part) or []
        patients.append({int(name.removeprefix("p").removesuffix(".png")) // 4 for name in names})
    assert len(patients[1]) == 2
    assert not patients[0] & patients[1]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (Options(group="nobody"), "group-column-unknown"),
        (Options(label=("nothing",)), "label-column-unknown"),
    ],
)
def test_a_column_that_a_list_does_not_have_is_refused(
    image_folder: Path, options: Options, code: str
) -> None:
    with pytest.raises(AutoDLError) as caught:
        convert(image_folder, None, options)
    assert caught.value.code == code
