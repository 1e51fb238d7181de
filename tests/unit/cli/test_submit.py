"""One verb from raw data to the end of the run; what is bad never leaves the machine."""

import io
import json
import shutil
import zipfile
from pathlib import Path

import httpx2
import numpy as np
import pytest
from PIL import Image

from autodl.bundle import find_bundle
from autodl.errors import UsageError


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Twenty pictures in a folder for each class."""
    random = np.random.default_rng(0)
    for label in ("cat", "dog"):
        folder = tmp_path / "pets" / label
        folder.mkdir(parents=True)
        for number in range(10):
            pixels = random.integers(0, 255, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "pets"


def sent_bundle(request: httpx2.Request, folder: Path) -> Path:
    """The bundle in the form that was sent."""
    start = request.content.index(b"PK\x03\x04")
    end = request.content.rindex(b"\r\n--")
    with zipfile.ZipFile(io.BytesIO(request.content[start:end])) as archive:
        archive.extractall(folder)
    return folder


def post(played) -> httpx2.Request:
    (request,) = (r for r in played.requests if r.method == "POST")
    return request


def test_raw_data_are_formatted_checked_sent_and_followed(played, autodl, raw, tmp_path) -> None:
    done = autodl("submit", raw, "--budget", "60", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["state"] == "succeeded"
    assert "Formatted pets: image, 16 train, 4 test; 2 labels; the split was made." in done.stderr
    assert "ALC so far 0.6000" in done.stderr
    request = post(played)
    assert b'name="name"\r\n\r\npets' in request.content
    bundle = find_bundle(sent_bundle(request, tmp_path / "sent"))
    assert bundle.labels is not None
    assert len(bundle.labels.read_text().splitlines()) == 4


def test_equal_data_give_equal_bytes_so_that_they_need_be_sent_only_once(
    played, autodl, raw
) -> None:
    autodl("submit", raw, "--no-watch")
    autodl("submit", raw, "--no-watch")
    digests = {
        r.content.split(b'name="sha256"\r\n\r\n')[1][:64]
        for r in played.requests
        if r.method == "POST"
    }
    assert len(digests) == 1


def test_the_options_of_format_are_taken_too(played, autodl, tmp_path) -> None:
    rows = ["text,labels", *(f"some words {n},{'a;b' if n % 2 else 'b'}" for n in range(20))]
    (tmp_path / "notes.csv").write_text("\n".join(rows))
    done = autodl("submit", tmp_path / "notes.csv", "--separator", ";", "--seed", "3", "--dry-run")
    assert done.exit_code == 0, done.output
    assert "16 train, 4 test; 2 labels" in done.stderr


@pytest.mark.parametrize("as_zip", [True, False], ids=["zip", "folder"])
def test_a_bundle_is_sent_as_it_is(played, autodl, tiny_bundle, tmp_path, as_zip) -> None:
    source = tiny_bundle
    if as_zip:
        source = Path(shutil.make_archive(str(tmp_path / "zipped"), "zip", tiny_bundle))
    done = autodl("submit", source, "--no-watch", "--name", "My toy", "--budget", "60")
    assert (done.exit_code, done.stdout) == (0, "s1\n"), done.output
    request = post(played)
    assert b"My toy" in request.content
    assert b"60.0" in request.content
    assert request.headers["authorization"] == "Bearer adl_mine"
    sent = sent_bundle(request, tmp_path / "sent")
    assert find_bundle(sent).name == "toy"
    for path in tiny_bundle.rglob("*"):
        if path.is_file():
            assert (sent / path.relative_to(tiny_bundle)).read_bytes() == path.read_bytes()


def test_a_review_is_asked_for_and_not_waited_for(played, autodl, tiny_bundle) -> None:
    done = autodl("submit", tiny_bundle, "--review", "--no-check")
    assert done.exit_code == 0, done.output
    assert done.stdout == "s1\n"
    assert b'name="review"\r\n\r\nTrue' in post(played).content
    assert not any(r.url.path.endswith("/events") for r in played.requests)


def test_bad_data_are_told_here_and_not_sent(played, autodl, tiny_bundle) -> None:
    (tiny_bundle / "toy.solution").write_text("1 0 0\n")
    done = autodl("submit", tiny_bundle)
    assert done.exit_code == 3
    assert "error" in done.stderr
    assert played.requests == []
    assert autodl("submit", tiny_bundle, "--no-check", "--no-watch").exit_code == 0


def test_what_pretends_to_be_a_zip_is_told_here(played, autodl, tmp_path) -> None:
    (tmp_path / "bad.zip").write_bytes(b"this is no zip")
    done = autodl("submit", "bad.zip")
    assert done.exit_code == 3
    assert "[not-a-zip]" in done.stderr


def test_a_dry_run_formats_and_checks_and_needs_no_service(autodl, raw) -> None:
    done = autodl("submit", raw, "--dry-run", "--url", "http://nowhere.invalid")
    assert done.exit_code == 0, done.output
    assert "fit to be submitted" in done.stderr


def test_nothing_is_left_behind(played, autodl, raw, tmp_path) -> None:
    before = sorted(tmp_path.rglob("*"))
    autodl("submit", raw, "--no-watch")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_source_that_is_not_there_is_told(played, autodl) -> None:
    done = autodl("submit", "nothing")
    assert isinstance(done.exception, UsageError)
    assert done.exception.code == "path-missing"
