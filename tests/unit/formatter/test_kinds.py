"""Every kind of source: found by itself, and read to what was in it."""

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import polars as pl
import pytest
import soundfile

from autodl.bundle import find_bundle, read_items
from autodl.check import check
from autodl.dataset import Dataset, open_subset
from autodl.errors import AutoDLError
from autodl.text import decode_tokens
from formatter import scratch
from formatter.convert import convert
from formatter.source import Options


def train(root: Path) -> Dataset:
    return open_subset(find_bundle(root).train)


def write_wave(path: Path, seconds: float, rate: int = 8000, channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(int(seconds * rate)) / rate
    wave = 0.5 * np.sin(2 * np.pi * 440 * time)
    soundfile.write(path, np.stack([wave] * channels, 1), rate)


def write_video(path: Path, frames: int, size: tuple[int, int] = (32, 16)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for number in range(frames):
            pixels = np.full((size[1], size[0], 3), number * 5 % 256, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels)))
        container.mux(stream.encode())


def write_table(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    lines = [",".join(map(str, row)) for row in [header, *rows]]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_folder_per_class_is_audio_at_one_rate(tmp_path: Path) -> None:
    for label in ("yes", "no"):
        for number in range(6):
            write_wave(tmp_path / "words" / label / f"{number}.wav", 0.25, channels=2)
    summary = convert(tmp_path / "words", tmp_path / "out")
    assert (summary.kind, summary.labels) == ("audio", {"no": 6, "yes": 6})
    example, _ = train(tmp_path / "out")[0]
    assert example.shape == (4000, 1, 1, 1)  # a quarter of a second at 16 kHz
    assert 0.4 < np.abs(example).max() < 0.6
    assert check(tmp_path / "out").ok


def test_a_damaged_audio_file_is_named(tmp_path: Path) -> None:
    for label in ("yes", "no"):
        for number in range(4):
            write_wave(tmp_path / "words" / label / f"{number}.wav", 0.1)
    (tmp_path / "words/no/2.wav").write_bytes(b"RIFF and nothing more")
    with pytest.raises(AutoDLError) as caught:
        convert(tmp_path / "words", None)
    assert (caught.value.code, caught.value.file) == ("audio-unreadable", "no/2.wav")


def test_videos_give_evenly_spaced_frames(tmp_path: Path) -> None:
    for label in ("up", "down"):
        for number in range(4):
            write_video(tmp_path / "clips" / label / f"{number}.mp4", 20)
    summary = convert(tmp_path / "clips", tmp_path / "out", Options(max_frames=5))
    assert summary.kind == "video"
    example, _ = train(tmp_path / "out")[0]
    assert example.shape == (5, 16, 32, 3)
    levels = example.mean((1, 2, 3)) * 255 / 5
    assert np.allclose(levels, [2, 6, 10, 14, 18], atol=1)


def test_english_text_is_coded_by_words(tmp_path: Path) -> None:
    texts = [f"message number {n} of many" for n in range(20)]
    rows = [[f'"{t}"', "ham" if n % 2 else "spam"] for n, t in enumerate(texts)]
    summary = convert(write_table(tmp_path / "t.csv", ["text", "label"], rows), tmp_path / "out")
    assert summary.kind == "text"
    dataset = train(tmp_path / "out")
    spec = dataset.metadata.metadata_
    read = {decode_tokens(dataset[i][0], spec) for i in range(len(dataset))}
    assert read < set(texts)
    assert "message" in spec.channel_to_index_map


def test_chinese_text_is_coded_by_characters(tmp_path: Path) -> None:
    rows = [[f"今天天气很好{chr(0x4E00 + n)}", "ab"[n % 2]] for n in range(20)]
    convert(write_table(tmp_path / "t.csv", ["text", "label"], rows), tmp_path / "out")
    spec = train(tmp_path / "out").metadata.metadata_
    assert {len(token) for token in spec.channel_to_index_map} == {1}


def test_series_end_where_their_cells_do(tmp_path: Path) -> None:
    header = [f"c{c}_t{t}" for c in range(2) for t in range(4)] + ["label"]
    rows = [
        [n, n, n, "" if n % 2 else n, n, n, n, "" if n % 2 else n, "xy"[n % 2]] for n in range(20)
    ]
    source = write_table(tmp_path / "s.csv", header, rows)
    assert convert(source, tmp_path / "out").kind == "series"
    dataset = train(tmp_path / "out")
    shapes = {tuple(labels): example.shape for example, labels in dataset}
    assert shapes == {(1, 0): (4, 1, 2, 1), (0, 1): (3, 1, 2, 1)}
    assert check(tmp_path / "out").ok


def test_a_series_with_a_word_in_it_names_the_line(tmp_path: Path) -> None:
    source = write_table(
        tmp_path / "s.csv", ["c0_t0", "c0_t1", "label"], [[1, 2, "a"], [1, "x", "b"]]
    )
    with pytest.raises(AutoDLError) as caught:
        convert(source, None)
    assert (caught.value.code, caught.value.line) == ("series-values", 3)


@pytest.mark.parametrize("suffix", [".tsv", ".parquet", ".arrow", ".jsonl"])
def test_other_kinds_of_table_read_like_csv(tmp_path: Path, suffix: str) -> None:
    frame = pl.DataFrame(
        {
            "size": [float(n) for n in range(20)],
            "old": [n % 3 == 0 for n in range(20)],
            "colour": ["red", "blue"] * 10,
            "label": ["yes", "no"] * 10,
        }
    )
    path = tmp_path / f"t{suffix}"
    if suffix == ".tsv":
        frame.write_csv(path, separator="\t")
    elif suffix == ".parquet":
        frame.write_parquet(path)
    elif suffix == ".arrow":
        frame.write_ipc(path)
    else:
        frame.write_ndjson(path)
    convert(path, tmp_path / "out")
    spec = train(tmp_path / "out").metadata.metadata_
    assert spec.feature_to_index_map == {"size": 0, "old": 1, "colour": 2}
    assert check(tmp_path / "out").ok


def test_an_unlabelled_table_is_predicted_in_its_order(tmp_path: Path) -> None:
    rows = [[n, "ab"[n % 2]] for n in range(20)]
    source = write_table(tmp_path / "t.csv", ["x", "label"], rows)
    unlabelled = write_table(tmp_path / "u.csv", ["x"], [[n] for n in (7, 3, 5)])
    convert(source, tmp_path / "out", Options(unlabelled=unlabelled))
    folder = find_bundle(tmp_path / "out").unlabelled
    assert folder is not None
    assert read_items(folder) == ["0", "1", "2"]
    assert [float(x.item()) for x, _ in open_subset(folder)] == [7, 3, 5]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("text_sms_spam", "text"),
        ("speech_spoken_digits", "audio"),
        ("series_japanese_vowels", "series"),
    ],
)
def test_practice_datasets_are_found_by_themselves(
    shared: Path, tmp_path: Path, name: str, kind: str
) -> None:
    summary = convert(shared / "data" / name, tmp_path / "out")
    assert (summary.kind, summary.split) == (kind, "kept")


