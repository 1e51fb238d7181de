"""What is fuzzed: one function a reader, fed bytes, which may raise nothing but our own errors.

Each target has seeds, the good files that a fuzzer starts from.
"""

import contextlib
import io
import json
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autodl.archive import UnpackLimits, unpack_zip
from autodl.check import check
from autodl.dataset import open_subset
from autodl.decode import decode_labels, decode_tensor
from autodl.errors import AutoDLError
from autodl.images import decode_animation, decode_image, probe_image
from autodl.metadata import Format, find_unknown_field, format_metadata, parse_metadata
from autodl.pickles import read_waves
from autodl.predictions import read_labels
from autodl.records import Example, decode_example, encode_example, read_records
from formatter.convert import convert
from formatter.source import Options

from . import datasets

Run = Callable[[bytes, Path], object]


@dataclass(frozen=True)
class Target:
    """``run`` reads the bytes as one reader does; it may write into the folder that it is given."""

    run: Run
    seeds: tuple[bytes, ...]

    def feed(self, data: bytes, folder: Path) -> None:
        """Run on ``data``; an error of ours is the right answer to bad data."""
        with contextlib.suppress(AutoDLError):
            self.run(data, folder)


TARGETS: dict[str, Target] = {}


def target(*seeds: bytes) -> Callable[[Run], Run]:
    """Register a target under its function's name."""

    def register(run: Run) -> Run:
        TARGETS[run.__name__.replace("_", "-")] = Target(run, seeds)
        return run

    return register


def dense(index: int) -> bytes:
    return encode_example(Example(index, **datasets.labels_of(index), **datasets.row(index)))


SPARSE = encode_example(Example(3, **datasets.labels_of(3), **datasets.entries(3)))
IMAGE = encode_example(Example(3, **datasets.labels_of(3), compressed=[datasets.picture(3)]))
SERIES = encode_example(Example(3, **datasets.labels_of(3), **datasets.wave(3)))


@target(b"".join(datasets.frame(dense(i)) for i in range(3)), b"", datasets.frame(b""))
def records(data: bytes, folder: Path) -> None:
    path = folder / "sample"
    path.write_bytes(data)
    for payload in read_records(path):
        decode_example(payload)


@target(dense(0), dense(300), SPARSE, IMAGE, SERIES, b"")
def example(data: bytes, folder: Path) -> None:
    decoded = decode_example(data)
    decode_labels(decoded, datasets.CLASSES)
    specs = (
        datasets.spec_of(Format.DENSE),
        datasets.spec_of(Format.DENSE, -1, col_count=1),
        datasets.spec_of(Format.SPARSE, col_count=20),
        datasets.VIDEOS,
    )
    for spec in specs:
        try:
            decode_tensor(decoded, spec)
        except AutoDLError:
            continue
    decode_example(encode_example(decoded))


@target(dense(0), SPARSE, IMAGE, SERIES)
def dataset(data: bytes, folder: Path) -> None:
    """The record is one of a bundle: block reading, labels alone and check must agree with all."""
    for make in (datasets.table, datasets.series, datasets.sparse, datasets.images):
        root = folder / make.__name__
        root.mkdir()
        make(root, train={3: data})
        train = open_subset(root / "d.data/train")
        try:
            together = [labels for _, labels in train]
        except AutoDLError:
            assert not check(root, jobs=1).ok
        else:
            assert np.array_equal(together, train.labels(), equal_nan=True)


METADATA = format_metadata(datasets.PICTURES).encode()


@target(
    METADATA,
    METADATA + b"label_to_index_map {\n  key: 'a'\n  value: 0\n}\n\n",
    METADATA + b'channel_to_index_map {\n  key: "it\'s"\n  value: 12\n}\n',
    b"matrix_spec: < format: 2 > # x\noutput_dim: 0x3, author: 'me'",
)
def metadata(data: bytes, folder: Path) -> None:
    text = data.decode("utf-8", "replace")
    spec = parse_metadata(text)
    find_unknown_field(text)
    assert parse_metadata(format_metadata(spec)) == spec


@target(*(pickle.dumps([np.arange(4, dtype="f4")] * 2, p) for p in (0, 2, 4, 5)))
def pickles(data: bytes, folder: Path) -> None:
    path = folder / "train.pkl"
    path.write_bytes(data)
    for wave in read_waves(path):
        assert wave.ndim == 1
        wave.astype(np.float32)


@target(b"one two\nthree it's\n", "你好\n和\n".encode(), b"\xef\xbb\xbfa\r\nb\r\n")
def text(data: bytes, folder: Path) -> None:
    for language in ("EN", "ZH"):
        (folder / "train.data").write_bytes(data)
        (folder / "train.solution").write_text("1 0\n" * data.count(b"\n"))
        (folder / "meta.json").write_text(json.dumps({"language": language}))
        for _ in open_subset(folder / "train.data"):
            pass


