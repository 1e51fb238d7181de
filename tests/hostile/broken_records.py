"""Broken TFRecord datasets: framing, payloads, labels, values."""

import gzip
import struct
from pathlib import Path

import numpy as np

from autodl._proto import sequence_example_pb2 as pb
from autodl.metadata import Format
from autodl.records import Example, SparseValues, masked_crc

from .cases import broken
from .datasets import (
    TEST,
    TEST_FILE,
    TRAIN,
    TRAIN_FILE,
    example,
    flip,
    images,
    row,
    series,
    sparse,
    spec_of,
    start_of,
    table,
)

# --- framing -----------------------------------------------------------------------------------


@broken("record-crc-mismatch", TRAIN_FILE, record=3)
def payload_byte_flipped(root: Path) -> None:
    table(root)
    flip(root / TRAIN_FILE, start_of(root / TRAIN_FILE, 3) + 20)


@broken("record-crc-mismatch", TEST_FILE, record=5)
def payload_checksum_flipped(root: Path) -> None:
    table(root)
    flip(root / TEST_FILE, start_of(root / TEST_FILE, TEST) - 1)


@broken("record-crc-mismatch", TRAIN_FILE, record=2)
def length_flipped(root: Path) -> None:
    table(root)
    flip(root / TRAIN_FILE, start_of(root / TRAIN_FILE, 2))


@broken("record-crc-mismatch", TRAIN_FILE, record=0)
def not_records_at_all(root: Path) -> None:
    table(root)
    (root / TRAIN_FILE).write_bytes(b"these are not the records you are looking for" * 9)


@broken("record-truncated", TRAIN_FILE, record=TRAIN - 1)
def ends_in_a_payload(root: Path) -> None:
    table(root)
    data = (root / TRAIN_FILE).read_bytes()
    (root / TRAIN_FILE).write_bytes(data[:-10])


@broken("record-truncated", TRAIN_FILE, record=TRAIN - 1)
def ends_in_a_header(root: Path) -> None:
    table(root)
    data = (root / TRAIN_FILE).read_bytes()
    (root / TRAIN_FILE).write_bytes(data[: start_of(root / TRAIN_FILE, TRAIN - 1) + 7])


@broken("record-truncated", TRAIN_FILE, record=TRAIN - 1)
def ends_in_a_checksum(root: Path) -> None:
    table(root)
    data = (root / TRAIN_FILE).read_bytes()
    (root / TRAIN_FILE).write_bytes(data[:-2])


@broken("record-truncated", TRAIN_FILE, record=0)
def claims_an_exabyte(root: Path) -> None:
    table(root)
    length = struct.pack("<Q", 1 << 60)
    (root / TRAIN_FILE).write_bytes(length + struct.pack("<I", masked_crc(length)) + b"x" * 99)


@broken("record-file-compressed", TRAIN_FILE)
def gzipped_records(root: Path) -> None:
    table(root)
    (root / TRAIN_FILE).write_bytes(gzip.compress((root / TRAIN_FILE).read_bytes()))


@broken("subset-empty", "d.data/train")
def train_without_records(root: Path) -> None:
    table(root)
    (root / TRAIN_FILE).write_bytes(b"")


@broken("subset-empty", "d.data/test")
def test_without_records(root: Path) -> None:
    table(root)
    (root / TEST_FILE).write_bytes(b"")


# --- payloads ----------------------------------------------------------------------------------


@broken("record-not-an-example", TRAIN_FILE, record=3)
def payload_is_text(root: Path) -> None:
    table(root, train={3: b"\xff\xff\xff\xff not a message"})


@broken("record-not-an-example", TRAIN_FILE, record=3)
def payload_is_cut(root: Path) -> None:
    table(root, train={3: b"\x0a\x50\x0a\x0d"})


@broken("dense-missing", TRAIN_FILE, record=3)
def payload_is_empty(root: Path) -> None:
    table(root, train={3: b""})


@broken("record-not-an-example", TRAIN_FILE, record=3)
def floats_of_three_bytes(root: Path) -> None:
    message = pb.SequenceExample()
    step = pb.FeatureList()
    step.feature.add().float_list.value.append(b"abc")
    message.feature_lists.feature_list["0_dense_input"] = step.SerializeToString()
    table(root, train={3: message.SerializeToString()})


@broken("record-feature-kind", TRAIN_FILE, record=3)
def labels_are_floats(root: Path) -> None:
    message = pb.SequenceExample()
    message.context.feature["label_index"].float_list.value.append(bytes(4))
    table(root, train={3: message.SerializeToString()})


@broken("record-feature-kind", TRAIN_FILE, record=3)
def scores_are_text(root: Path) -> None:
    message = pb.SequenceExample()
    message.context.feature["label_score"].bytes_list.value.append(b"high")
    table(root, train={3: message.SerializeToString()})


