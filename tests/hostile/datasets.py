"""Small good datasets of every layout, to be broken or twisted by the cases."""

import io
import json
import pickle
import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from autodl.metadata import DataSpecification, Format, MatrixSpec, write_metadata
from autodl.records import Example, RecordWriter, SparseValues, encode_example, masked_crc

CLASSES = 3
TRAIN, TEST = 12, 6

Payload = Example | bytes
Make = Callable[[Path], object]


def labels_of(index: int) -> dict:
    return {"label_index": np.array([index % CLASSES]), "label_score": np.ones(1, np.float32)}


def spec_of(format: Format, sequence_size: int = 1, **matrix: object) -> DataSpecification:
    sizes = {"col_count": 4, "row_count": 1, "num_channels": 1} | matrix
    spec = MatrixSpec(format=format, **sizes)
    return DataSpecification((spec,), output_dim=CLASSES, sequence_size=sequence_size)


def write_subset(folder: Path, spec: DataSpecification, payloads: Sequence[Payload]) -> Path:
    """The subset's folder with one record file, whose path is returned."""
    folder.mkdir(parents=True, exist_ok=True)
    write_metadata(replace(spec, sample_count=len(payloads)), folder / "metadata.textproto")
    path = folder / f"sample-d-{folder.name}.tfrecord"
    with RecordWriter(path) as writer:
        for payload in payloads:
            writer.write(payload if isinstance(payload, bytes) else encode_example(payload))
    return path


def write_labels(root: Path, rows: int = TEST) -> None:
    lines = (
        " ".join("1" if c == i % CLASSES else "0" for c in range(CLASSES)) for i in range(rows)
    )
    (root / "d.solution").write_text("\n".join(lines) + "\n")


def write_bundle(
    root: Path,
    spec: DataSpecification,
    content: Callable[[int], dict],
    train: dict[int, Payload] | None = None,
    test: dict[int, Payload] | None = None,
) -> None:
    """A dataset of ``content(i)``; ``train`` and ``test`` replace single records."""
    examples: list[Payload] = [Example(i, **labels_of(i), **content(i)) for i in range(TRAIN)]
    tests: list[Payload] = [Example(i, **content(TRAIN + i)) for i in range(TEST)]
    for index, payload in (train or {}).items():
        examples[index] = payload
    for index, payload in (test or {}).items():
        tests[index] = payload
    write_subset(root / "d.data/train", spec, examples)
    write_subset(root / "d.data/test", spec, tests)
    write_labels(root)


def row(index: int) -> dict:
    return {"dense": np.random.default_rng(index).normal(size=(1, 4)).astype(np.float32)}


def example(**changes: object) -> Example:
    """Record 3 of a table, or something in its place."""
    return Example(**{"id": 3, **labels_of(3), **row(3), **changes})


def table(root: Path, spec: DataSpecification | None = None, **records: dict) -> None:
    write_bundle(root, spec or spec_of(Format.DENSE), row, **records)


def wave(index: int) -> dict:
    random = np.random.default_rng(index)
    return {"dense": random.normal(size=(20 + index, 1)).astype(np.float32)}


def series(root: Path, spec: DataSpecification | None = None, **records: dict) -> None:
    write_bundle(root, spec or spec_of(Format.DENSE, -1, col_count=1), wave, **records)


def picture(index: int, format: str = "PNG", mode: str = "RGB", size: tuple = (8, 6)) -> bytes:
    noise = np.random.default_rng(index).integers(0, 256, (size[1], size[0], 4), np.uint8)
    image = Image.fromarray(noise[:, :, :3]).convert(mode)
    packed = io.BytesIO()
    image.save(packed, format)
    return packed.getvalue()


