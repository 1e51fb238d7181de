"""The datasets that the original formatter wrote read as the original reader read them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autodl.check import check
from autodl.dataset import open_subset
from autodl.errors import BundleError

DATASETS = [
    *("image_miniciao/miniciao", "image_monkeys_varsize/Monkeys", "series_tones_wav/tones"),
    *("speech_spk_from_autospeech/spk", "tabular_iris/iris", "tabular_sparsy_sparse/sparsy"),
    *("text_randomtext_soft_labels/randomtext", "text_randomtext_sparse/randomtextsp"),
    *("text_zhmini_zh/zhmini", "video_mini-kth/mini-kth"),
]
# JPEG decoders differ in chroma upsampling and rounding (formats 1.5).
JPEG = {"image_monkeys_varsize/Monkeys", "video_mini-kth/mini-kth"}
PIXEL_TOLERANCE = 3 / 255 + 1e-6

# What the original reader refuses and we read, on purpose: unknown fields, one-channel BMP, GIF,
# WebP, and sizes or lengths in the metadata that the images themselves correct.
LENIENT = {
    "unknown_field": [1, 1, 4, 1],
    "img_bmp1": [1, 4, 6, 1],
    "img_gif": [1, 4, 6, 3],
    "img_webp": [1, 4, 6, 3],
    "img_wrong_size": [1, 4, 6, 3],
    "img_var_seq_fixed_meta": [3, 4, 6, 3],
}
REFUSED = {
    "label_out_of_range": "label-out-of-range",
    "missing_output_dim": "metadata-incomplete",
    "label_score_short": "label-score-mismatch",
    "dense_wrong_len": "dense-length-mismatch",
    "dense_missing_key": "dense-missing",
    "dense_seq_too_long_fixed": "sequence-length-mismatch",
    "dense_unknown_shape": "dense-size-unknown",
    "img_2ch": "image-channels-unsupported",
    "video_frames_differ": "frames-differ",
    "no_files": "records-missing",
}
SHARDED = "two_shards_order"  # the original interleaves shards in an order of chance


@pytest.fixture(scope="module")
def golden(shared: Path) -> Path:
    return shared / "golden/datasets"


def expected_of(folder: Path) -> dict[str, Any]:
    expected: dict[str, Any] = json.loads((folder / "expected.json").read_text())
    return expected


def as_labels(labels: dict[str, float] | list[float], size: int) -> np.ndarray:
    if isinstance(labels, list):
        return np.array(labels, np.float32)
    dense = np.zeros(size, np.float32)
    dense[[int(column) for column in labels]] = list(labels.values())
    return dense


@pytest.mark.parametrize("subset", ["train", "test", "unlabelled"])
@pytest.mark.parametrize("name", DATASETS)
def test_a_golden_dataset_reads_as_the_original_did(golden: Path, name: str, subset: str) -> None:
    key = f"{name}.data/{subset}"
    if (expected := expected_of(golden).get(key)) is None:
        assert subset == "unlabelled"
        return
    dataset = open_subset(golden / key)
    metadata = dataset.get_metadata()
    assert metadata.size() == expected["sample_count"]
    assert len(dataset) == expected["records_read"]
    assert list(metadata.get_tensor_shape()) == expected["metadata_tensor_shape"]
    assert metadata.get_output_size() == expected["output_dim"]
    assert metadata.metadata_.matrix_spec[0].format.name == expected["format"]
    assert metadata.metadata_.domain == expected["inferred_domain"]
    assert len(metadata.get_label_to_index_map()) == expected["num_label_names"]
    assert len(metadata.get_channel_to_index_map()) == expected["num_channel_names"]
    firsts = [dataset[i] for i in range(len(expected["first_shapes"]))]
    pixels = PIXEL_TOLERANCE if name in JPEG else 1e-6
    assert [list(example.shape) for example, _ in firsts] == expected["first_shapes"]
    assert list(dataset[-1][0].shape) == expected["last_shape"]
    assert np.allclose(firsts[0][0].reshape(-1)[:8], expected["first_flat"], atol=pixels)
    for (example, _), total in zip(firsts, expected["first_sum"], strict=True):
        tolerance = example.size * 1.5 / 255 if name in JPEG else 1e-3
        assert abs(np.nansum(example, dtype=float) - total) <= tolerance
    for (_, labels), truth in zip(firsts, expected["labels_first"], strict=False):
        assert np.array_equal(labels, as_labels(truth, len(labels)))
    assert dataset.labels().sum() == pytest.approx(expected["label_sum"], abs=1e-4)


def test_the_swapped_sizes_of_the_official_formatter_are_seen_through(golden: Path) -> None:
    expected = expected_of(golden)
    for subset in ("train", "test", "unlabelled"):
        key = f"quirk_image_nonsquare_rowcol_swapped/multi.data/{subset}"
        shape = tuple(expected[key]["actual_image_shape_after_decoding"])
        assert {example.shape for example, _ in open_subset(golden / key)} == {shape}


def test_a_raw_speech_dataset_equals_its_official_conversion(golden: Path) -> None:
    for subset in ("train", "test"):
        raw = open_subset(golden / f"raw_autospeech_spk/spk.data/{subset}.pkl")
        converted = open_subset(golden / f"speech_spk_from_autospeech/spk.data/{subset}")
        assert raw.metadata_ == converted.metadata_
        for (wave, labels), (same, truth) in zip(raw, converted, strict=True):
            assert np.array_equal(wave, same)
            assert np.array_equal(labels, truth)


def test_every_reader_edge_gives_the_original_result(golden: Path) -> None:
    edges = golden / "reader_edges"
    for name, expected in expected_of(edges).items():
        if "error" in expected or name == SHARDED:
            continue
        read = list(open_subset(edges / name))
        assert [list(example.shape) for example, _ in read] == expected["shapes"], name
        assert [labels.tolist() for _, labels in read] == expected["labels"], name
        for (example, _), first in zip(read, expected["first_flat"], strict=True):
            assert np.allclose(example.reshape(-1)[: len(first)], first, atol=1e-6), name


def test_every_reader_edge_that_the_original_refuses_is_accounted_for(golden: Path) -> None:
    refused = {n for n, e in expected_of(golden / "reader_edges").items() if "error" in e}
    assert refused == LENIENT.keys() | REFUSED.keys()


@pytest.mark.parametrize("name", REFUSED)
def test_a_reader_edge_is_refused_with_its_code(golden: Path, name: str) -> None:
    with pytest.raises(BundleError) as caught:
        list(open_subset(golden / "reader_edges" / name))
    assert caught.value.code == REFUSED[name]
    assert caught.value.file is not None


@pytest.mark.parametrize("name", LENIENT)
def test_a_reader_edge_is_read_where_the_original_gives_up(golden: Path, name: str) -> None:
    assert [list(e.shape) for e, _ in open_subset(golden / "reader_edges" / name)] == [
        LENIENT[name]
    ]


def test_shards_are_read_one_after_the_other_by_name(golden: Path) -> None:
    dataset = open_subset(golden / "reader_edges" / SHARDED)
    firsts = [float(example.reshape(-1)[0]) for example, _ in dataset]
    assert firsts == [1, 2, 3, 11, 12, 13, 21, 22, 31]


@pytest.mark.parametrize("name", [*DATASETS, "raw_autospeech_spk/spk"])
def test_a_golden_dataset_is_good_to_run(golden: Path, name: str) -> None:
    report = check(golden / name.partition("/")[0])
    assert report.ok, report.findings
    assert report.summary["name"] == name.partition("/")[2]
