from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from autodl.bundle import write_items
from autodl.check import Finding, Report, check
from autodl.errors import BundleError
from autodl.metadata import Format
from autodl.page import render_page
from autodl.records import Example
from autodl.report import MAX_PER_CODE, Findings
from autodl.summary import describe
from tests.hostile import datasets as make


def codes_of(report: Report) -> set[str]:
    return {finding.code for finding in report.findings}


def test_a_report_travels_as_json(tmp_path: Path) -> None:
    make.table(tmp_path, train={3: b"junk"})
    report = check(tmp_path)
    assert Report.from_json(report.to_json()) == report
    assert not report.ok


def test_every_fault_is_found_in_one_reading(tmp_path: Path) -> None:
    broken = {1: b"junk", 5: Example(5, np.array([9]), np.ones(1), **make.row(5))}
    make.table(tmp_path, train=broken, test={0: Example(0, dense=np.ones((1, 2)))})
    (tmp_path / "d.solution").write_text("1 0 0\n")
    report = check(tmp_path)
    errors = {(f.code, f.record) for f in report.findings if f.severity == "error"}
    assert errors == {
        ("record-not-an-example", 1),
        ("label-out-of-range", 5),
        ("dense-length-mismatch", 0),
        ("labels-count", None),
    }
    assert report.summary["subsets"]["train"]["unreadable"] == 2


def test_places_are_relative_to_the_dataset(tmp_path: Path) -> None:
    make.table(tmp_path, train={3: b"junk"})
    assert check(tmp_path).findings[0].where == f"{make.TRAIN_FILE}, record 3"


def test_faults_that_repeat_are_counted(tmp_path: Path) -> None:
    findings = Findings(tmp_path)
    findings.add(Finding("other", "note", "Well."))
    for record in range(MAX_PER_CODE + 7):
        findings.add(Finding("same", "error", "Bad.", record=record))
    found = findings.sorted()
    assert len(found) == MAX_PER_CODE + 1
    assert found[MAX_PER_CODE - 1].message == "Bad. There are 7 more like this."
    assert found[-1].code == "other"


def test_any_number_of_threads_gives_the_same_report(tmp_path: Path) -> None:
    make.write_bundle(tmp_path, make.spec_of(Format.DENSE), make.row)
    many = [Example(i, **make.labels_of(i), **make.row(i % 700)) for i in range(900)]
    make.write_subset(tmp_path / "d.data/train", make.spec_of(Format.DENSE), many)
    assert check(tmp_path, jobs=1) == check(tmp_path, jobs=4)


def test_the_summary_says_what_is_in_it(tmp_path: Path) -> None:
    spec = replace(make.PICTURES, label_to_index_map={"cat": 0, "dog": 1, "cow": 2})
    make.images(tmp_path, spec, lambda i: make.picture(i, size=(5 + i, 30)))
    summary = check(tmp_path).summary
    assert summary["modality"] == "image"
    assert summary["label_names"] == ["cat", "dog", "cow"]
    assert summary["multi_label"] is False
    train = summary["subsets"]["train"]
    assert train["examples"] == make.TRAIN
    assert train["class_counts"] == [4, 4, 4]
    assert train["rows"] == [30, 30, 30]
    assert train["columns"] == [5, 10, 16]
    assert summary["subsets"]["test"]["class_counts"] == [2, 2, 2]


def test_missing_values_and_constant_columns_of_a_table_are_told(tmp_path: Path) -> None:
    def content(index: int) -> dict:
        values = make.row(index)["dense"]
        values[0, :2] = [np.nan if index % 2 else 1, 5]
        return {"dense": values}

    spec = replace(make.spec_of(Format.DENSE), feature_to_index_map={"age": 0, "city": 1})
    make.write_bundle(tmp_path, spec, content)
    report = check(tmp_path)
    assert report.summary["subsets"]["train"]["missing_values"] == make.TRAIN // 2
    message = next(f.message for f in report.findings if f.code == "columns-constant")
    assert "age, city" in message


def test_duplicates_are_told_with_the_first_pair(tmp_path: Path) -> None:
    same = {7: Example(7, **make.labels_of(1), **make.row(4))}
    make.table(tmp_path, train=same, test={2: Example(2, **make.row(0))})
    found = {finding.code: finding for finding in check(tmp_path).findings}
    assert found["duplicate-examples"].record == 7
    assert "records 4 and 7" in found["duplicate-examples"].message
    assert "duplicates-with-other-labels" not in found
    assert found["test-in-train"].record == 2
    assert "train record 0" in found["test-in-train"].message


