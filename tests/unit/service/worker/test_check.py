"""Raw data become a bundle and are checked; what is refused is in the report."""

import base64
import io
import json
import re
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from autodl.errors import PlatformError
from service.executors.base import Source
from service.web.samples import SAMPLES, make_sample
from service.worker import format as formatting
from service.worker.check import check_folder, find_raw

TABLE = "size,colour,kind\n" + "".join(f"{n % 7},{'rg'[n % 2]},{'ab'[n % 2]}\n" for n in range(60))


@pytest.fixture
def place(tmp_path: Path) -> tuple[Path, Path]:
    """Where ``stage`` leaves what was uploaded, and the output."""
    for name in ("bundle", "output"):
        (tmp_path / name).mkdir()
    return tmp_path / "bundle", tmp_path / "output"


def check(place: tuple[Path, Path], name: str, content: bytes, **options: object) -> dict:
    folder, output = place
    (folder / name).write_bytes(content)
    check_folder(folder, output, Source(name=name, **options))
    return json.loads((output / "report.json").read_text(encoding="utf-8"))


def test_a_table_becomes_a_bundle(place) -> None:
    report = check(place, "My fruits.csv", TABLE.encode(), label=("kind",), test=0.5)
    assert report["ok"], report["findings"]
    assert report["summary"]["formatted"] == {
        "kind": "tabular",
        "split": "made",
        "counts": {"train": 30, "test": 30},
    }
    with zipfile.ZipFile(place[1] / "bundle.zip") as archive:
        assert "My-fruits.data/train/metadata.textproto" in archive.namelist()
    assert not (place[1] / "progress.txt").exists()


def test_findings_name_the_rows_and_files_that_were_brought(place, tmp_path) -> None:
    rows = [f"the words of number {n},{'ab'[n % 2]}" for n in range(60)]
    rows[40] = "the words of number 11,b"
    content = "\n".join(["text,kind", *rows]).encode()
    report = check(place, "texts.csv", content, label=("kind",), test=0.2)
    repeated = {"duplicate-examples", "test-in-train"}  # as the two were split
    (found,) = (f for f in report["findings"] if f["code"] in repeated)
    assert found["item"] in ("11", "40")
    assert set(re.findall(r"item (\d+)", found["message"])) == {"11", "40"}


def test_the_same_file_gives_the_same_bundle(place, tmp_path) -> None:
    check(place, "a.csv", TABLE.encode(), label=("kind",))
    again = tmp_path / "again"
    again.mkdir()
    check_folder(place[0], again, Source(name="a.csv", label=("kind",)))
    assert (again / "bundle.zip").read_bytes() == (place[1] / "bundle.zip").read_bytes()


@pytest.mark.parametrize(
    ("name", "content", "options", "code"),
    [
        ("a.csv", TABLE, {}, "label-column-unknown"),
        ("a.csv", "a,label\n1,x\n2,x\n", {}, "split-too-small"),
        ("a.doc", "no data", {}, "source-unknown"),
        ("a.csv", "a,b,label\n1,2,x\n1\n", {}, "table-row-ragged"),
    ],
)
def test_what_the_formatter_refuses_is_a_finding(place, name, content, options, code) -> None:
    report = check(place, name, content.encode(), **options)
    (finding,) = report["findings"]
    assert not report["ok"]
    assert finding["severity"] == "error"
    assert finding["code"] == code
    assert str(place[0].parent) not in json.dumps(
        report
    )  # where our folders lie is no one's matter
    assert not (place[1] / "bundle.zip").exists()


def test_a_bundle_too_large_to_be_made_is_the_datas_fault(place, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(27, "File too large")

    monkeypatch.setattr(formatting, "convert", fail)
    assert check(place, "a.csv", b"")["findings"][0]["code"] == "format-too-large"


def test_a_formatter_whose_process_was_killed_is_out_of_memory(place, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise PlatformError("format-worker-died", "It ended.")

    monkeypatch.setattr(formatting, "convert", fail)
    with pytest.raises(MemoryError):
        check(place, "a.csv", b"")


def test_a_bundle_is_checked_as_it_is(tiny_bundle, tmp_path) -> None:
    assert find_raw(tiny_bundle) is None
    check_folder(tiny_bundle, tmp_path, Source())
    assert not (tmp_path / "bundle.zip").exists()
    assert json.loads((tmp_path / "examples.json").read_text())


@pytest.mark.parametrize(
    ("name", "kind", "shown"),
    [
        ("shapes", "image", "picture"),
        ("tones", "audio", "wave"),
        ("sentences", "text", "text"),
        ("fruits", "tabular", "values"),
        ("waves", "series", "wave"),
    ],
)
def test_every_sample_is_good_and_has_something_to_predict(place, name, kind, shown) -> None:
    report = check(place, f"{name}.zip", make_sample(name))
    assert {f["severity"] for f in report["findings"]} <= {"note"}, report["findings"]
    assert report["summary"]["formatted"]["kind"] == kind
    assert report["summary"]["formatted"]["counts"]["unlabelled"] >= 10
    examples = json.loads((place[1] / "examples.json").read_text())
    assert {example["kind"] for example in examples} == {shown}
    if shown == "picture":
        packed = base64.b64decode(examples[0]["content"])
        assert Image.open(io.BytesIO(packed)).format == "JPEG"


def test_a_sample_is_the_same_each_time() -> None:
    once = {name: make_sample(name) for name in SAMPLES}
    make_sample.cache_clear()
    assert once == {name: make_sample(name) for name in SAMPLES}
