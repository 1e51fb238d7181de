"""A frozen solution is told from one that is not, file by file, weight by weight, kind by kind."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from autodl import verify
from autodl.check import check
from autodl.errors import UsageError
from autodl.golden import KINDS, write_golden

CONSTANT = Path(__file__).parents[2] / "guests" / "linear"


@pytest.fixture
def solution(tmp_path: Path) -> Path:
    """A frozen copy of a guest."""
    folder = tmp_path / "frozen"
    folder.mkdir()
    text = (CONSTANT / "model.py").read_text()
    (folder / "model.py").write_text(text)
    digest = hashlib.sha256(text.encode()).hexdigest()
    (folder / "MANIFEST").write_text(f"{digest}  model.py\n")
    return folder


def found(checks) -> list[tuple[str, str, str]]:
    return [(c.part, c.name, c.state) for c in checks]


@pytest.mark.parametrize("kind", KINDS)
def test_a_golden_dataset_is_sound_and_always_the_same(kind: str, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_golden(kind, tmp_path / name)
    report = check(tmp_path / "one")
    assert report.ok
    files = [p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*") if p.is_file()]
    assert len(files) == 5
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_code_that_is_as_frozen_is_good(solution: Path) -> None:
    assert found(verify.verify(solution, golden=False)) == [("code", "1 files", "good")]


def test_each_file_that_differs_is_named(solution: Path) -> None:
    (solution / "model.py").write_text("")
    (solution / "more.py").write_text("")
    with (solution / "MANIFEST").open("a") as file:
        file.write(f"{'0' * 64}  gone.py\n")
    assert found(verify.check_code(solution)) == [
        ("code", "gone.py", "bad"),
        ("code", "model.py", "bad"),
        ("code", "more.py", "bad"),
    ]


def test_a_solution_without_manifest_cannot_be_verified(solution: Path) -> None:
    (solution / "MANIFEST").unlink()
    with pytest.raises(UsageError) as caught:
        list(verify.verify(solution))
    assert caught.value.code == "solution-not-frozen"


def test_weights_are_good_absent_or_bad(solution: Path) -> None:
    import numpy

    file = "numpy/version.py"
    data = (Path(numpy.__file__).parent / "version.py").read_bytes()
    entry = {
        "name": "good",
        "distribution": "numpy",
        "version": np.__version__,
        "file": file,
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    changes = {
        "good": {},
        "other": {"version": "0.1"},
        "none": {"distribution": "no-such-package"},
        "gone": {"file": "numpy/none"},
        "changed": {"sha256": "0" * 64},
    }
    entries = [entry | change | {"name": name} for name, change in changes.items()]
    (solution / "weights_manifest.json").write_text(json.dumps(entries))
    assert [(c.name, c.state) for c in verify.check_weights(solution)] == [
        ("good", "good"),
        ("other", "absent"),
        ("none", "absent"),
        ("gone", "bad"),
        ("changed", "bad"),
    ]


def test_what_a_solution_reaches_is_compared_with_what_it_reached(solution, monkeypatch) -> None:
    monkeypatch.setattr(verify, "KINDS", {kind: KINDS[kind] for kind in ("image", "sparse")})
    expected = {"image": {"nauc": 0.3, "tolerance": 1.0}, "sparse": {"nauc": 1.5}}
    (solution / "golden.json").write_text(json.dumps(expected))
    image, sparse = verify.check_golden(solution)
    assert (image.state, sparse.state) == ("good", "bad")
    assert "at least -0.7000" in image.message
    (solution / "golden.json").unlink()
    assert [c.state for c in verify.check_golden(solution)] == ["absent", "absent"]
    verify.record_golden(solution)
    assert [c.state for c in verify.check_golden(solution)] == ["good", "good"]


def test_a_solution_that_fails_is_bad_and_says_why(solution, monkeypatch) -> None:
    monkeypatch.setattr(verify, "KINDS", {"tabular": KINDS["tabular"]})
    (solution / "model.py").write_text("1 / 0\n")
    (check_,) = verify.check_golden(solution)
    assert check_.state == "bad"
    assert "ZeroDivisionError" in check_.message