def test_pictures_that_only_look_alike_are_told(tmp_path: Path) -> None:
    def encode(index: int) -> bytes:
        same = make.picture(3, size=(32, 32))
        return same if index == 3 else make.picture(index, size=(32, 32))

    make.images(tmp_path, encode=encode)
    other = Example(1, compressed=[make.picture(3, "BMP", size=(32, 32))])
    make.write_subset(
        tmp_path / "d.data/test",
        make.PICTURES,
        [other] + [Example(i, compressed=[make.picture(40 + i, size=(32, 32))]) for i in range(5)],
    )
    found = {finding.code: finding for finding in check(tmp_path).findings}
    assert "train record 3" in found["test-like-train"].message
    assert "test-in-train" not in found


def test_too_few_examples_and_classes_without_any_are_told(tmp_path: Path) -> None:
    two = {i: Example(i, np.array([i % 2]), np.ones(1), **make.row(i)) for i in range(make.TRAIN)}
    make.table(tmp_path, train=two)
    found = {finding.code: finding for finding in check(tmp_path).findings}
    assert "2" in found["class-without-examples"].message
    assert "0 (6), 1 (6)" in found["few-examples"].message


def test_a_public_part_lacks_only_its_labels(tmp_path: Path) -> None:
    make.table(tmp_path)
    (tmp_path / "d.solution").unlink()
    assert {f.code for f in check(tmp_path).findings if f.severity == "error"} == {"labels-missing"}


def test_describe_gives_facts_without_reading_examples(tmp_path: Path) -> None:
    make.images(tmp_path, train={3: Example(3, **make.labels_of(3), compressed=[b"junk"])})
    summary = describe(tmp_path)
    assert summary["subsets"]["train"] == {"examples": make.TRAIN, "class_counts": [4, 4, 4]}
    assert summary["subsets"]["test"] == {"examples": make.TEST, "class_counts": [2, 2, 2]}
    with pytest.raises(BundleError):
        describe(tmp_path / "none")


@pytest.mark.parametrize(
    "build",
    [make.table, make.images, make.videos, make.series, make.sparse, make.text, make.speech],
)
def test_the_page_shows_every_kind_of_dataset(build: make.Make, tmp_path: Path) -> None:
    build(tmp_path)
    page = render_page(tmp_path, check(tmp_path))
    assert page.startswith("<!doctype html>")
    assert page.count("<figure>") == make.TRAIN


def test_the_page_shows_what_is_broken_and_escapes_names(tmp_path: Path) -> None:
    spec = replace(make.PICTURES, label_to_index_map={"<script>": 0})
    make.images(tmp_path, spec, train={3: Example(3, **make.labels_of(3), compressed=[b"junk"])})
    page = render_page(tmp_path, check(tmp_path))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "[image-unreadable]" in page
    assert page.count("<figure") == make.TRAIN


def test_a_subset_that_cannot_be_opened_does_not_hide_the_rest(tmp_path: Path) -> None:
    make.table(tmp_path, train={3: b"junk"})
    (tmp_path / "d.data/test/metadata.textproto").unlink()
    (tmp_path / "d.solution").write_text("1 0\n" * make.TEST)
    assert {"metadata-missing", "record-not-an-example", "labels-width"} <= codes_of(
        check(tmp_path)
    )


def test_a_record_with_a_name_is_called_by_it(tmp_path: Path) -> None:
    make.table(tmp_path, train={7: Example(7, **make.labels_of(1), **make.row(4))})
    names = [f"cats/{number}.png" for number in range(make.TRAIN)]
    write_items(names, tmp_path / "d.data/train")
    found = {finding.code: finding for finding in check(tmp_path).findings}
    repeated = found["duplicate-examples"]
    assert (repeated.record, repeated.item) == (7, "cats/7.png")
    assert "records 4 (item cats/4.png) and 7 (item cats/7.png)" in repeated.message
    assert repeated.where == "d.data/train, record 7 (item cats/7.png)"

    shard = next((tmp_path / "d.data/train").glob("*.tfrecord"))
    shard.write_bytes(shard.read_bytes()[:-1])
    broken = next(f for f in check(tmp_path).findings if f.severity == "error")
    assert broken.item is None


def test_items_must_be_as_many_as_records(tmp_path: Path) -> None:
    make.table(tmp_path)
    write_items(["one.png"], tmp_path / "d.data/test")
    found = {finding.code: finding for finding in check(tmp_path).findings}
    assert found["items-count"].file == "d.data/test/items.csv"
