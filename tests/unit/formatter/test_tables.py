"""Tables read in parts give what they give when read at once."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from autodl.errors import BundleError
from formatter import csvs
from formatter.arrow import read_batches, read_schema
from formatter.csvs import LINE, open_csv
from formatter.source import Options
from formatter.tables import NotNumbersError, read_table

NASTY = ['a "quoted" word', "two\nlines", "comma, in it", 'only "', "", "plain", 'six" disk']


def write(path: Path, rows: int) -> pl.DataFrame:
    frame = pl.DataFrame(
        {
            "x": [n / 3 for n in range(rows)],
            "text": [NASTY[n % len(NASTY)] for n in range(rows)],
            "label": ["yes" if n % 2 else "no" for n in range(rows)],
        }
    )
    frame.write_csv(path)
    return frame


@pytest.mark.parametrize("chunk", [16, 100, 1 << 20])
def test_rows_are_whole_wherever_a_chunk_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(csvs, "CHUNK_BYTES", chunk)
    monkeypatch.setattr(csvs, "NEXT_BYTES", 8)
    frame = write(tmp_path / "t.csv", 60)
    read = pl.concat(read_table(tmp_path / "t.csv", Options()).frames())
    assert read["text"].fill_null("").to_list() == frame["text"].to_list()
    assert np.allclose(read["x"], frame["x"])


def test_lines_are_right_in_every_chunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csvs, "CHUNK_BYTES", 16)
    (tmp_path / "t.csv").write_text("x,label\n" + "1,a\n\n2,b\n" * 20)
    lines = pl.concat(read_table(tmp_path / "t.csv", Options()).frames())[LINE].to_list()
    text = (tmp_path / "t.csv").read_text().splitlines()
    assert lines == [number for number, line in enumerate(text, 1) if "," in line][1:]


def test_a_stray_quote_does_not_hide_the_rows_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csvs, "CHUNK_BYTES", 16)
    (tmp_path / "t.csv").write_text('x,label\n5" disk,a\n' + "word,b\n" * 30)
    read = pl.concat(read_table(tmp_path / "t.csv", Options()).frames())
    assert read["x"].to_list() == ['5" disk', *["word"] * 30]
    assert read[LINE].to_list() == list(range(2, 33))


def test_a_short_line_is_found_in_a_later_chunk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csvs, "CHUNK_BYTES", 16)
    (tmp_path / "t.csv").write_text("x,label\n" + "1,a\n" * 40 + "2\n" + "1,b\n" * 9)
    with pytest.raises(BundleError) as caught:
        list(read_table(tmp_path / "t.csv", Options()).frames())
    assert (caught.value.code, caught.value.line) == ("table-row-ragged", 42)


def test_a_row_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csvs, "CHUNK_BYTES", 16)
    monkeypatch.setattr(csvs, "MAX_ROW_BYTES", 64)
    (tmp_path / "t.csv").write_text('x,label\n1,a\n"2,b\n' + "3,c\n" * 100)
    with pytest.raises(BundleError) as caught:
        list(open_csv(tmp_path / "t.csv").chunks())
    assert (caught.value.code, caught.value.line) == ("csv-malformed", 3)


def test_a_late_word_makes_a_column_text_and_missing_values_do_not(tmp_path: Path) -> None:
    rows = [f"{n},{n},{'ab'[n % 2]}" for n in range(1500)]
    text = "\n".join(["x,y,label", *rows, "NA, 7 ,a", "3,word,b"])
    (tmp_path / "t.csv").write_text(text + "\n")
    table = read_table(tmp_path / "t.csv", Options())
    with pytest.raises(NotNumbersError):
        list(table.frames())
    read = pl.concat(table.with_words().frames())
    assert read["y"].tail(2).to_list() == [" 7 ", "word"]
    assert read["x"].tail(2).to_list() == [None, 3]


@pytest.mark.parametrize("write_as", ["write_ipc", "write_ipc_stream"])
def test_arrow_files_and_streams_are_read_by_batches(tmp_path: Path, write_as: str) -> None:
    frame = pl.DataFrame({"n": range(200_000), "t": ["a", None] * 100_000})
    halves = pl.concat([frame.head(100_000), frame.tail(100_000)], rechunk=False)  # two batches
    getattr(halves, write_as)(tmp_path / "t.arrow")
    batches = list(read_batches(tmp_path / "t.arrow"))
    assert len(batches) > 1 or write_as == "write_ipc_stream"  # polars writes a stream as one
    assert pl.concat(batches).equals(frame)
    assert read_schema(tmp_path / "t.arrow") == frame.schema


@pytest.mark.parametrize("kept", [4, 300, 5000])
def test_a_cut_arrow_stream_is_refused(tmp_path: Path, kept: int) -> None:
    pl.DataFrame({"n": range(1000)}).write_ipc_stream(tmp_path / "t.arrow")
    data = (tmp_path / "t.arrow").read_bytes()
    (tmp_path / "t.arrow").write_bytes(data[:kept])
    with pytest.raises(ValueError, match="it ends inside"):
        list(read_batches(tmp_path / "t.arrow"))


def test_json_lines_may_name_a_column_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csvs, "CHUNK_BYTES", 32)
    lines = ['{"x": 1, "label": "a"}\n'] * 20 + ['{"x": "w", "y": 2, "label": "b"}\n']
    (tmp_path / "t.jsonl").write_text("".join(lines))
    read = pl.concat(read_table(tmp_path / "t.jsonl", Options()).frames())
    assert read["x"].to_list() == ["1"] * 20 + ["w"]
    assert read["y"].to_list() == [None] * 20 + [2]
