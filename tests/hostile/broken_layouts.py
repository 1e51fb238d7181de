"""Broken datasets by their files: metadata, test labels, layouts, and the other formats."""

import os
import pickle
import shutil
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np

from autodl.metadata import Format

from .cases import broken
from .datasets import (
    TRAIN,
    TRAIN_FILE,
    images,
    lines,
    matrix,
    one_hot,
    spec_of,
    speech,
    table,
    write_meta,
    write_subset,
)

METADATA = "d.data/train/metadata.textproto"
LABELS = "d.solution"
PICKLE = "d.data/train.pkl"


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
def metadata_with_a_lone_byte(root: Path) -> None:
    key = r"output_dim: 3 label_to_index_map { key: 'a\xa0b' value: 0 }"
    with_metadata(root, "output_dim: 3", key)


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


# --- AutoSpeech --------------------------------------------------------------------------------


class Calls:
    """Pickles to a call of ``function`` with ``arguments``."""

    def __init__(self, function: object, *arguments: object) -> None:
        self._reduced = function, arguments

    def __reduce__(self) -> object:
        return self._reduced


def with_pickle(root: Path, data: object) -> None:
    speech(root)
    (root / PICKLE).write_bytes(data if isinstance(data, bytes) else pickle.dumps(data))


@broken("pickle-unsafe", PICKLE)
def pickle_runs_a_program(root: Path) -> None:
    with_pickle(root, [Calls(os.system, f"touch {root}/pwned")])


@broken("pickle-unsafe", PICKLE)
def pickle_evaluates(root: Path) -> None:
    with_pickle(root, [Calls(eval, "1+1")])


@broken("pickle-unsafe", PICKLE)
def pickle_opens_a_file(root: Path) -> None:
    with_pickle(root, Calls(open, f"{root}/pwned", "w"))


@broken("pickle-unsafe", PICKLE)
def pickle_loads_a_file_through_numpy(root: Path) -> None:
    with_pickle(root, Calls(np.load, "x.npy"))


@broken("pickle-unsafe", PICKLE)
def pickle_of_a_class(root: Path) -> None:
    with_pickle(root, [Path("x")])


@broken("pickle-invalid", PICKLE)
def pickle_calls_the_array_type(root: Path) -> None:
    with_pickle(root, [Calls(np.ndarray, (1 << 40,))])


@broken("pickle-invalid", PICKLE)
def pickle_changes_an_allowed_name(root: Path) -> None:
    with_pickle(root, b"cnumpy.core.multiarray\n_reconstruct\n(N(dVx\nI1\nstb.")


@broken("pickle-invalid", PICKLE)
def pickle_cut(root: Path) -> None:
    speech(root)
    (root / PICKLE).write_bytes((root / PICKLE).read_bytes()[:-200])


@broken("pickle-invalid", PICKLE)
def pickle_is_text(root: Path) -> None:
    with_pickle(root, b"hello\nworld\n")


@broken("pickle-invalid", PICKLE)
def pickle_claims_an_exabyte(root: Path) -> None:
    with_pickle(root, b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b".")


@broken("pickle-invalid", PICKLE)
def pickle_claims_a_huge_byte_array(root: Path) -> None:
    with_pickle(root, b"\x80\x05]\x96" + struct.pack("<Q", 1 << 36) + b"abca.")


@broken("pickle-invalid", PICKLE)
def pickle_of_a_dictionary(root: Path) -> None:
    with_pickle(root, {"waves": []})


@broken("file-missing", PICKLE)
def pickle_of_no_bytes(root: Path) -> None:
    with_pickle(root, b"")


@broken("speech-content", PICKLE, record=1)
def waves_of_two_dimensions(root: Path) -> None:
    with_pickle(root, [np.ones(3), np.ones((3, 2))])


@broken("speech-content", PICKLE, record=0)
def waves_of_objects(root: Path) -> None:
    with_pickle(root, [np.array([None, 1])])


@broken("speech-content", PICKLE, record=0)
def waves_of_complex_numbers(root: Path) -> None:
    with_pickle(root, [np.ones(3, complex)])


