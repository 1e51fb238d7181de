"""Broken datasets by their files: metadata, layout, test labels."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

from autodl.metadata import Format

from .cases import broken
from .datasets import (
    TRAIN_FILE,
    images,
    one_hot,
    spec_of,
    table,
    write_subset,
)

METADATA = "d.data/train/metadata.textproto"
LABELS = "d.solution"


# --- metadata.textproto ------------------------------------------------------------------------


def with_metadata(root: Path, old: str, new: str) -> None:
    table(root)
    for subset in ("train", "test"):
        path = root / f"d.data/{subset}/metadata.textproto"
        path.write_text(path.read_text().replace(old, new))


@broken("metadata-missing", METADATA)
def metadata_missing(root: Path) -> None:
    table(root)
    (root / METADATA).unlink()


@broken("metadata-missing", METADATA)
def metadata_is_a_folder(root: Path) -> None:
    table(root)
    (root / METADATA).unlink()
    (root / METADATA).mkdir()


@broken("metadata-not-utf8", METADATA, line=2)
def metadata_in_latin1(root: Path) -> None:
    table(root)
    (root / METADATA).write_bytes(b"# all\n# caf\xe9\n" + (root / METADATA).read_bytes())


@broken("metadata-not-utf8", METADATA)
def metadata_in_utf16(root: Path) -> None:
    table(root)
    (root / METADATA).write_text((root / METADATA).read_text(), encoding="utf-16")


@broken("metadata-invalid", METADATA, line=4)
def metadata_with_a_fraction(root: Path) -> None:
    with_metadata(root, "output_dim: 3", "output_dim: 1.5")


@broken("metadata-invalid", METADATA, line=1)
def metadata_is_json(root: Path) -> None:
    table(root)
    (root / METADATA).write_text('{"output_dim": 3}')


@broken("metadata-invalid", METADATA)
def metadata_block_left_open(root: Path) -> None:
    with_metadata(root, "}", "")


@broken("metadata-invalid", METADATA)
def metadata_string_left_open(root: Path) -> None:
    with_metadata(root, "output_dim: 3", "output_dim: 3 label_to_index_map { key: 'cat")


@broken("metadata-invalid", METADATA)
def metadata_with_an_unknown_format(root: Path) -> None:
    with_metadata(root, "format: DENSE", "format: LOOSE")


@broken("metadata-invalid", METADATA)
def metadata_with_a_number_too_large(root: Path) -> None:
    with_metadata(root, "output_dim: 3", "output_dim: " + "9" * 5000)


@broken("metadata-invalid", METADATA)
def metadata_nested_without_end(root: Path) -> None:
    with_metadata(root, "output_dim: 3", "output_dim: 3 " + "a { " * 20_000)


@broken("metadata-incomplete", METADATA)
def metadata_empty(root: Path) -> None:
    table(root)
    (root / METADATA).write_text("")


@broken("metadata-incomplete", METADATA)
def metadata_without_output_dim(root: Path) -> None:
    with_metadata(root, "output_dim: 3\n", "")


@broken("metadata-incomplete", METADATA)
def metadata_with_negative_output_dim(root: Path) -> None:
    with_metadata(root, "output_dim: 3", "output_dim: -3")


@broken("too-many-labels", METADATA)
def metadata_with_two_billion_labels(root: Path) -> None:
    with_metadata(root, "output_dim: 3", f"output_dim: {2**31 - 1}")


@broken("metadata-too-large", METADATA)
def metadata_of_a_gigabyte(root: Path) -> None:
    table(root)
    os.truncate(root / METADATA, 1 << 30)


@broken("metadata-incomplete", METADATA)
def metadata_without_matrix(root: Path) -> None:
    table(root, replace(spec_of(Format.DENSE), matrix_spec=()))


@broken("metadata-differ", "d.data/test")
def subsets_with_other_classes(root: Path) -> None:
    table(root)
    spec = replace(spec_of(Format.DENSE), output_dim=4)
    write_subset(root / "d.data/test", spec, [])


@broken("metadata-differ", "d.data/test")
def subsets_with_other_formats(root: Path) -> None:
    table(root)
    images(root / "other")
    shutil.rmtree(root / "d.data/test")
    shutil.move(root / "other/d.data/test", root / "d.data/test")
    shutil.rmtree(root / "other")


# --- layout ------------------------------------------------------------------------------------


@broken("bundle-missing")
def nothing_at_all(root: Path) -> None:
    root.mkdir(exist_ok=True)


@broken("bundle-missing")
def raw_pictures(root: Path) -> None:
    for name in ("cat", "dog"):
        (root / name).mkdir()
        (root / name / "1.png").write_bytes(b"")


@broken("bundle-missing")
def zips_in_a_zip(root: Path) -> None:
    (root / "d.data.zip").write_bytes(b"PK")
    (root / "d.solution.zip").write_bytes(b"PK")


@broken("records-in-one-folder", ".")
def both_subsets_in_one_folder(root: Path) -> None:
    table(root)
    for subset in ("train", "test"):
        shutil.move(
            root / f"d.data/{subset}/sample-d-{subset}.tfrecord", root / f"{subset}.tfrecord"
        )
    shutil.move(root / "d.data/train/metadata.textproto", root / "metadata.textproto")
    shutil.rmtree(root / "d.data")


@broken("records-in-one-folder", "d.data")
def both_subsets_in_the_data_folder(root: Path) -> None:
    table(root)
    for subset in ("train", "test"):
        shutil.move(root / f"d.data/{subset}/sample-d-{subset}.tfrecord", root / "d.data")
        shutil.rmtree(root / "d.data" / subset)


@broken("bundle-several-datasets")
def two_datasets(root: Path) -> None:
    table(root)
    shutil.copytree(root / "d.data", root / "e.data")


@broken("subset-missing", "d.data/test")
def no_test_subset(root: Path) -> None:
    table(root)
    shutil.rmtree(root / "d.data/test")


@broken("subset-missing", "d.data/train")
def no_train_subset(root: Path) -> None:
    table(root)
    shutil.rmtree(root / "d.data/train")


@broken("records-missing", "d.data/train")
def records_by_another_name(root: Path) -> None:
    table(root)
    (root / TRAIN_FILE).rename(root / "d.data/train/data.tfrecord")


@broken("records-missing", "d.data/train")
def records_are_a_folder(root: Path) -> None:
    table(root)
    (root / TRAIN_FILE).unlink()
    (root / TRAIN_FILE).mkdir()


@broken("records-missing", "d.data/train")
def records_are_a_dangling_link(root: Path) -> None:
    table(root)
    (root / TRAIN_FILE).unlink()
    (root / TRAIN_FILE).symlink_to("nowhere")


@broken("too-many-shards", "d.data/train")
def a_thousand_shards(root: Path) -> None:
    table(root)
    for number in range(1000):
        (root / f"d.data/train/sample-{number}").write_bytes(b"")


@broken("dataset-name-dotted", "d.v2.data")
def name_with_a_dot(root: Path) -> None:
    table(root)
    (root / "d.data").rename(root / "d.v2.data")
    (root / "d.solution").rename(root / "d.v2.solution")


@broken("items-invalid", "d.data/train/items.csv", line=1)
def items_without_header(root: Path) -> None:
    table(root)
    (root / "d.data/train/items.csv").write_text("a.png\nb.png\n")


@broken("items-invalid", "d.data/train/items.csv")
def items_not_text(root: Path) -> None:
    table(root)
    (root / "d.data/train/items.csv").write_bytes(b"item\n\xff\xfe\n")


# --- test labels -------------------------------------------------------------------------------


@broken("labels-missing", LABELS)
def labels_missing(root: Path) -> None:
    table(root)
    (root / LABELS).unlink()


@broken("labels-several")
def two_files_of_labels(root: Path) -> None:
    table(root)
    shutil.copy(root / LABELS, root / "e.solution")


@broken("labels-count", LABELS)
def a_line_of_labels_too_few(root: Path) -> None:
    table(root)
    (root / LABELS).write_text(one_hot(5))


@broken("labels-count", LABELS)
def a_line_of_labels_too_many(root: Path) -> None:
    table(root)
    (root / LABELS).write_text(one_hot(7))


@broken("labels-malformed", LABELS, line=3)
def ragged_labels(root: Path) -> None:
    table(root)
    (root / LABELS).write_text("1 0 0\n0 1 0\n0 0\n1 0 0\n0 1 0\n0 0 1\n")


@broken("labels-malformed", LABELS, line=2)
def labels_are_words(root: Path) -> None:
    table(root)
    (root / LABELS).write_text("1 0 0\ncat dog bird\n" + one_hot(4))


@broken("labels-malformed", LABELS, line=1)
def labels_with_commas(root: Path) -> None:
    table(root)
    (root / LABELS).write_text(one_hot(6).replace(" ", ","))


@broken("labels-malformed", LABELS)
def labels_in_utf16(root: Path) -> None:
    table(root)
    (root / LABELS).write_text(one_hot(6), encoding="utf-16")


@broken("labels-malformed", LABELS)
def labels_are_bytes(root: Path) -> None:
    table(root)
    (root / LABELS).write_bytes(bytes(range(256)))


@broken("labels-not-finite", LABELS, line=2)
def label_is_nan(root: Path) -> None:
    table(root)
    (root / LABELS).write_text("1 0 0\nnan 1 0\n" + one_hot(4))


@broken("labels-not-finite", LABELS, line=1)
def label_is_infinite(root: Path) -> None:
    table(root)
    (root / LABELS).write_text("inf 0 0\n0 1 0\n" + one_hot(4))


@broken("labels-empty", LABELS)
def labels_empty(root: Path) -> None:
    table(root)
    (root / LABELS).write_text("")


@broken("labels-width", LABELS)
def labels_as_class_numbers(root: Path) -> None:
    table(root)
    (root / LABELS).write_text("0\n1\n2\n0\n1\n2\n")
