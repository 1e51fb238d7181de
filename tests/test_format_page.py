"""docs/format.md is true: its bytes are ours, and a bundle made by its program is good."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from autodl.check import check
from autodl.dataset import open_subset
from autodl.records import Example, encode_example, masked_crc, read_records

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs/format.md").read_text(encoding="utf-8")


def block(kind: str) -> str:
    (text,) = re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)
    return str(text)


def test_the_record_shown_is_what_we_write(tmp_path: Path) -> None:
    lines = (
        re.match(r" *((?:[0-9a-f]{2} )*[0-9a-f]{2})\b", line) for line in block("hex").split("\n")
    )
    shown = bytes.fromhex("".join(line[1] for line in lines if line))
    (tmp_path / "sample").write_bytes(shown)
    (payload,) = read_records(tmp_path / "sample")
    values = np.array([[0.5, -1]], np.float32)
    assert payload == encode_example(Example(7, np.array([2]), np.ones(1), dense=values))
    assert (len(shown), len(payload)) == (113, 97)


def test_the_checksums_named_are_right() -> None:
    assert "masked 0xC78AB0E5" in PAGE
    assert "0 and 0xA282EAD8" in PAGE
    assert masked_crc(b"123456789") == 0xC78AB0E5
    assert masked_crc(b"") == 0xA282EAD8


def test_the_program_shown_writes_a_good_bundle(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-I", "-c", block("python")], cwd=tmp_path, check=True)
    report = check(tmp_path)
    assert [f for f in report.findings if f.severity != "note"] == []
    assert report.summary["subsets"]["train"]["class_counts"] == [7, 7, 6]
    train = open_subset(tmp_path / "toy.data/train")
    example, labels = train[4]
    assert np.allclose(example.reshape(-1), [0.4, 2])
    assert labels.tolist() == [0, 1, 0]
    (first, *_) = read_records(tmp_path / "toy.data/train/sample-toy-train.tfrecord")
    assert first == encode_example(
        Example(0, np.array([0]), np.ones(1), dense=np.zeros((1, 2), np.float32))
    )
