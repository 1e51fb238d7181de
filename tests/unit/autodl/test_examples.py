from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from autodl._proto import sequence_example_pb2 as pb
from autodl.errors import BundleError
from autodl.examples import Example, SparseValues, decode_example, encode_example

floats = hnp.arrays(np.float32, st.integers(0, 5), elements=st.floats(width=32))
tables = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1),
    elements=st.floats(width=32),
)
whole = hnp.arrays(np.int64, st.integers(0, 5), elements=st.integers(-(2**63), 2**63 - 1))
CODES = {"record-not-an-example", "record-feature-kind"}


def fault_of(read: Callable[[], object]) -> BundleError | None:
    try:
        read()
    except BundleError as error:
        return error
    return None


def same(first: np.ndarray, second: np.ndarray) -> bool:
    return np.array_equal(np.asarray(first), np.asarray(second), equal_nan=True)


@given(st.none() | st.integers(-(2**63), 2**63 - 1), whole, floats)
def test_labels_read_back(id: int | None, index: np.ndarray, score: np.ndarray) -> None:
    read = decode_example(encode_example(Example(id, index, score)))
    assert read.id == id
    assert same(read.label_index, index)
    assert same(read.label_score, score)
    assert read.dense is None
    assert read.sparse is None


@given(tables)
def test_steps_of_equal_length_read_back_as_one_array(table: np.ndarray) -> None:
    read = decode_example(encode_example(Example(dense=table)))
    assert isinstance(read.dense, np.ndarray)
    assert same(read.dense, table)
    assert encode_example(Example(dense=list(table))) == encode_example(Example(dense=table))


@given(st.lists(floats, max_size=5))
def test_steps_of_any_length_read_back(steps: list[np.ndarray]) -> None:
    read = decode_example(encode_example(Example(dense=steps)))
    assert read.dense is not None
    assert len(read.dense) == len(steps)
    assert all(same(a, b) for a, b in zip(read.dense, steps, strict=True))


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=5))
def test_frames_read_back(frames: list[bytes]) -> None:
    assert decode_example(encode_example(Example(compressed=frames))).compressed == frames


@given(whole, floats, whole, whole)
def test_sparse_values_read_back(
    col: np.ndarray, value: np.ndarray, row: np.ndarray, channel: np.ndarray
) -> None:
    read = decode_example(encode_example(Example(sparse=SparseValues(col, value, row, channel))))
    assert read.sparse is not None
    assert same(read.sparse.col, col)
    assert same(read.sparse.value, value)
    assert same(read.sparse.row, row)
    assert same(read.sparse.channel, channel)


@given(st.binary(max_size=100))
def test_any_bytes_are_read_or_refused_in_words(payload: bytes) -> None:
    fault = fault_of(lambda: decode_example(payload, "file", 7))
    assert fault is None or fault.code in CODES
    assert fault is None or fault.where == "file, record 7"


@given(st.data(), tables)
def test_a_changed_byte_is_read_or_refused_in_words(data: st.DataObject, table: np.ndarray) -> None:
    payload = bytearray(encode_example(Example(1, np.array([1]), np.ones(1), dense=table)))
    payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    fault = fault_of(lambda: decode_example(bytes(payload)))
    assert fault is None or fault.code in CODES


def test_the_bytes_are_those_of_the_public_message() -> None:
    read = pb.SequenceExample.FromString(
        encode_example(Example(5, np.array([2]), np.array([0.5]), dense=np.array([[1, 2]])))
    )
    assert read.context.feature["id"].int64_list.value == [5]
    assert read.context.feature["label_index"].int64_list.value == [2]
    assert read.context.feature["label_score"].float_list.value == [np.float32(0.5).tobytes()]
    step = pb.FeatureList.FromString(read.feature_lists.feature_list["0_dense_input"])
    assert step.feature[0].float_list.value == [np.array([1, 2], np.float32).tobytes()]


def test_a_test_record_carries_both_label_keys_empty() -> None:
    context = pb.SequenceExample.FromString(encode_example(Example(0))).context.feature
    assert context["label_index"].WhichOneof("kind") == "int64_list"
    assert context["label_score"].WhichOneof("kind") == "float_list"


def test_an_empty_series_is_not_a_missing_one() -> None:
    read = decode_example(encode_example(Example(dense=np.zeros((0, 1)))))
    assert read.dense is not None
    assert len(read.dense) == 0


def test_floats_split_over_several_runs_are_joined() -> None:
    step = pb.FeatureList()
    step.feature.add().float_list.value.extend([bytes(4), np.float32(1).tobytes()])
    message = pb.SequenceExample()
    message.feature_lists.feature_list["0_dense_input"] = step.SerializeToString()
    read = decode_example(message.SerializeToString())
    assert read.dense is not None
    assert [list(values) for values in read.dense] == [[0, 1]]


def test_features_of_another_kind_are_refused() -> None:
    message = pb.SequenceExample()
    message.context.feature["id"].bytes_list.value.append(b"7")
    with pytest.raises(BundleError, match="does not hold integers"):
        decode_example(message.SerializeToString())
