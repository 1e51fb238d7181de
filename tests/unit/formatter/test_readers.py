"""The readers: what is wrong with a source, in which file and line."""

import io
from pathlib import Path

import pytest
from PIL import Image

from autodl.bundle import find_bundle
from autodl.dataset import open_subset
from autodl.errors import AutoDLError
from formatter.convert import convert
from formatter.readers.files import sort_labels
from formatter.source import Options


def fault(source: Path, **options: object) -> tuple[str, str | None, int | None]:
    with pytest.raises(AutoDLError) as caught:
        convert(source, None, Options(**options))  # type: ignore[arg-type]
    assert caught.value.hint or caught.value.message
    return caught.value.code, caught.value.file, caught.value.line


GOOD = "a,b,label\n" + "".join(f"{n},{n},{'xy'[n % 2]}\n" for n in range(10))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", ("csv-empty", "t.csv", None)),
        (b"a,b,label\n1,2,x\n1,x\n", ("table-row-ragged", "t.csv", 3)),
        (b"a,a,label\n1,2,x\n", ("table-header-duplicate", "t.csv", 1)),
        (b"a,b,label\n1,2,\n3,4,x\n", ("table-label-missing", "t.csv", 2)),
        (b"a,label\n1,x\n\xff\xfe,y\n", ("csv-not-utf8", "t.csv", 3)),
        (b"PK\x03\x04rest of an xlsx", ("csv-not-text", "t.csv", None)),
        (b"label\nx\ny\n", ("table-no-features", "t.csv", None)),
        (b"a,label\n1,x\n2,x\n3,x\n4,x\n5,x\n6,x\n", ("source-one-class", None, None)),
        (b"a,b\n1,x\n2,y\n", ("label-column-unknown", "t.csv", None)),
    ],
)
def test_a_bad_table_is_refused_with_its_line(
    tmp_path: Path, text: bytes, expected: tuple[str, str | None, int | None]
) -> None:
    (tmp_path / "t.csv").write_bytes(text)
    assert fault(tmp_path / "t.csv") == expected


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        "\ufeff" + GOOD,
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("a,b,label", '"a","b, quoted",label'),
        GOOD.replace("0,0,x", ' 0 ,"0",x'),
        GOOD + "\n\n",
    ],
)
def test_odd_but_good_tables_are_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.csv").write_bytes(text.encode())
    assert convert(tmp_path / "t.csv", None).counts == {"train": 8, "test": 2}


def test_a_second_label_column_must_hold_zeros_and_ones(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x,a,b\n1,0,1\n2,1,maybe\n")
    assert fault(tmp_path / "t.csv", label=("a", "b")) == ("table-label-not-binary", "t.csv", 3)


@pytest.mark.parametrize(
    ("labels", "code", "line"),
    [
        ("Name,Class\np0.png,a\n", "labels-columns-missing", 1),
        ("FileName,Labels\np0.png,a\nnowhere.png,b\n", "source-file-missing", 3),
        ("FileName,Labels\np0.png,a\np0.png,b\n", "labels-file-twice", 3),
        ("FileName,Labels\n../p0.png,a\n", "source-path-unsafe", 2),
        ("FileName,Labels\np0.png\n", "labels-row-short", 2),
    ],
)
def test_a_bad_labels_file_is_refused_with_its_line(
    image_folder: Path, labels: str, code: str, line: int
) -> None:
    (image_folder / "labels.csv").write_text(labels)
    assert fault(image_folder) == (code, "pictures/labels.csv", line)


def test_formats_that_other_readers_refuse_become_png(image_folder: Path) -> None:
    with Image.open(image_folder / "p0.png") as image:
        for name, kind in (("p0.png", "GIF"), ("p1.png", "BMP"), ("p2.png", "WEBP")):
            out = io.BytesIO()
            image.save(out, kind)
            (image_folder / name).write_bytes(out.getvalue())
    assert convert(image_folder, None).counts["train"] == 16


def test_labels_are_in_natural_order() -> None:
    assert sort_labels({"10", "2", "b", "A", "1"}) == ["1", "2", "10", "A", "b"]


def test_a_source_of_no_known_kind_names_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    assert fault(tmp_path / "notes.txt")[0] == "source-unknown"


def test_what_is_encoded_anew_is_turned_upright(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6  # orientation: a quarter turn
    for number in range(8):
        path = tmp_path / "s" / "xy"[number % 2] / f"{number}.webp"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (12, 8)).save(path, exif=turned)
    convert(tmp_path / "s", tmp_path / "out")
    example, _ = open_subset(find_bundle(tmp_path / "out").train)[0]
    assert example.shape == (1, 12, 8, 3)
