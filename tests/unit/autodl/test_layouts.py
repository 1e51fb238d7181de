"""AutoSpeech, AutoNLP and AutoML datasets through the one Dataset."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from autodl.check import check
from autodl.dataset import open_subset
from autodl.errors import BundleError
from autodl.metadata import Format
from autodl.text import decode_tokens
from tests.hostile import datasets as make


def test_speech_is_a_series_of_samples_with_its_labels(tmp_path: Path) -> None:
    data = make.speech(tmp_path)
    train = open_subset(data / "train.pkl")
    assert train.metadata_.domain == "speech"
    assert len(train) == train.metadata.size() == make.TRAIN
    example, labels = train[4]
    assert example.shape == (24, 1, 1, 1)
    assert labels.tolist() == [0, 1, 0]
    assert not open_subset(data / "test.pkl").labels().any()
    copy = pickle.loads(pickle.dumps(train))
    assert np.array_equal(copy[4][0], example)


def test_text_is_the_codes_of_its_words_in_order_of_appearance(tmp_path: Path) -> None:
    data = make.lines(tmp_path)
    (data / "train.data").write_text("the cat\n" * 11 + "it's  \u3000 \\\n", encoding="utf-8")
    (data / "test.data").write_text("a cat\n" * 6, encoding="utf-8")
    train, test = open_subset(data / "train.data"), open_subset(data / "test.data")
    assert train[0][0].shape == (2, 1, 1, 1)
    assert train[11][0].reshape(-1).tolist() == [2, 3, 4, 5]
    assert test[0][0].reshape(-1).tolist() == [6, 1]
    vocabulary = ["the", "cat", "it's", "", "\\u3000", "\\\\", "a"]
    assert list(train.metadata_.channel_to_index_map) == vocabulary
    assert test.metadata_.channel_to_index_map == train.metadata_.channel_to_index_map
    assert decode_tokens(train[11][0], train.metadata_) == "it's  \u3000 \\"
    assert train.metadata_.domain == "text"


@pytest.mark.parametrize("language", ["ZH", "zh", "CH"])
def test_chinese_is_coded_by_characters(language: str, tmp_path: Path) -> None:
    data = make.lines(tmp_path, language)
    (data / "train.data").write_text("你好你\n" * 12, encoding="utf-8")
    (data / "test.data").write_text("好\n" * 6, encoding="utf-8")
    train = open_subset(data / "train.data")
    assert train[0][0].reshape(-1).tolist() == [0, 1, 0]
    assert decode_tokens(train[0][0], train.metadata_) == "你好你"


def test_an_empty_document_keeps_its_place(tmp_path: Path) -> None:
    data = make.lines(tmp_path)
    (data / "test.data").write_text("a\n\nb\nc\nd\ne")
    assert len(open_subset(data / "test.data")) == 6


def test_a_dense_matrix_is_a_table_with_names(tmp_path: Path) -> None:
    make.matrix(tmp_path, lambda i: f"{i} NaN -1.5e3")
    (tmp_path / "d_feat.name").write_text("a\nb\nc\n")
    (tmp_path / "d_label.name").write_text("x\ny\nz\n")
    train = open_subset(tmp_path / "d_train.data")
    example, labels = train[1]
    assert np.array_equal(example.reshape(-1), [1, np.nan, -1500], equal_nan=True)
    assert example.shape == train.metadata.get_tensor_shape() == (1, 1, 3, 1)
    assert labels.tolist() == [0, 1, 0]
    assert train.get_class_labels() == ["x", "y", "z"]
    assert train.metadata.get_feature_to_index_map() == {"a": 0, "b": 1, "c": 2}


def test_a_sparse_matrix_counts_columns_from_one_over_all_subsets(tmp_path: Path) -> None:
    make.matrix(tmp_path, lambda i: f"1:0.5 {2 + i}:7")
    train, test = (open_subset(tmp_path / f"d_{name}.data") for name in ("train", "test"))
    columns = make.TRAIN + make.TEST + 1
    assert (
        train.metadata.get_tensor_shape() == test.metadata.get_tensor_shape() == (1, 1, columns, 1)
    )
    assert train.metadata.is_sparse()
    assert train[3][0].reshape(-1, 2).tolist() == [[0, 0.5], [4, 7]]


def test_rows_of_indices_are_ones(tmp_path: Path) -> None:
    make.matrix(tmp_path, lambda i: " ".join(str(c) for c in range(1, 3 + i % 3)))
    train = open_subset(tmp_path / "d_train.data")
    assert train.metadata_.matrix_spec[0].format is Format.SPARSE
    assert train[1][0].reshape(-1, 2).tolist() == [[0, 1], [1, 1], [2, 1]]


def test_the_validation_part_follows_the_training_part(tmp_path: Path) -> None:
    make.matrix(tmp_path, lambda i: f"{i} 0.5")
    whole = open_subset(tmp_path / "d_train.data")
    for kind in ("data", "solution"):
        rows = (tmp_path / f"d_train.{kind}").read_text().splitlines(keepends=True)
        (tmp_path / f"d_train.{kind}").write_text("".join(rows[:8]))
        (tmp_path / f"d_valid.{kind}").write_text("".join(rows[8:]))
    joined = open_subset(tmp_path / "d_train.data")
    assert len(joined) == make.TRAIN
    assert np.array_equal(joined.labels(), whole.labels())
    assert joined[9][0].reshape(-1).tolist() == [9, 0.5]
    assert joined.source.place(9) == (str(tmp_path / "d_valid.data"), 1)


def test_one_column_of_labels_is_one_binary_label(tmp_path: Path) -> None:
    make.matrix(tmp_path)
    (tmp_path / "d_train.solution").write_text("0\n1\n" * 6)
    train = open_subset(tmp_path / "d_train.data")
    assert train.metadata.get_output_size() == 1
    assert train.labels().reshape(-1).tolist() == [0, 1] * 6


def test_labels_of_unequal_width_are_refused(tmp_path: Path) -> None:
    make.matrix(tmp_path)
    (tmp_path / "d_valid.data").write_text("1 2 3 4\n")
    (tmp_path / "d_valid.solution").write_text("1 0\n")
    with pytest.raises(BundleError) as caught:
        open_subset(tmp_path / "d_train.data")
    assert caught.value.code == "labels-count"


def test_the_language_of_texts_is_told(tmp_path: Path) -> None:
    french = "je voudrais bien savoir pourquoi le train est encore en retard ce matin\n"
    english = "nobody knows why the train is late again this morning, do they\n"
    for folder, documents in (("fr", french * 12), ("both", (french + english) * 6)):
        (tmp_path / folder).mkdir()
        data = make.lines(tmp_path / folder, "FR")
        (data / "train.data").write_text(documents)
    assert check(tmp_path / "fr").summary["languages"] == {"fr": 1.0}
    assert set(check(tmp_path / "both").summary["languages"]) == {"fr", "en"}