@target(b'{"class_num": 3, "train_num": 2, "language": "EN"}', b"\xef\xbb\xbf{}", b"[1]")
def meta(data: bytes, folder: Path) -> None:
    (folder / "train.data").write_bytes(b"a\nb\n")
    (folder / "train.solution").write_text("1 0 0\n0 1 0\n")
    (folder / "meta.json").write_bytes(data)
    len(open_subset(folder / "train.data"))


@target(b"1 2 3\n4 NaN 6\n", b"1:0.5 3:1\n2:1\n", b"1 3\n2\n1 2 3\n")
def matrix(data: bytes, folder: Path) -> None:
    (folder / "d_train.data").write_bytes(data)
    (folder / "d_train.solution").write_text("1 0\n" * data.count(b"\n"))
    for _ in open_subset(folder / "d_train.data"):
        pass


@target(b"1 0 0\n0 1 0\n", b"# x\n0.0 1.0\n", b"1\n0\n")
def labels(data: bytes, folder: Path) -> None:
    (folder / "d.solution").write_bytes(data)
    for width in (None, 1, 3):
        try:
            assert read_labels(folder / "d.solution", width).ndim == 2
        except AutoDLError:
            continue


def packed(method: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.writestr("d.data/train/metadata.textproto", METADATA)
        archive.writestr("d.solution", "1 0 0\n" * 5)
    return out.getvalue()


@target(packed(zipfile.ZIP_STORED), packed(zipfile.ZIP_DEFLATED))
def archive(data: bytes, folder: Path) -> None:
    (folder / "d.zip").write_bytes(data)
    unpack_zip(folder / "d.zip", folder / "in/target", UnpackLimits(max_total_bytes=8 << 20))
    outside = [p for p in folder.rglob("*") if p.is_symlink() or ".." in p.parts]
    assert not outside


@target(*(datasets.picture(1, kind) for kind in ("PNG", "JPEG", "BMP", "GIF", "WEBP")))
def image(data: bytes, folder: Path) -> None:
    for channels in (0, 1, 3):
        try:
            pixels = decode_image(data, channels)
        except AutoDLError:
            continue
        assert pixels.ndim == 3
        assert channels in (0, pixels.shape[2])
    probe_image(data, 3, animated=True)
    decode_animation(data, 3)


def formatted(suffix: str) -> Run:
    def run(data: bytes, folder: Path) -> None:
        path = folder / f"s{suffix}"
        path.write_bytes(data)
        convert(path, None, Options(jobs=1, label=("label",) if suffix == ".parquet" else ()))

    run.__name__ = suffix[1:]
    return run


ROWS = [(f"{n}", f"{n / 2}", "xy"[n % 2]) for n in range(12)]
CSV = "a,b,label\n" + "".join(",".join(row) + "\n" for row in ROWS)
ARFF = "@relation r\n@attribute a numeric\n@attribute 'b c' {p,q}\n@attribute label {x,y}\n@data\n"
TS = "@problemName p\n@timestamps false\n@univariate false\n@classLabel true x y\n@data\n"

target(
    CSV.encode(),
    CSV.replace(",", ";").encode(),
    ("c0_t0,c0_t1,c1_t0,c1_t1,label\n" + "1,2,3,,x\n4,5,6,7,y\n" * 6).encode(),
    ("series,time,v,label\n" + "a,0,1,x\na,1,2,x\nb,0,3,y\nb,1,3,y\nc,0,1,x\nd,0,1,y\n").encode(),
    ("text,label\n" + '"a film, good",x\n"no ""good"" film",y\n' * 6).encode(),
)(formatted(".csv"))
target(
    (ARFF + "1,p,x\n2,q,y\n?,?,x\n4,'p',y\n" * 3).encode(),
    (ARFF + "{0 1, 2 y}\n{1 q}\n" * 6).encode(),
)(formatted(".arff"))
target((TS + "1,2:3,?:x\n4:5:y\n" * 6).encode())(formatted(".ts"))
target(b"x 1:2 3:4\ny 2:1\n" * 6, b"1,2 1:2\n2 2:1 # c\n" * 6)(formatted(".libsvm"))
target(b'{"a": 1, "b": "p", "label": "x"}\n{"a": 2, "b": null, "label": "y"}\n' * 6)(
    formatted(".jsonl")
)


def arrays() -> bytes:
    out = io.BytesIO()
    np.savez(out, X=np.arange(36, dtype="f4").reshape(12, 3), y=np.arange(12) % 2)
    return out.getvalue()


target(arrays())(formatted(".npz"))
