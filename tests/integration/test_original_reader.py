"""What the formatter writes is read by TensorFlow as the challenge's own reader reads it (8.3)."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autodl.bundle import find_bundle
from autodl.dataset import Dataset, open_subset
from autodl.metadata import Format
from formatter.convert import convert

ROWS = 24


def pictures(root: Path) -> Path:
    random = np.random.default_rng(0)
    for number in range(ROWS):
        path = root / "s" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (6, 9, 3), dtype=np.uint8)).save(path)
    return root / "s"


def table(root: Path) -> Path:
    rows = [f"{n},{n / 3 if n % 5 else ''},{'abc'[n % 3]},{'xy'[n % 2]}" for n in range(ROWS)]
    (root / "s.csv").write_text("\n".join(["p,q,r,label", *rows]))
    return root / "s.csv"


def series(root: Path) -> Path:
    rows = [
        f"s{n},{time},{n + time},{-time},{'xy'[n % 2]}"
        for n in range(ROWS)
        for time in range(3 + n % 4)
    ]
    (root / "s.csv").write_text("\n".join(["series,time,u,v,label", *rows]))
    return root / "s.csv"


def texts(root: Path) -> Path:
    rows = [f"the word {n} and more of it,{'xy'[n % 2]}" for n in range(ROWS)]
    (root / "s.csv").write_text("\n".join(["text,label", *rows]))
    return root / "s.csv"


def read_as_the_original(dataset: Dataset) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Each example and its labels, by the rules of formats 1.5 and TensorFlow's own parser."""
    import tensorflow as tf

    spec = dataset.metadata_
    matrix = spec.matrix_spec[0]
    encoded = matrix.format is Format.COMPRESSED
    key = "0_compressed" if encoded else "0_dense_input"
    kind = tf.io.VarLenFeature(tf.string if encoded else tf.float32)
    context = {
        "label_index": tf.io.VarLenFeature(tf.int64),
        "label_score": tf.io.VarLenFeature(tf.float32),
    }
    (shard,) = dataset.source.path.glob("sample*")
    for record in tf.data.TFRecordDataset(str(shard)):
        label, lists = tf.io.parse_single_sequence_example(record, context, {key: kind})
        values = tf.sparse.to_dense(lists[key]).numpy()
        labels = np.zeros(spec.output_dim, np.float32)
        labels[label["label_index"].values.numpy()] = label["label_score"].values.numpy()
        if encoded:
            images = [tf.image.decode_image(v, matrix.channels).numpy() for v in values.ravel()]
            yield np.stack(images) / np.float32(255), labels
        else:
            shape = (spec.sequence_size, matrix.row_count, matrix.col_count, matrix.channels)
            yield values.reshape(shape), labels


@pytest.mark.parametrize("make", [pictures, table, series, texts])
def test_the_original_reader_reads_what_is_written(make, tmp_path: Path) -> None:
    convert(make(tmp_path), tmp_path / "out")
    bundle = find_bundle(tmp_path / "out")
    for path in (bundle.train, bundle.test):
        dataset = open_subset(path)
        head = (path / "metadata.textproto").read_text().splitlines()[:3]
        assert f"sample_count: {len(dataset)}" in [line.strip() for line in head]
        read = list(read_as_the_original(dataset))
        assert len(read) == len(dataset)
        for (example, labels), (ours, truth) in zip(read, dataset, strict=True):
            assert np.allclose(example, ours, atol=1e-6, equal_nan=True)
            assert np.array_equal(labels, truth)