LONG = [[f"s{s}", t, s * 10 + t, -t, "ab"[s % 2]] for s in range(10) for t in range(2 + s % 2)]


def test_a_long_table_is_series_by_name_and_time(tmp_path: Path) -> None:
    header = ["series", "time", "x", "y", "label"]
    source = write_table(tmp_path / "s.csv", header, LONG[::-1])
    summary = convert(source, tmp_path / "out")
    assert (summary.kind, summary.counts) == ("series", {"train": 8, "test": 2})
    for example, labels in train(tmp_path / "out"):
        assert example.shape == (2 + int(labels[1]), 1, 2, 1)
        assert (np.diff(example[:, 0, 0, 0]) == 1).all()


def test_a_long_table_need_not_be_in_order_nor_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scratch, "BLOCK_ROWS", 4)
    monkeypatch.setattr(scratch, "STRETCH_BYTES", 100)
    header = ["series", "time", "x", "y", "label"]
    mixed = [LONG[at] for at in np.random.default_rng(0).permutation(len(LONG))]
    written = []
    for name, rows in (("sorted", LONG), ("mixed", mixed)):
        convert(write_table(tmp_path / f"{name}.csv", header, rows), tmp_path / name)
        written.append(sorted(example.ravel().tolist() for example, _ in train(tmp_path / name)))
    for example in (example for read in written for example in read):
        first = int(example[0])
        assert example == [v for t in range(len(example) // 2) for v in (first + t, -t)]
    assert {len(read) for read in written} == {8}


@pytest.mark.parametrize(
    ("row", "code"),
    [(["s1", 0, 0, 0, "b"], "series-order"), (["s1", 9, 0, 0, "a"], "series-order")],
)
def test_a_long_table_that_contradicts_itself_is_refused(
    tmp_path: Path, row: list[object], code: str
) -> None:
    header = ["series", "time", "x", "y", "label"]
    source = write_table(tmp_path / "s.csv", header, [*LONG, row])
    with pytest.raises(AutoDLError) as caught:
        convert(source, None)
    assert caught.value.code == code


def test_cells_of_a_table_may_hold_several_labels_or_none(tmp_path: Path) -> None:
    rows = [f"{n},{('red|round', 'round', '', 'red | round')[n % 4]}" for n in range(16)]
    (tmp_path / "t.csv").write_text("\n".join(["a,label", *rows]))
    with pytest.raises(AutoDLError, match="--separator"):
        convert(tmp_path / "t.csv", None)
    summary = convert(tmp_path / "t.csv", None, Options(separator="|"))
    assert summary.labels == {"red": 8, "round": 12}
    assert summary.multi_label
