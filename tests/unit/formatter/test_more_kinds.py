"""Sources in the forms of other tools, and bundles written anew."""

from pathlib import Path

import numpy as np
import pytest

from autodl.bundle import find_bundle, read_items
from autodl.check import check
from autodl.dataset import Dataset, open_subset
from autodl.errors import AutoDLError
from autodl.text import decode_tokens
from formatter.convert import convert
from formatter.source import Options


def train(root: Path) -> Dataset:
    return open_subset(find_bundle(root).train)


def fault(source: Path) -> tuple[str, str | None, int | None]:
    with pytest.raises(AutoDLError) as caught:
        convert(source, None)
    return caught.value.code, caught.value.file, caught.value.line


def test_a_folder_of_text_files_is_text(tmp_path: Path) -> None:
    for label in ("good", "bad"):
        folder = tmp_path / "t" / label
        folder.mkdir(parents=True)
        for number in range(6):
            (folder / f"{number}.txt").write_text(f"a {label} film number {number}\n")
    summary = convert(tmp_path / "t", tmp_path / "out")
    assert (summary.kind, summary.counts["test"]) == ("text", 2)
    dataset = train(tmp_path / "out")
    assert decode_tokens(dataset[0][0], dataset.metadata.metadata_).startswith("a ")
    assert check(tmp_path / "out").ok


def test_a_text_file_of_another_encoding_is_named(tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / "t" / label).mkdir(parents=True)
        (tmp_path / "t" / label / "1.txt").write_bytes("caf\xe9".encode("latin-1"))
    assert fault(tmp_path / "t")[:2] == ("text-not-utf8", "a/1.txt")


def test_libsvm_gives_sparse_records(tmp_path: Path) -> None:
    lines = [f"{'+1' if n % 2 else '-1'} 1:{n} 7:0.5 # note" for n in range(20)]
    (tmp_path / "d.libsvm").write_text("\n".join(lines) + "\n")
    summary = convert(tmp_path / "d.libsvm", tmp_path / "out")
    assert set(summary.labels) == {"+1", "-1"}
    example, _ = train(tmp_path / "out")[0]
    assert example.shape == (1, 2, 2, 1)
    assert example[0, :, 0, 0].tolist() == [0, 6]
    assert check(tmp_path / "out").ok


def test_a_broken_libsvm_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "d.svm").write_text("1 1:2\n2 0:3\n")
    assert fault(tmp_path / "d.svm") == ("libsvm-malformed", "d.svm", 2)


def test_a_pair_of_ts_files_keeps_its_split(tmp_path: Path) -> None:
    header = "@problemName X\n@univariate false\n@classLabel true a b\n@data\n"
    for part, count in (("TRAIN", 12), ("TEST", 6)):
        lines = [f"{n},1,?:2,3,4:{'ab'[n % 2]}" for n in range(count)]
        (tmp_path / f"X_{part}.ts").write_text(header + "\n".join(lines) + "\n")
    summary = convert(tmp_path / "X_TRAIN.ts", tmp_path / "out")
    assert convert(tmp_path, None).counts == summary.counts  # the folder of both
    assert (summary.split, summary.counts) == ("kept", {"train": 12, "test": 6})
    example, _ = train(tmp_path / "out")[0]
    assert example.shape == (3, 1, 2, 1)
    assert np.isnan(example[2, 0, 0, 0])


def test_ragged_channels_of_a_ts_line_are_named(tmp_path: Path) -> None:
    (tmp_path / "x.ts").write_text("@data\n1,2:3,4:a\n1,2:3:b\n")
    assert fault(tmp_path / "x.ts") == ("ts-malformed", "x.ts", 3)


@pytest.mark.parametrize(
    ("x", "shape"),
    [
        (np.zeros((20, 8, 6), np.uint8), (1, 8, 6, 1)),
        (np.zeros((20, 8, 6, 3), np.uint8), (1, 8, 6, 3)),
        (np.zeros((20, 2, 9)), (9, 1, 2, 1)),
        (np.zeros((20, 5)), (1, 1, 5, 1)),
    ],
)
def test_arrays_become_what_their_form_says(
    tmp_path: Path, x: np.ndarray, shape: tuple[int, ...]
) -> None:
    np.savez(tmp_path / "a.npz", X=x, y=np.arange(20) % 2, unlabelled=x[:3])
    summary = convert(tmp_path / "a.npz", tmp_path / "out")
    assert summary.counts["unlabelled"] == 3
    assert train(tmp_path / "out")[0][0].shape == shape


