"""Good datasets that look odd by their files: what tools, hands and years have left in them."""

import shutil
from collections.abc import Callable
from pathlib import Path

from autodl.bundle import write_items
from autodl.metadata import Format
from autodl.records import Example, encode_example

from .cases import odd
from .datasets import (
    TEST,
    TRAIN,
    TRAIN_FILE,
    frame,
    labels_of,
    one_hot,
    row,
    spec_of,
    table,
    write_subset,
)

# --- layout ------------------------------------------------------------------------------------


@odd()
def plain_table(root: Path) -> None:
    table(root)


@odd()
def in_one_folder(root: Path) -> None:
    (root / "my dataset").mkdir()
    table(root / "my dataset")


@odd()
def subsets_at_the_root(root: Path) -> None:
    table(root)
    for subset in ("train", "test"):
        shutil.move(root / "d.data" / subset, root / subset)
    (root / "d.data").rmdir()


@odd()
def droppings_of_systems(root: Path) -> None:
    table(root)
    (root / "__MACOSX/d.data").mkdir(parents=True)
    (root / "__MACOSX/d.data/._x").write_bytes(b"x")
    for folder in (root, root / "d.data", root / "d.data/train"):
        (folder / ".DS_Store").write_bytes(b"\0")
        (folder / "Thumbs.db").write_bytes(b"\0")


@odd()
def unlabelled_at_the_root(root: Path) -> None:
    table(root)
    unlabelled = [Example(i, **row(100 + i)) for i in range(5)]
    write_subset(root / "unlabelled", spec_of(Format.DENSE), unlabelled)


@odd()
def unlabelled_with_items(root: Path) -> None:
    table(root)
    unlabelled = [Example(i, **row(100 + i)) for i in range(5)]
    write_subset(root / "d.data/unlabelled", spec_of(Format.DENSE), unlabelled)
    write_items(["a.png", "b, c.png", 'd"e.png', "é.png", ""], root / "d.data/unlabelled")


@odd()
def name_of_another_script(root: Path) -> None:
    table(root)
    (root / "d.data").rename(root / "données 数据.data")
    (root / "d.solution").rename(root / "données 数据.solution")


@odd("labels-name")
def labels_by_another_name(root: Path) -> None:
    table(root)
    (root / "d.solution").rename(root / "truth.solution")


@odd()
def files_that_nobody_reads(root: Path) -> None:
    table(root)
    for name in ("metadata", "public.info", "d_private.info", "README.md", "d.data/notes.yaml"):
        (root / name).write_text("")


@odd()
def many_train_shards(root: Path) -> None:
    table(root)
    records = [encode_example(Example(i, **labels_of(i), **row(i))) for i in range(TRAIN)]
    (root / TRAIN_FILE).unlink()
    for shard, name in enumerate(("sample-a", "sample-b.tfrecord", "sample-c.bin")):
        part = records[4 * shard : 4 * shard + 4]
        (root / "d.data/train" / name).write_bytes(b"".join(map(frame, part)))
    (root / "d.data/train/sample-empty").write_bytes(b"")


@odd("test-in-several-shards")
def two_test_shards(root: Path) -> None:
    table(root)
    (root / "d.data/test/sample-z").write_bytes(b"")


# --- metadata ----------------------------------------------------------------------------------


def with_metadata(root: Path, change: Callable[[str], str]) -> None:
    table(root)
    for subset in ("train", "test"):
        path = root / f"d.data/{subset}/metadata.textproto"
        path.write_bytes(change(path.read_text()).encode("utf-8"))


@odd()
def metadata_with_windows_line_ends(root: Path) -> None:
    with_metadata(root, lambda t: t.replace("\n", "\r\n"))


@odd()
def metadata_with_a_byte_order_mark(root: Path) -> None:
    with_metadata(root, lambda t: "\ufeff" + t)


@odd()
def metadata_with_comments_and_commas(root: Path) -> None:
    with_metadata(root, lambda t: t.replace("output_dim: 3", "output_dim: 0x3, # three\n"))


@odd()
def metadata_in_angle_brackets(root: Path) -> None:
    with_metadata(root, lambda t: t.replace("matrix_spec {", "matrix_spec: <").replace("}", ">"))


@odd()
def metadata_in_another_order(root: Path) -> None:
    with_metadata(root, lambda t: "\n".join([*t.splitlines()[4:], *t.splitlines()[:4]]))


@odd()
def metadata_that_repeats_itself(root: Path) -> None:
    with_metadata(root, lambda t: t.replace("output_dim: 3", "output_dim: 7 output_dim: 3"))


@odd()
def metadata_with_the_deprecated_field(root: Path) -> None:
    with_metadata(root, lambda t: t.replace("format: DENSE", "is_sparse: true format: 0"))


@odd("metadata-field-unknown")
def metadata_with_a_field_of_its_own(root: Path) -> None:
    with_metadata(root, lambda t: t + "author: 'me'\n")


@odd()
def label_names_with_gaps_and_quotes(root: Path) -> None:
    names = "label_to_index_map { key: \"it's\" value: 2 } label_to_index_map { key: '\u3000' }"
    with_metadata(root, lambda t: t + names)


@odd("metadata-escape-latin1")
def label_names_escaped_as_latin1(root: Path) -> None:
    names = "label_to_index_map {\n  key: 'a\\xa0b\\\\xff'\n  value: 0\n}\n"
    with_metadata(root, lambda t: t + names)


@odd("sample-count-wrong")
def sample_count_wrong(root: Path) -> None:
    table(root)
    path = root / "d.data/train/metadata.textproto"
    path.write_text(path.read_text().replace("sample_count: 12", "sample_count: 99"))


@odd("several-matrices")
def two_matrices(root: Path) -> None:
    with_metadata(root, lambda t: t + "matrix_spec { col_count: 2 row_count: 1 }\n")


# --- test labels -------------------------------------------------------------------------------


def with_labels(root: Path, change: Callable[[str], str]) -> None:
    table(root)
    (root / "d.solution").write_bytes(change(one_hot(TEST)).encode())


@odd()
def labels_with_trailing_blanks(root: Path) -> None:
    with_labels(root, lambda t: t.replace("\n", " \n"))


@odd()
def labels_with_decimals(root: Path) -> None:
    with_labels(root, lambda t: t.replace("0", "0.0").replace("1", "1.0"))


@odd()
def labels_with_windows_line_ends(root: Path) -> None:
    with_labels(root, lambda t: t.replace("\n", "\r\n"))


@odd()
def labels_with_tabs_and_comments(root: Path) -> None:
    with_labels(root, lambda t: "# one line a record\n\n" + t.replace(" ", "\t"))


@odd()
def labels_without_a_last_line_end(root: Path) -> None:
    with_labels(root, lambda t: t.rstrip("\n"))


@odd("labels-not-binary")
def labels_that_are_soft(root: Path) -> None:
    with_labels(root, lambda t: t.replace("0 0 1", "0 0.5 1"))