def open_picture(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


PICTURES = spec_of(Format.COMPRESSED, col_count=8, row_count=6, num_channels=3)
VIDEOS = replace(PICTURES, sequence_size=-1)


def images(
    root: Path,
    spec: DataSpecification = PICTURES,
    encode: Callable[[int], bytes] = picture,
    **records: dict,
) -> None:
    write_bundle(root, spec, lambda i: {"compressed": [encode(i)]}, **records)


def videos(root: Path, **records: dict) -> None:
    def frames(index: int) -> dict:
        return {"compressed": [picture(100 * index + f) for f in range(2 + index % 3)]}

    write_bundle(root, VIDEOS, frames, **records)


def entries(index: int) -> dict:
    random = np.random.default_rng(index)
    col = np.sort(random.choice(20, 5, replace=False))
    return {"sparse": SparseValues(col=col, value=random.normal(size=5).astype(np.float32))}


def sparse(root: Path, spec: DataSpecification | None = None, **records: dict) -> None:
    write_bundle(root, spec or spec_of(Format.SPARSE, col_count=20), entries, **records)


def document(index: int) -> dict:
    codes = np.random.default_rng(index).integers(0, 9, (10 + index, 1))
    return {"dense": codes.astype(np.float32)}


def text(root: Path, tokens: Sequence[str] = "abcdefghi") -> None:
    vocabulary = {token: code for code, token in enumerate(tokens)}
    spec = spec_of(Format.DENSE, -1, col_count=1)
    write_bundle(root, replace(spec, channel_to_index_map=vocabulary), document)


def one_hot(rows: int) -> str:
    return "".join(
        " ".join("1" if c == i % CLASSES else "0" for c in range(CLASSES)) + "\n"
        for i in range(rows)
    )


def write_meta(data: Path, **extra: object) -> None:
    meta = {"class_num": CLASSES, "train_num": TRAIN, "test_num": TEST} | extra
    (data / "meta.json").write_text(json.dumps(meta))


def speech(root: Path, protocol: int = 4, kind: str = "f4") -> Path:
    """An AutoSpeech dataset; its data folder."""
    data = root / "d.data"
    data.mkdir()
    waves = [(wave(i)["dense"].reshape(-1) * 99).astype(kind) for i in range(TRAIN + TEST)]
    (data / "train.pkl").write_bytes(pickle.dumps(waves[:TRAIN], protocol))
    (data / "test.pkl").write_bytes(pickle.dumps(waves[TRAIN:], protocol))
    (data / "train.solution").write_text(one_hot(TRAIN))
    (root / "d.solution").write_text(one_hot(TEST))
    write_meta(data)
    return data


def lines(root: Path, language: str = "EN", end: str = "\n") -> Path:
    """An AutoNLP dataset; its data folder."""
    data = root / "d.data"
    data.mkdir()
    words = ["alpha", "beta", "gamma", "delta", "it's", "ß", "你"]
    documents = [
        " ".join(np.random.default_rng(i).choice(words, 5 + i % 4)) for i in range(TRAIN + TEST)
    ]
    (data / "train.data").write_bytes("".join(d + end for d in documents[:TRAIN]).encode())
    (data / "test.data").write_bytes("".join(d + end for d in documents[TRAIN:]).encode())
    (data / "train.solution").write_text(one_hot(TRAIN))
    (root / "d.solution").write_text(one_hot(TEST))
    write_meta(data, language=language)
    return data


def matrix(root: Path, line: Callable[[int], str] | None = None) -> None:
    """An AutoML dataset."""

    def dense(index: int) -> str:
        return " ".join(f"{v:.3f}" for v in row(index)["dense"].reshape(-1))

    line = line or dense
    rows = [line(i) + "\n" for i in range(TRAIN + TEST)]
    (root / "d_train.data").write_text("".join(rows[:TRAIN]))
    (root / "d_test.data").write_text("".join(rows[TRAIN:]))
    (root / "d_train.solution").write_text(one_hot(TRAIN))
    (root / "d_test.solution").write_text(one_hot(TEST))


def frame(payload: bytes) -> bytes:
    """A record as it lies in a file."""
    length = struct.pack("<Q", len(payload))
    head, foot = (struct.pack("<I", masked_crc(part)) for part in (length, payload))
    return length + head + payload + foot


TRAIN_FILE = "d.data/train/sample-d-train.tfrecord"
TEST_FILE = "d.data/test/sample-d-test.tfrecord"


def start_of(path: Path, record: int) -> int:
    """Offset of a record in a file of intact ones."""
    data = path.read_bytes()
    offset = 0
    for _ in range(record):
        offset += 16 + struct.unpack_from("<Q", data, offset)[0]
    return offset


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 0xFF
    path.write_bytes(data)
