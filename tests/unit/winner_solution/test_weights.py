"""Only known bytes are admitted as weights, and what is missing is said, not raised."""

import dataclasses
import importlib.metadata
import sys
from pathlib import Path

import pytest

from winner_solution import weights


def entry(path: Path, name: str = "mobilenet-v2") -> weights.WeightFile:
    """A manifest entry for a small file that really lies at `path`."""
    import hashlib

    data = path.read_bytes()
    return dataclasses.replace(
        weights.manifest()[name],
        file=f"package/{path.name}",
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
    )


@pytest.fixture
def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one weight file of a package, and a manifest that names just that."""
    path = tmp_path / "net.pth"
    path.write_bytes(b"weights")
    known = {"mobilenet-v2": entry(path)}
    monkeypatch.setattr(weights, "manifest", lambda: known)
    monkeypatch.setattr(weights, "_packaged", lambda _weights: path)
    return path


def test_every_packaged_file_is_installed_and_verified_for_development() -> None:
    assert {s.weights.name: s.reason for s in weights.status()} == dict.fromkeys(
        weights.manifest(), ""
    )


def test_no_code_of_a_weight_package_is_imported() -> None:
    weights.status()
    tops = {Path(w.file).parts[0] for w in weights.manifest().values()}
    assert tops & set(sys.modules) == set()


def test_a_known_file_is_given(packaged: Path) -> None:
    assert weights.get("mobilenet-v2") == packaged


def test_a_changed_byte_is_refused_with_the_reason(packaged: Path) -> None:
    packaged.write_bytes(b"weightz")
    with pytest.raises(weights.WeightsError, match="differs from the manifest"):
        weights.get("mobilenet-v2")


def test_another_length_is_refused(packaged: Path) -> None:
    packaged.write_bytes(b"weights and more")
    (status,) = weights.status()
    assert not status.present
    assert "size" in status.reason


def test_a_file_that_is_listed_but_gone_is_refused(packaged: Path) -> None:
    packaged.unlink()
    with pytest.raises(weights.WeightsError, match="cannot be read"):
        weights.get("mobilenet-v2")


def test_a_missing_package_is_reported_and_nothing_is_raised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def absent(name: str) -> importlib.metadata.Distribution:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(weights, "distribution", absent)
    reasons = [s.reason for s in weights.status()]
    assert all(reason.endswith("is not installed") for reason in reasons)


def test_another_version_of_a_package_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {
        name: dataclasses.replace(w, version="0.0.1") for name, w in weights.manifest().items()
    }
    monkeypatch.setattr(weights, "manifest", lambda: known)
    with pytest.raises(weights.WeightsError, match=r"==0\.0\.1 is needed"):
        weights.get("mobilenet-v2")


def test_with_an_empty_manifest_there_are_no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "manifest", dict)
    with pytest.raises(weights.WeightsError, match="names no"):
        weights.get("mobilenet-v2")
    assert weights.status() == []
