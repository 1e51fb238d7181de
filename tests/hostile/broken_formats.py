"""Broken datasets of the AutoSpeech, AutoNLP and AutoML layouts."""

import os
import pickle
import struct
from pathlib import Path

import numpy as np

from .cases import broken
from .datasets import (
    TRAIN,
    lines,
    matrix,
    one_hot,
    speech,
    write_meta,
)

PICKLE = "d.data/train.pkl"


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


@broken("pickle-invalid", PICKLE)
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
