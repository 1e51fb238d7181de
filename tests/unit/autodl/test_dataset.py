import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from autodl._proto import sequence_example_pb2 as pb
from autodl.dataset import Dataset, concatenate, open_subset
from autodl.errors import BundleError
from autodl.metadata import Format
from autodl.records import Example
from tests.hostile import datasets as make


@pytest.fixture
def pictures(tmp_path: Path) -> Dataset:
    make.images(tmp_path)
    return open_subset(tmp_path / "d.data/train")


def test_an_example_is_a_tensor_of_pixels_from_0_to_1(pictures: Dataset) -> None:
    example, labels = pictures[4]
    assert example.shape == (1, 6, 8, 3)
    assert example.dtype == labels.dtype == np.float32
    assert 0 <= example.min() < example.max() <= 1
    assert labels.tolist() == [0, 1, 0]


def test_access_by_index_and_iteration_agree(pictures: Dataset) -> None:
    assert len(pictures) == make.TRAIN
    for index, (example, labels) in enumerate(pictures):
        assert np.array_equal(example, pictures[index][0])
        assert np.array_equal(labels, pictures[index - make.TRAIN][1])
    with pytest.raises(IndexError):
        pictures[make.TRAIN]
    with pytest.raises(IndexError):
        pictures[-make.TRAIN - 1]


def test_labels_come_without_decoding(tmp_path: Path) -> None:
    broken = Example(3, **make.labels_of(3), compressed=[b"not an image"])
    make.images(tmp_path, train={3: broken})
    dataset = open_subset(tmp_path / "d.data/train")
    assert np.array_equal(dataset.labels(), np.eye(3)[np.arange(make.TRAIN) % 3])
    with pytest.raises(BundleError) as caught:
        dataset[3]
    assert caught.value.file == str(tmp_path / make.TRAIN_FILE)
    assert caught.value.record == 3


def test_labels_that_cannot_be_read_are_told_with_their_record(tmp_path: Path) -> None:
    torn = pb.SequenceExample()
    torn.context.feature["label_score"].float_list.value.append(b"abc")
    make.series(tmp_path, train={3: torn.SerializeToString()})
    with pytest.raises(BundleError) as caught:
        open_subset(tmp_path / "d.data/train").labels()
    assert caught.value.code == "record-not-an-example"
    assert caught.value.record == 3


def test_encoded_images_are_the_bytes_as_stored(pictures: Dataset) -> None:
    assert pictures.encoded(2) == [make.picture(2)]
    assert pictures.record(2).id == 2


def test_the_original_accessors_answer(pictures: Dataset) -> None:
    metadata = pictures.get_metadata()
    assert metadata.get_dataset_name().endswith("d.data/train")
    assert metadata.is_compressed()
    assert not metadata.is_sparse()
    assert metadata.get_bundle_size() == 1
    assert metadata.get_matrix_size() == (6, 8)
    assert metadata.get_num_channels() == 3
    assert metadata.get_tensor_size() == (6, 8, 3)
    assert metadata.get_tensor_shape() == (1, 6, 8, 3)
    assert metadata.get_sequence_size() == 1
    assert metadata.get_output_size() == 3
    assert metadata.size() == make.TRAIN
    assert metadata.get_feature_to_index_map() == {}
    assert pictures.get_dataset() is pictures
    assert pictures.metadata_ is metadata.metadata_
    assert np.array_equal(pictures.get_nth_element(1)[0], pictures[1][0])


def test_class_labels_are_names_by_column(tmp_path: Path) -> None:
    names = {"dog": 2, "cat": 0, "lost": 9}
    spec = replace(make.spec_of(Format.DENSE), label_to_index_map=names)
    make.table(tmp_path, spec)
    assert open_subset(tmp_path / "d.data/train").get_class_labels() == ["cat", "1", "dog"]


def test_test_examples_have_no_labels(tmp_path: Path) -> None:
    make.table(tmp_path)
    test = open_subset(tmp_path / "d.data/test")
    assert not test.labels().any()
    assert test.labels().shape == (make.TEST, 3)


def test_a_dataset_serves_threads_and_travels_in_a_pickle(pictures: Dataset) -> None:
    copy = pickle.loads(pickle.dumps(pictures))
    with ThreadPoolExecutor(4) as pool:
        threads = list(pool.map(lambda i: copy[i][0], range(make.TRAIN)))
    assert all(np.array_equal(a, b) for a, (b, _) in zip(threads, pictures, strict=True))


def test_two_datasets_become_one(tmp_path: Path) -> None:
    make.table(tmp_path)
    train, test = (open_subset(tmp_path / "d.data" / name) for name in ("train", "test"))
    both = concatenate(test, train)
    assert len(both) == both.metadata.size() == make.TEST + make.TRAIN
    assert np.array_equal(both[0][0], test[0][0])
    assert np.array_equal(both[make.TEST][0], train[0][0])
    assert np.array_equal(both.labels()[make.TEST :], train.labels())


def test_an_error_in_a_concatenation_names_the_right_record(tmp_path: Path) -> None:
    make.table(tmp_path, train={2: Example(2, **make.labels_of(2), dense=np.ones((1, 9)))})
    train, test = (open_subset(tmp_path / "d.data" / name) for name in ("train", "test"))
    with pytest.raises(BundleError) as caught:
        concatenate(test, train)[make.TEST + 2]
    assert caught.value.record == 2
    assert caught.value.file == str(tmp_path / make.TRAIN_FILE)


def test_texts_of_two_vocabularies_are_joined_by_their_words(tmp_path: Path) -> None:
    make.text(tmp_path / "a", ["zero", "one", "two", "3", "4", "5", "6", "7", "8"])
    make.text(tmp_path / "b", ["two", "new", "zero", "3", "4", "5", "6", "7", "8"])
    first, second = (open_subset(tmp_path / name / "d.data/test") for name in "ab")
    both = concatenate(first, second)
    vocabulary = {code: word for word, code in both.metadata_.channel_to_index_map.items()}
    theirs = {code: word for word, code in second.metadata_.channel_to_index_map.items()}
    words = [vocabulary[int(code)] for code in both[make.TEST][0].reshape(-1)]
    assert words == [theirs[int(code)] for code in second[0][0].reshape(-1)]
    assert vocabulary[1] == "one"
    assert set(vocabulary.values()) == {*first.metadata_.channel_to_index_map, "new"}


def test_sparse_rows_stay_pairs_of_column_and_value(tmp_path: Path) -> None:
    make.sparse(tmp_path)
    dataset = open_subset(tmp_path / "d.data/train")
    stored = dataset.record(1).sparse
    example, _ = dataset[1]
    assert stored is not None
    assert example.shape == (1, 5, 2, 1)
    assert np.array_equal(example[0, :, 0, 0], stored.col)
    assert np.array_equal(example[0, :, 1, 0], stored.value)


def test_videos_keep_their_own_lengths(tmp_path: Path) -> None:
    make.videos(tmp_path)
    shapes = [example.shape for example, _ in open_subset(tmp_path / "d.data/train")]
    assert shapes[:3] == [(2, 6, 8, 3), (3, 6, 8, 3), (4, 6, 8, 3)]
