"""Decoding many records at once gives what decoding them one by one gives."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autodl._proto import sequence_example_pb2 as pb
from autodl.blocks import decode_block, encode_block, learn
from autodl.dataset import BLOCK_RECORDS, Dataset, open_subset
from autodl.decode import decode_labels
from autodl.errors import BundleError
from autodl.examples import Example, decode_example, encode_example
from autodl.metadata import Format
from autodl.records import frame
from tests.hostile import datasets as make

COLUMNS, LABELS = 3, 5

examples = st.builds(
    lambda id, labels, values: Example(
        id,
        np.array([label for label, _ in labels], np.int64),
        np.array([score for _, score in labels], np.float32),
        dense=np.array([values], np.float32),
    ),
    st.none() | st.integers(-1, 1 << 40),
    st.lists(st.tuples(st.integers(0, LABELS + 1), st.floats(0, 1, width=32)), max_size=3),
    st.lists(st.floats(width=32), min_size=COLUMNS, max_size=COLUMNS),
)


@given(st.lists(examples, min_size=1, max_size=12))
def test_a_block_equals_its_records(block: list[Example]) -> None:
    payloads = [encode_example(example) for example in block]
    values, labels, done = decode_block([*payloads], COLUMNS, LABELS)
    for at, payload in enumerate(payloads):
        example = decode_example(payload)
        if done[at]:
            assert np.array_equal(values[at], np.asarray(example.dense)[0], equal_nan=True)
            assert np.array_equal(labels[at], decode_labels(example, LABELS))
        elif all(example.label_index < LABELS):
            assert len({len(p) for p in payloads}) < len(payloads)  # another gave the template


@given(st.lists(examples, min_size=1, max_size=4), st.data())
def test_damage_is_never_decoded_to_something_else(
    block: list[Example], data: st.DataObject
) -> None:
    payloads = [encode_example(example) for example in block]
    broken = bytearray(payloads[-1])
    broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    payloads[-1] = bytes(broken)
    values, labels, done = decode_block([*payloads], COLUMNS, LABELS)
    if done[-1]:
        example = decode_example(payloads[-1])
        assert np.array_equal(values[-1], np.asarray(example.dense)[0], equal_nan=True)
        assert np.array_equal(labels[-1], decode_labels(example, LABELS))


@given(st.binary(max_size=60))
def test_any_bytes_can_be_looked_at(payload: bytes) -> None:
    if (template := learn(payload)) is not None:
        decode_example(payload)
        assert not template.fixed.all()


def test_a_field_of_number_0_is_left_to_protobuf() -> None:
    message = pb.SequenceExample.FromString(
        encode_example(Example(3, **make.labels_of(3), **make.row(3)))
    )
    message.context.feature["source"].bytes_list.value.append(b"camera")
    payload = message.SerializeToString()
    broken = payload.replace(b"\x0a\x08\x0a\x06camera", b"\x02\x08\x0a\x06camera")
    assert broken != payload
    assert not decode_block([broken], 4, 3)[2][0]
    with pytest.raises(BundleError):
        decode_example(broken)


def table_of(root: Path, count: int, **replaced: bytes) -> Dataset:
    payloads = [
        encode_example(Example(i, **make.labels_of(i), **make.row(i))) for i in range(count)
    ]
    for at, payload in replaced.items():
        payloads[int(at[1:])] = payload
    make.write_subset(root / "train", make.spec_of(Format.DENSE), payloads)
    return open_subset(root / "train")


def test_iteration_over_blocks_equals_access_by_index(tmp_path: Path) -> None:
    count = 2 * BLOCK_RECORDS + 7
    dataset = table_of(tmp_path, count)
    read = list(dataset)
    assert len(read) == count
    for index in (0, 1, BLOCK_RECORDS - 1, BLOCK_RECORDS, count - 1):
        example, labels = dataset[index]
        assert np.array_equal(read[index][0], example)
        assert read[index][0].shape == example.shape == (1, 1, 4, 1)
        assert np.array_equal(read[index][1], labels)
    assert np.array_equal(dataset.labels(), [labels for _, labels in read])


def test_a_broken_record_ends_the_iteration_in_its_turn(tmp_path: Path) -> None:
    dataset = table_of(tmp_path, 20, _13=b"junk")
    read = []
    with pytest.raises(BundleError) as caught:
        read.extend(dataset)
    assert caught.value.record == 13
    assert len(read) == 13


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sets(st.integers(0, 300), max_size=3), min_size=1, max_size=20),
    st.integers(1, 40),
    st.sampled_from([0, 120, 16_380, 2**33]),
)
def test_rows_encode_as_each_would_alone(
    labels: list[set[int]], columns: int, first_id: int
) -> None:
    values = np.arange(len(labels) * columns, dtype=np.float32).reshape(-1, columns)
    index = [np.array(sorted(row), np.int64) for row in labels]
    alone = [
        encode_example(
            Example(first_id + row, of_row, np.ones(len(of_row), np.float32), values[row : row + 1])
        )
        for row, of_row in enumerate(index)
    ]
    together = encode_block(values, np.arange(len(labels), dtype=np.int32), index, first_id)
    assert b"".join(together) == b"".join(part for payload in alone for part in frame(payload))
