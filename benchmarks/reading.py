"""Read the same record files with us and with tf.data, and report the speed of both.

    python benchmarks/reading.py [--rows 30000] [--waves 600]

Tables (50 columns) and speech (a second at 16 kHz, a value per step) are written by our writer and
decoded to NumPy: by ours on one thread, by TensorFlow as fast as its own options allow on all
cores. Prints one JSON object: seconds of each, the best of three; it goes to
`benchmarks/results/reading.json`, too.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from autodl.dataset import open_subset
from autodl.metadata import DataSpecification, MatrixSpec, write_metadata
from autodl.records import Example, RecordWriter, encode_example

RESULTS = Path(__file__).parent / "results"
CLASSES = 10


def write(folder: Path, count: int, steps: int, columns: int) -> None:
    folder.mkdir()
    spec = DataSpecification(
        (MatrixSpec(columns, 1, 1),),
        output_dim=CLASSES,
        sequence_size=1 if steps == 1 else -1,
        sample_count=count,
    )
    write_metadata(spec, folder / "metadata.textproto")
    random = np.random.default_rng(0)
    with RecordWriter(folder / "sample-x.tfrecord") as writer:
        for number in range(count):
            values = random.normal(size=(steps, columns)).astype(np.float32)
            label = np.array([number % CLASSES])
            writer.write(encode_example(Example(number, label, np.ones(1, np.float32), values)))


def best_of_three(read: Callable[[], int], count: int) -> float:
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        assert read() == count
        seconds.append(time.perf_counter() - started)
    return round(min(seconds), 4)


def ours(folder: Path) -> int:
    return sum(1 for _ in open_subset(folder))


def theirs(folder: Path, columns: int) -> int:
    import tensorflow as tf

    context = {
        "label_index": tf.io.VarLenFeature(tf.int64),
        "label_score": tf.io.VarLenFeature(tf.float32),
    }
    sequence = {"0_dense_input": tf.io.FixedLenSequenceFeature([columns], tf.float32)}

    def parse(records: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        features, lists, _ = tf.io.parse_sequence_example(records, context, sequence)
        return lists["0_dense_input"], tf.sparse.to_dense(features["label_score"])

    dataset = tf.data.TFRecordDataset(str(folder / "sample-x.tfrecord")).batch(64)
    dataset = dataset.map(parse, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
    return sum(len(values) for values, _ in dataset.as_numpy_iterator())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=30_000)
    parser.add_argument("--waves", type=int, default=600)
    options = parser.parse_args()
    load = round(os.getloadavg()[0], 1)
    result: dict[str, object] = {"cores": os.cpu_count(), "load_average": load}
    with tempfile.TemporaryDirectory() as root:
        for name, count, steps, columns in (
            ("table", options.rows, 1, 50),
            ("speech", options.waves, 16_000, 1),
        ):
            folder = Path(root) / name
            write(folder, count, steps, columns)
            result[name] = {
                "records": count,
                "ours_seconds": best_of_three(lambda folder=folder: ours(folder), count),
                "tensorflow_seconds": best_of_three(
                    lambda folder=folder, columns=columns: theirs(folder, columns), count
                ),
            }
    text = json.dumps(result)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "reading.json").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