@broken("speech-content", PICKLE, record=0)
def waves_are_words(root: Path) -> None:
    with_pickle(root, ["hello"])


@broken("speech-content", PICKLE, record=0)
def waves_in_nested_lists(root: Path) -> None:
    nested: list = []
    for _ in range(9):
        nested = [nested] * 10  # a billion elements, a few bytes
    with_pickle(root, [nested])


@broken("meta-missing", "d.data/meta.json")
def speech_without_meta(root: Path) -> None:
    (speech(root) / "meta.json").unlink()


@broken("meta-invalid", "d.data/meta.json", line=1)
def meta_is_not_json(root: Path) -> None:
    (speech(root) / "meta.json").write_text("class_num: 3")


@broken("meta-invalid", "d.data/meta.json")
def meta_is_a_list(root: Path) -> None:
    (speech(root) / "meta.json").write_text("[3, 12, 6]")


@broken("meta-invalid", "d.data/meta.json")
def meta_counts_are_words(root: Path) -> None:
    write_meta(speech(root), class_num="three")


@broken("labels-width", "train.solution")
def meta_with_two_billion_classes(root: Path) -> None:
    write_meta(speech(root), class_num=2**31 - 1)


@broken("labels-missing", "train.solution")
def speech_without_train_labels(root: Path) -> None:
    (speech(root) / "train.solution").unlink()


@broken("labels-count", "d.data/train.solution")
def speech_with_too_few_labels(root: Path) -> None:
    (speech(root) / "train.solution").write_text(one_hot(TRAIN - 1))


@broken("labels-width", "train.solution")
def speech_with_other_classes(root: Path) -> None:
    write_meta(speech(root), class_num=5)


@broken("subset-missing", "d.data/test.pkl")
def speech_without_test(root: Path) -> None:
    (speech(root) / "test.pkl").unlink()


# --- AutoNLP and AutoML ------------------------------------------------------------------------


@broken("text-not-utf8", "d.data/train.data", line=2)
def documents_in_latin1(root: Path) -> None:
    (lines(root) / "train.data").write_bytes(b"one\ncaf\xe9\n" + b"word\n" * (TRAIN - 2))


@broken("labels-count", "d.data/train.solution")
def a_document_too_few(root: Path) -> None:
    (lines(root) / "train.data").write_text("word\n" * (TRAIN - 1))


@broken("labels-count", "d.data/train.solution")
def no_documents(root: Path) -> None:
    (lines(root) / "train.data").write_text("")


@broken("meta-missing", "d.data/meta.json")
def documents_without_meta(root: Path) -> None:
    (lines(root) / "meta.json").unlink()


@broken("matrix-malformed", "d_train.data", line=2)
def ragged_matrix(root: Path) -> None:
    matrix(root, lambda i: "0.5 1 2" if i == 1 else "0.5 1 2 3")


@broken("matrix-malformed", "d_train.data", line=5)
def matrix_with_words(root: Path) -> None:
    matrix(root, lambda i: "red 1 2" if i == 4 else "0.5 1 2")


@broken("matrix-malformed", "d_train.data", line=4)
def sparse_matrix_counting_from_0(root: Path) -> None:
    matrix(root, lambda i: f"{3 - i}:1 7:0.5")


@broken("matrix-malformed", "d_train.data")
def matrix_is_an_excel_file(root: Path) -> None:
    matrix(root)
    (root / "d_train.data").write_bytes(b"PK\x03\x04\x14\x00\xff\xfe" + bytes(range(200, 256)))


@broken("labels-missing")
def matrix_without_test_labels(root: Path) -> None:
    matrix(root)
    (root / "d_test.solution").unlink()


@broken("labels-count", "d_train.solution")
def matrix_with_too_few_labels(root: Path) -> None:
    matrix(root)
    (root / "d_train.solution").write_text(one_hot(TRAIN - 2))


@broken("subset-missing", "d_test.data")
def matrix_without_test(root: Path) -> None:
    matrix(root)
    (root / "d_test.data").unlink()


@broken("one-class-only")
def documents_of_one_class(root: Path) -> None:
    (lines(root) / "train.solution").write_text("1 0 0\n" * TRAIN)