def test_arrays_of_objects_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", X=np.array([{}], object), y=np.zeros(1))
    assert fault(tmp_path / "a.npz")[0] == "arrays-unreadable"


def test_arrays_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", X=np.zeros((5, 2)), y=np.zeros(4))
    assert fault(tmp_path / "a.npz")[0] == "arrays-unfit"


def test_a_bundle_can_be_split_anew_and_keeps_its_items(image_folder: Path, tmp_path: Path) -> None:
    convert(image_folder, tmp_path / "first", Options(name="d"))
    convert(tmp_path / "first", tmp_path / "kept", Options(name="d"))
    convert(tmp_path / "first", tmp_path / "anew", Options(name="d", resplit=True, test=0.5))
    items = {
        name: read_items(find_bundle(tmp_path / name).test) for name in ("first", "kept", "anew")
    }
    assert items["kept"] == items["first"]
    assert len(items["anew"] or ()) == 10
    assert check(tmp_path / "anew").ok


def test_sounds_can_be_written_in_the_autospeech_layout_and_read_back(
    shared: Path, tmp_path: Path
) -> None:
    golden = shared / "golden/datasets/raw_autospeech_spk"
    convert(golden, tmp_path / "records")
    convert(tmp_path / "records", tmp_path / "speech", Options(to="autospeech"))
    first, last = train(golden), train(tmp_path / "speech")
    assert len(first) == len(last)
    for number in range(len(first)):
        np.testing.assert_array_equal(first[number][0], last[number][0])
        np.testing.assert_array_equal(first[number][1], last[number][1])
    assert check(tmp_path / "speech").ok


def test_pictures_cannot_be_written_in_the_autospeech_layout(
    image_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(AutoDLError) as caught:
        convert(image_folder, tmp_path / "out", Options(to="autospeech"))
    assert caught.value.code == "autospeech-needs-audio"
    assert not (tmp_path / "out").exists()


ARFF = """% a comment
@RELATION things
@attribute 'the size' numeric
@attribute colour {red, 'dark blue'}
@attribute class {yes,no}
@DATA
"""


def test_arff_is_a_table(tmp_path: Path) -> None:
    rows = [
        f"{n},{'red' if n % 3 else chr(39) + 'dark blue' + chr(39)},{'yes' if n % 2 else 'no'}"
        for n in range(20)
    ]
    (tmp_path / "t.arff").write_text(ARFF + "\n".join([*rows, "?,?,yes"]))
    convert(tmp_path / "t.arff", tmp_path / "out")
    spec = train(tmp_path / "out").metadata.metadata_
    assert spec.feature_to_index_map == {"the size": 0, "colour": 1}
    assert spec.channel_to_index_map == {"colour=dark blue": 0, "colour=red": 1}


def test_sparse_arff_rows_leave_out_zeros(tmp_path: Path) -> None:
    rows = [f"{{0 {n}, 2 no}}" if n % 2 else "{1 'dark blue'}" for n in range(20)]
    (tmp_path / "t.arff").write_text(ARFF + "\n".join(rows))
    summary = convert(tmp_path / "t.arff", None)
    assert summary.labels == {"no": 10, "yes": 10}


def test_an_arff_cell_may_be_long_and_a_type_without_values(tmp_path: Path) -> None:
    header = "@relation r\n@attribute a string\n@attribute b {}\n@attribute label {x,y}\n@data\n"
    long = "z" * 200_000
    (tmp_path / "t.arff").write_text(header + f"'{long}',?,x\n{{0 q, 2 y}}\n" * 6)
    assert convert(tmp_path / "t.arff", None).labels == {"x": 6, "y": 6}
    (tmp_path / "u.arff").write_text(header + "{-1 x}\n" * 6)
    assert fault(tmp_path / "u.arff") == ("arff-malformed", "u.arff", 6)


def test_a_short_arff_row_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.arff").write_text(ARFF + "1,red,yes\n2,no\n")
    assert fault(tmp_path / "t.arff") == ("arff-malformed", "t.arff", 8)
