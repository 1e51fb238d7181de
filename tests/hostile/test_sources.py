"""Broken and odd sources: the formatter names the fault and the file, or reads what is sound."""

import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autodl.errors import AutoDLError
from formatter.convert import convert
from formatter.source import Options

ROWS = "a,b,label\n" + "".join(f"{n},{n / 2},{'xy'[n % 2]}\n" for n in range(12))


def image(kind: str = "PNG", mode: str = "RGB", size: tuple[int, int] = (6, 4)) -> bytes:
    out = io.BytesIO()
    Image.new(mode, size).save(out, kind)
    return out.getvalue()


def png_of(width: int, height: int) -> bytes:
    """A PNG file that claims a size and holds no pixel."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", b""), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def fault(source: Path, options: Options | None = None) -> tuple[str, str | None, int | None]:
    with pytest.raises(AutoDLError) as caught:
        convert(source, None, options)
    return caught.value.code, caught.value.file, caught.value.line


BAD_FILES: dict[str, tuple[str, bytes | str, str, int | None]] = {
    "header-only": (".csv", "a,b,label\n", "source-empty", None),
    "header-cut": (".csv", "text,label", "source-empty", None),
    "blank-lines": (".csv", "text,label\n\n\r\n", "source-empty", None),
    "only-bom": (".csv", b"\xef\xbb\xbf", "csv-empty", None),
    "utf-16": (".csv", ROWS.encode("utf-16"), "csv-not-utf8", 1),
    "latin-1": (".csv", "a,label\n1,caf\xe9\n2,y\n".encode("latin-1"), "csv-not-utf8", 2),
    "carriage-returns": (".csv", ROWS.replace("\n", "\r"), "csv-malformed", 1),
    "open-quote": (".csv", 'a,b,label\n1,"2,x\n3,4,y\n', "csv-malformed", 3),
    "old-excel": (".csv", b"\xd0\xcf\x11\xe0\xa1\xb1", "csv-not-text", None),
    "short-tsv": (".tsv", "a\tb\tlabel\n1\t2\tx\n1\t2\n", "table-row-ragged", 3),
    "long-row": (".csv", "a,label\n1,x\n1,2,y\n", "table-row-ragged", 3),
    "excel": (".csv", b"PK\x03\x04\x14\x00\x06\x00", "csv-not-text", None),
    "columns-twice": (".csv", "a,b,a,label\n1,2,3,x\n4,5,6,y\n", "table-header-duplicate", 1),
    "column-for-all": (".csv", "a,*,label\n1,2,x\n4,5,y\n", "table-header-pattern", 1),
    "column-for-some": (".jsonl", '{"^a.*$": 1, "label": "x"}\n', "table-header-pattern", None),
    "columns-unnamed": (".csv", "a,,,label\n1,2,3,x\n4,5,6,y\n", "table-header-duplicate", 1),
    "zip-not-a-zip": (".zip", "<html>log in</html>", "not-a-zip", None),
    "json-broken": (".jsonl", '{"a":1,"label":"x"}\n{bad\n', "table-unreadable", 2),
    "json-no-object": (".jsonl", '{"a":1,"label":"x"}\n\n[1,2]\n', "table-unreadable", 3),
    "json-lists": (".jsonl", '{"a":[1,2],"label":"x"}\n' * 3, "table-unreadable", None),
    "json-empty": (".jsonl", "", "table-unreadable", None),
    "parquet": (".parquet", "PAR1 nothing", "table-unreadable", None),
    "arrow": (".arrow", "ARROW1 nothing", "table-unreadable", None),
    "npz": (".npz", "PK nothing", "arrays-unreadable", None),
    "ts-empty": (".ts", "", "source-empty", None),
    "ts-no-class": (".ts", "@data\n1,2,3\n", "ts-malformed", 2),
    "ts-ragged": (".ts", "@data\n1,2:3:a\n1,2:3,4:b\n", "ts-malformed", 2),
    "libsvm-empty": (".libsvm", "", "source-empty", None),
    "libsvm-index": (".libsvm", f"1 1:2\n2 {10**20}:3\n", "libsvm-malformed", 2),
    "arff-no-rows": (
        ".arff",
        "@relation r\n@attribute a numeric\n@attribute label {x,y}\n@data\n",
        "source-empty",
        None,
    ),
    "arff-no-type": (".arff", "@relation r\n@attribute a\n@data\n1\n", "arff-malformed", 2),
    "series-number": (
        ".csv",
        "c0_t0,c999999999_t0,label\n" + "1,2,x\n3,4,y\n" * 6,
        "series-columns",
        1,
    ),
    "series-empty": (".csv", "c0_t0,c0_t1,label\n" + "1,2,x\n,,y\n" * 6, "series-values", 3),
    "series-twice": (".csv", "id,time,v,label\n1,0,3,x\n1,0,4,x\n2,0,1,y\n", "series-order", 3),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_broken_file_is_refused(tmp_path: Path, case: str) -> None:
    suffix, content, code, line = BAD_FILES[case]
    path = tmp_path / f"t{suffix}"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert fault(path) == (code, path.name, line)


BAD_IMAGES = {
    "bomb": (png_of(50_000, 50_000), "image-too-large"),
    "large": (png_of(12_000, 12_000), "image-too-large"),
    "pixels-missing": (png_of(12, 12), "image-unreadable"),
    "no-bytes": (b"", "source-file-empty"),
    "a-page": (b"<html>not found</html>", "image-unreadable"),
    "half-a-jpeg": (image("JPEG", size=(64, 64))[:400], "image-unreadable"),
    "half-a-gif": (image("GIF")[:20], "image-unreadable"),
    "half-a-tiff": (image("TIFF")[:30], "image-unreadable"),
    "half-a-webp": (image("WEBP")[:30], "image-unreadable"),
}


def class_folders(root: Path) -> Path:
    for number in range(8):
        path = root / "xy"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image())
    return root


@pytest.mark.parametrize("case", BAD_IMAGES)
def test_a_broken_image_is_named(tmp_path: Path, case: str) -> None:
    content, code = BAD_IMAGES[case]
    (class_folders(tmp_path / "s") / "x/9.png").write_bytes(content)
    assert fault(tmp_path / "s") == (code, "x/9.png", None)


BAD_LISTS = {
    "empty": (b"", "csv-empty", "labels.csv", None),
    "header-only": (b"FileName,Labels\n", "source-empty", "s/labels.csv", 1),
    "outside": (b"FileName,Labels\n/etc/x.png,a\n", "source-path-unsafe", "s/labels.csv", 2),
    "no-such-kind": (b"FileName,Labels\n/etc/passwd,a\n", "source-unknown", "s/labels.csv", None),
    "nul": (b"FileName,Labels\n\0.png,a\n", "source-file-missing", "s/labels.csv", 2),
    "long-name": (
        b"FileName,Labels\n" + b"a" * 5000 + b".png,a\n",
        "source-file-missing",
        "s/labels.csv",
        2,
    ),
    "excel": (b"PK\x03\x04rest", "csv-not-text", "labels.csv", None),
}


@pytest.mark.parametrize("case", BAD_LISTS)
def test_a_broken_list_of_files_is_named(tmp_path: Path, case: str) -> None:
    content, code, file, line = BAD_LISTS[case]
    (tmp_path / "s").mkdir()
    (tmp_path / "s/0.png").write_bytes(image())
    (tmp_path / "s/labels.csv").write_bytes(content)
    assert fault(tmp_path / "s") == (code, file, line)


def test_an_annotation_of_no_image_is_refused(tmp_path: Path) -> None:
    coco = {
        "images": [{"id": 1, "file_name": "x.png"}],
        "annotations": [{"image_id": 9, "category_id": 1}],
        "categories": [{"id": 1, "name": "a"}],
    }
    (tmp_path / "a.json").write_text(json.dumps(coco))
    assert fault(tmp_path)[0] == "coco-malformed"


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (np.zeros((10, 3)), np.array([0, 1] * 4 + [np.nan] * 2)),
        (np.zeros((10, 3)), np.zeros(9)),
        (np.zeros((0, 3)), np.zeros(0)),
        (np.zeros((4, 2), complex), np.arange(4)),
        (np.zeros(10), np.arange(10)),
        (np.zeros((10, 0, 4), np.uint8), np.arange(10)),
    ],
)
def test_arrays_that_make_no_examples_are_refused(
    tmp_path: Path, x: np.ndarray, y: np.ndarray
) -> None:
    np.savez(tmp_path / "t.npz", X=x, y=y)
    assert fault(tmp_path / "t.npz")[:2] == ("arrays-unfit", "t.npz")


def test_a_table_cannot_be_made_a_folder_of_images(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(ROWS)
    assert fault(tmp_path / "t.csv", Options(kind="image"))[0] == "kind-unfit"


ODD_TABLES = {
    "semicolons": ROWS.replace(",", ";"),
    "tabs": ROWS.replace(",", "\t"),
    "line-breaks": "a,b,label\n" + '1,"two\nlines",x\n3,four,y\n' * 5,
    "long-cell": "a,label\n" + '"' + "z" * 300_000 + '",x\n' + "1,y\n" * 9,
    "case": "a,A,label\n" + "1,2,x\n3,4,y\n" * 5,
    "spaces": "a,label\n" + "1, x \n2,y\n" * 5,
    "huge-numbers": "a,label\n" + f"{10**30},x\n{2**63},y\n" * 5,
    "truth": "a,label\n" + "true,x\nFalse,y\nTRUE,x\n" * 4,
    "nothing-known": "a,label\n" + ",x\n,y\n" * 5,
    "dates": "a,label\n" + "2020-01-01,x\n2021-02-02,y\n" * 5,
}


@pytest.mark.parametrize("case", ODD_TABLES)
def test_an_odd_table_is_read(tmp_path: Path, case: str) -> None:
    (tmp_path / "t.csv").write_text(ODD_TABLES[case])
    summary = convert(tmp_path / "t.csv", None)
    assert summary.kind == "tabular"
    assert list(summary.labels) == ["x", "y"]


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("PNG", m) for m in ("1", "L", "LA", "P", "I;16", "RGBA")] + [("JPEG", "CMYK")],
)
def test_an_odd_image_is_read(tmp_path: Path, kind: str, mode: str) -> None:
    (class_folders(tmp_path / "s") / "x/9.png").write_bytes(image(kind, mode))
    assert sum(convert(tmp_path / "s", None).counts.values()) == 9


def test_an_option_that_would_have_no_effect_is_refused(tmp_path: Path) -> None:
    source = class_folders(tmp_path / "s")
    (tmp_path / "empty").mkdir()
    np.savez(tmp_path / "t.npz", X=np.zeros((10, 3)), y=np.array([0, 1] * 5))
    (tmp_path / "t.csv").write_text(ROWS)
    for path, options, code in [
        (source, Options(unlabelled=tmp_path / "nowhere"), "source-missing"),
        (source, Options(unlabelled=tmp_path / "empty"), "unlabelled-unfit"),
        (tmp_path / "t.csv", Options(unlabelled=tmp_path / "empty"), "unlabelled-unfit"),
        (tmp_path / "t.npz", Options(unlabelled=tmp_path / "t.csv"), "unlabelled-unfit"),
        (tmp_path / "t.npz", Options(group="patient"), "group-unsupported"),
        (source, Options(group="patient"), "group-unsupported"),
    ]:
        assert fault(path, options)[0] == code