@broken("record-feature-kind", TRAIN_FILE, record=3)
def values_are_integers(root: Path) -> None:
    message = pb.SequenceExample()
    step = pb.FeatureList()
    step.feature.add().int64_list.value.extend([1, 2, 3, 4])
    message.feature_lists.feature_list["0_dense_input"] = step.SerializeToString()
    table(root, train={3: message.SerializeToString()})


@broken("record-feature-kind", TRAIN_FILE, record=3)
def frames_are_floats(root: Path) -> None:
    message = pb.SequenceExample()
    step = pb.FeatureList()
    step.feature.add().float_list.value.append(bytes(8))
    message.feature_lists.feature_list["0_compressed"] = step.SerializeToString()
    images(root, train={3: message.SerializeToString()})


# --- labels in records -------------------------------------------------------------------------


@broken("label-out-of-range", TRAIN_FILE, record=3)
def label_too_high(root: Path) -> None:
    table(root, train={3: example(label_index=np.array([3]))})


@broken("label-out-of-range", TRAIN_FILE, record=3)
def label_negative(root: Path) -> None:
    table(root, train={3: example(label_index=np.array([-1]))})


@broken("label-out-of-range", TRAIN_FILE, record=3)
def label_astronomic(root: Path) -> None:
    table(root, train={3: example(label_index=np.array([1 << 62]))})


@broken("label-score-mismatch", TRAIN_FILE, record=3)
def one_score_for_two_labels(root: Path) -> None:
    table(root, train={3: example(label_index=np.array([0, 1]))})


@broken("label-score-mismatch", TRAIN_FILE, record=3)
def labels_without_scores(root: Path) -> None:
    table(root, train={3: example(label_score=np.zeros(0, np.float32))})


@broken("label-score-not-finite", TRAIN_FILE, record=3)
def score_is_nan(root: Path) -> None:
    table(root, train={3: example(label_score=np.array([np.nan]))})


@broken("label-score-not-finite", TRAIN_FILE, record=3)
def score_is_infinite(root: Path) -> None:
    table(root, train={3: example(label_score=np.array([np.inf]))})


@broken("one-class-only", "d.data/train")
def every_example_of_one_class(root: Path) -> None:
    one = {i: Example(i, np.array([1]), np.ones(1, np.float32), **row(i)) for i in range(TRAIN)}
    table(root, train=one)


@broken("one-class-only", "d.data/train")
def no_example_has_a_label(root: Path) -> None:
    table(root, train={i: Example(i, **row(i)) for i in range(TRAIN)})


# --- dense and sparse values -------------------------------------------------------------------


@broken("dense-missing", TRAIN_FILE, record=3)
def no_values(root: Path) -> None:
    table(root, train={3: example(dense=None)})


@broken("dense-length-mismatch", TRAIN_FILE, record=3)
def a_value_too_few(root: Path) -> None:
    table(root, train={3: example(dense=np.ones((1, 3)))})


@broken("dense-length-mismatch", TRAIN_FILE, record=3)
def steps_of_unequal_length(root: Path) -> None:
    series(root, train={3: example(dense=[np.ones(1), np.ones(2)])})


@broken("sequence-length-mismatch", TRAIN_FILE, record=3)
def a_step_too_many(root: Path) -> None:
    table(root, train={3: example(dense=np.ones((2, 4)))})


@broken("dense-size-unknown", TRAIN_FILE, record=0)
def size_not_said(root: Path) -> None:
    table(root, spec_of(Format.DENSE, row_count=-1, col_count=-1))


@broken("dense-size-unknown", TRAIN_FILE, record=0)
def no_channels(root: Path) -> None:
    table(root, spec_of(Format.DENSE, num_channels=0))


@broken("sparse-column-out-of-range", TRAIN_FILE, record=3)
def column_too_high(root: Path) -> None:
    values = SparseValues(col=np.array([0, 20]), value=np.ones(2, np.float32))
    sparse(root, train={3: example(dense=None, sparse=values)})


@broken("sparse-column-out-of-range", TEST_FILE, record=2)
def column_negative(root: Path) -> None:
    values = SparseValues(col=np.array([-1]), value=np.ones(1, np.float32))
    sparse(root, test={2: Example(sparse=values)})


@broken("sparse-length-mismatch", TRAIN_FILE, record=3)
def columns_without_values(root: Path) -> None:
    sparse(root, train={3: example(dense=None, sparse=SparseValues(col=np.array([1, 2])))})


@broken("sparse-size-unknown", TRAIN_FILE, record=0)
def sparse_without_width(root: Path) -> None:
    sparse(root, spec_of(Format.SPARSE, col_count=0))
