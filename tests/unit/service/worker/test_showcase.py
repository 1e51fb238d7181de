"""What the surest mistakes look like is made by a child that can do nothing else."""

import base64
import io
import json
import wave

import pytest
from PIL import Image

from autodl.golden import write_golden
from service.worker import showcase
from service.worker.showcase import EXAMPLES_NAME, read_examples, show_mistakes


@pytest.mark.parametrize("kind", ["image", "audio", "text", "tabular"])
def test_each_kind_of_data_is_shown_as_people_meet_it(kind, tmp_path) -> None:
    write_golden(kind, tmp_path / "bundle")
    first, second = show_mistakes(tmp_path / "bundle", tmp_path / "shown", [3, 1])
    assert (first.record, second.record) == (3, 1)
    if kind == "image":
        picture = Image.open(io.BytesIO(base64.b64decode(first.content)))
        assert picture.format == "JPEG"
    elif kind == "audio":
        assert all(-1 <= low <= high <= 1 for low, high in first.content)
        with wave.open(io.BytesIO(base64.b64decode(first.sound))) as sound:
            assert sound.getnframes() > 0
    else:
        assert first.kind == {"text": "text", "tabular": "values"}[kind]
        assert first.content
        assert first.sound == ""


def test_a_child_that_fails_costs_the_pictures_only(tmp_path) -> None:
    (tmp_path / "bundle").mkdir()
    assert show_mistakes(tmp_path / "bundle", tmp_path / "shown", [0]) == []


def test_only_what_has_the_form_is_believed(tmp_path) -> None:
    good = {"record": 1, "labels": [], "is_named": False, "kind": "text", "content": "x"}
    for bad in (
        "no json",
        json.dumps([good | {"kind": "script"}]),
        json.dumps([good | {"content": {"a": 1}}]),
        json.dumps({"items": [good]}),
    ):
        (tmp_path / EXAMPLES_NAME).write_text(bad)
        assert read_examples(tmp_path) == []
    (tmp_path / EXAMPLES_NAME).write_text(json.dumps([good]))
    assert [example.content for example in read_examples(tmp_path)] == ["x"]


def test_an_example_that_was_not_asked_for_is_left_out(tmp_path, monkeypatch) -> None:
    good = {"record": 7, "labels": [], "is_named": False, "kind": "text", "content": "x"}
    (tmp_path / "shown").mkdir()
    (tmp_path / "shown" / EXAMPLES_NAME).write_text(json.dumps([good]))
    monkeypatch.setattr(showcase, "run_confined", lambda *_, **__: None)
    assert show_mistakes(tmp_path, tmp_path / "shown", [6]) == []
