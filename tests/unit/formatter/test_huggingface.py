"""Folders of Hugging Face's datasets, as saved and as on the Hub."""

import io
import json
from pathlib import Path

import polars as pl
import pytest
import soundfile
from PIL import Image

from autodl.bundle import find_bundle, read_items
from autodl.check import check
from autodl.dataset import open_subset
from autodl.errors import AutoDLError
from formatter.convert import convert

LABEL = {"names": ["neg", "pos"], "_type": "ClassLabel"}
VALUE = {"dtype": "string", "_type": "Value"}


def save(folder: Path, frame: pl.DataFrame, features: dict[str, object]) -> None:
    folder.mkdir(parents=True)
    frame.write_ipc_stream(folder / "data-00000-of-00001.arrow")
    (folder / "dataset_info.json").write_text(json.dumps({"features": features}))


def texts(count: int, start: int = 0) -> pl.DataFrame:
    rows = range(start, start + count)
    return pl.DataFrame(
        {"text": [f"a film of note {n}" for n in rows], "label": [n % 2 for n in rows]}
    )


def png(level: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (6, 4), (level, 0, 255)).save(out, "PNG")
    return out.getvalue()


def wav() -> bytes:
    out = io.BytesIO()
    soundfile.write(out, [0.1, -0.1] * 400, 8000, format="WAV")
    return out.getvalue()


def test_saved_splits_are_kept_and_class_numbers_named(tmp_path: Path) -> None:
    features = {"text": VALUE, "label": LABEL}
    for split, frame in {
        "train": texts(20),
        "validation": texts(4, 20),
        "test": texts(6, 30),
        "unsupervised": texts(3, 40).with_columns(label=pl.lit(-1)),
    }.items():
        save(tmp_path / "d" / split, frame, features)
    summary = convert(tmp_path / "d", tmp_path / "out")
    assert (summary.kind, summary.split) == ("text", "kept")
    assert summary.counts == {"train": 24, "test": 6, "unlabelled": 3}
    assert summary.labels == {"neg": 15, "pos": 15}
    assert check(tmp_path / "out").ok


@pytest.mark.parametrize(
    ("column", "kind", "data"), [("image", "image", png(7)), ("audio", "audio", wav())]
)
def test_media_in_parquet_cells_are_read(
    tmp_path: Path, column: str, kind: str, data: bytes
) -> None:
    features = {column: {"_type": column.capitalize()}, "label": LABEL}
    frame = pl.DataFrame(
        {
            column: [{"bytes": data, "path": f"{n}.bin"} for n in range(20)],
            "label": [n % 2 for n in range(20)],
        }
    )
    (tmp_path / "d/data").mkdir(parents=True)
    info = json.dumps({"info": {"features": features}})
    path = tmp_path / "d/data/train-00000-of-00001.parquet"
    frame.write_parquet(path, metadata={"huggingface": info})
    summary = convert(tmp_path / "d", tmp_path / "out")
    assert (summary.kind, summary.labels) == (kind, {"neg": 10, "pos": 10})
    bundle = find_bundle(tmp_path / "out")
    assert (read_items(bundle.test) or [""])[0].startswith("row/")
    assert check(tmp_path / "out").ok
    example, _ = open_subset(bundle.train)[0]
    assert example.shape == ((1, 4, 6, 3) if kind == "image" else (1600, 1, 1, 1))


def test_a_damaged_cell_is_named(tmp_path: Path) -> None:
    cells = [{"bytes": png(n) if n != 3 else b"no picture", "path": None} for n in range(8)]
    frame = pl.DataFrame({"image": cells, "label": [n % 2 for n in range(8)]})
    save(tmp_path / "d", frame, {"image": {"_type": "Image"}, "label": LABEL})
    with pytest.raises(AutoDLError) as caught:
        convert(tmp_path / "d", None)
    assert (caught.value.code, caught.value.file) == ("image-unreadable", "row/3")


def test_a_file_that_is_no_arrow_is_named(tmp_path: Path) -> None:
    save(tmp_path / "d", texts(4), {"label": LABEL})
    (tmp_path / "d/data-00000-of-00001.arrow").write_bytes(b"nothing of the kind")
    with pytest.raises(AutoDLError) as caught:
        convert(tmp_path / "d", None)
    assert caught.value.code == "table-unreadable"
    assert caught.value.file == "d/data-00000-of-00001.arrow"
