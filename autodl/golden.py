"""Tiny made-up datasets, one a kind of data, by which a frozen solution is known to work.

The same bytes for everyone: a seed of their own, no files needed. Classes can be told apart, but
not perfectly, so that a solution that has lost something scores less.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from autodl.metadata import METADATA_NAME, DataSpecification, Format, MatrixSpec, write_metadata
from autodl.predictions import write_predictions
from autodl.records import Example, RecordWriter, SparseValues, encode_example

CLASSES = 3
SIZES = {"train": 120, "test": 90}
COLUMNS, SPARSE_COLUMNS, WORDS = 12, 400, 150
SIDE, FRAMES = 24, 6
SEED = 7

Make = Callable[[int, np.random.Generator], Example]


def write_golden(kind: str, root: Path) -> None:
    """Write the dataset of a kind (a key of KINDS) as a bundle under ``root``."""
    matrix, steps, vocabulary, make = KINDS[kind]
    random = np.random.default_rng([SEED, list(KINDS).index(kind)])
    name = f"golden-{kind}"
    for subset, count in SIZES.items():
        folder = root / f"{name}.data" / subset
        folder.mkdir(parents=True)
        spec = DataSpecification(
            matrix_spec=(matrix,),
            output_dim=CLASSES,
            sequence_size=steps,
            sample_count=count,
            channel_to_index_map={f"word{code}": code for code in range(vocabulary)},
        )
        write_metadata(spec, folder / METADATA_NAME)
        labels = random.permutation(np.arange(count) % CLASSES)
        with RecordWriter(folder / f"sample-{name}-{subset}.tfrecord") as writer:
            for label in labels.tolist():
                example = make(label, random)
                known = subset == "train"
                writer.write(encode_example(_labelled(example, [label] if known else [])))
        if subset == "test":
            write_predictions(np.eye(CLASSES)[labels], root / f"{name}.solution")


def _labelled(example: Example, labels: Sequence[int]) -> Example:
    return Example(
        label_index=np.array(labels, np.int64),
        label_score=np.ones(len(labels), np.float32),
        dense=example.dense,
        compressed=example.compressed,
        sparse=example.sparse,
    )


def _table(label: int, random: np.random.Generator) -> Example:
    values = random.normal(size=COLUMNS)
    values[label] += 1.2
    values[-1] = np.nan if random.random() < 0.1 else random.integers(4)
    return Example(dense=[values.astype(np.float32)])


def _sparse(label: int, random: np.random.Generator) -> Example:
    noise = random.choice(np.arange(30, SPARSE_COLUMNS), 8, replace=False)
    marks = 10 * label + random.choice(10, 2, replace=False)
    if random.random() < 0.3:
        marks = random.choice(30, 2, replace=False)
    columns = np.sort(np.concatenate([noise, marks]))
    values = 1 + random.random(len(columns))
    return Example(
        sparse=SparseValues(
            col=columns.astype(np.int64),
            value=values.astype(np.float32),
            row=np.zeros(len(columns), np.int64),
        )
    )


def _text(label: int, random: np.random.Generator) -> Example:
    words = random.integers(30, WORDS, size=int(random.integers(8, 25)))
    marks = 10 * (label if random.random() > 0.25 else random.integers(CLASSES))
    codes = random.permutation([*words, *(marks + random.integers(10, size=2))])
    return Example(dense=[np.array([code], np.float32) for code in codes])


def _series(label: int, random: np.random.Generator) -> Example:
    steps = np.arange(int(random.integers(30, 40)))
    wave = np.sin(steps * (0.3 + 0.12 * label) + 6 * random.random())
    series = np.stack([wave, 0 * wave], axis=1) + 0.9 * random.normal(size=(len(steps), 2))
    return Example(dense=[step.astype(np.float32) for step in series])


def _audio(label: int, random: np.random.Generator) -> Example:
    steps = np.arange(int(random.integers(3000, 4000)))
    wave = 0.15 * np.sin(steps * (0.2 + 0.25 * label)) + random.normal(size=len(steps))
    return Example(dense=[np.array([value], np.float32) for value in wave])


def _image(label: int, random: np.random.Generator) -> Example:
    pixels = random.integers(0, 150, size=(SIDE, SIDE, 3))
    row, column = random.integers(2, SIDE - 10, size=2)
    shapes = [(8, 2), (2, 8), (5, 5)]
    height, width = shapes[label]
    pixels[row : row + height, column : column + width] += 90
    return Example(compressed=[_png(pixels)])


def _video(label: int, random: np.random.Generator) -> Example:
    speed = [(0, 0), (2, 0), (0, 2)][label]
    start = random.integers(2, 10, size=2)
    frames = []
    for step in range(FRAMES):
        pixels = random.integers(0, 110, size=(SIDE, SIDE))
        row, column = start + step * np.array(speed)
        pixels[row : row + 4, column : column + 4] += 120
        frames.append(_png(pixels))
    return Example(compressed=frames)


def _png(pixels: NDArray[np.int64]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(out, "png")
    return out.getvalue()


_FLAT = MatrixSpec(row_count=1, col_count=1, num_channels=1)
KINDS: dict[str, tuple[MatrixSpec, int, int, Make]] = {
    "tabular": (MatrixSpec(row_count=1, col_count=COLUMNS), 1, 0, _table),
    "sparse": (
        MatrixSpec(row_count=1, col_count=SPARSE_COLUMNS, format=Format.SPARSE),
        1,
        0,
        _sparse,
    ),
    "text": (_FLAT, -1, WORDS, _text),
    "series": (MatrixSpec(row_count=1, col_count=2, num_channels=1), -1, 0, _series),
    "audio": (_FLAT, -1, 0, _audio),
    "image": (
        MatrixSpec(row_count=-1, col_count=-1, num_channels=3, format=Format.COMPRESSED),
        1,
        0,
        _image,
    ),
    "video": (
        MatrixSpec(row_count=-1, col_count=-1, num_channels=1, format=Format.COMPRESSED),
        -1,
        0,
        _video,
    ),
}
