"""Listings of other tools: Roboflow, COCO, and the original formatter's."""

import json
from pathlib import Path

import pytest

from autodl.errors import BundleError
from formatter.convert import convert

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
