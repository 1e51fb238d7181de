"""NumPy arrays in files of their own: their labels found, or named."""

from pathlib import Path

import numpy as np
import pytest

from autodl.bundle import find_bundle
from autodl.check import check
from autodl.dataset import open_subset
from autodl.errors import AutoDLError
from formatter.convert import convert
from formatter.source import Options

X = np.arange(100, dtype=np.float64).reshape(20, 5)
Y = np.arange(20) % 2


def save(folder: Path, **arrays: np.ndarray) -> Path:
    folder.mkdir(exist_ok=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return folder


def test_a_folder_of_x_and_y_is_taken_whatever_the_case(tmp_path: Path) -> None:
    summary = convert(save(tmp_path / "a", X=X, y=Y, unlabelled=X[:3]), tmp_path / "out")
    assert summary.counts == {"train": 16, "test": 4, "unlabelled": 3}
    assert check(tmp_path / "out").ok
    example, _ = open_subset(find_bundle(tmp_path / "out").train)[0]
    assert example.reshape(5).tolist() in X.tolist()


def test_a_given_split_is_kept(tmp_path: Path) -> None:
    save(tmp_path / "a", x_train=X, y_train=Y, x_test=X[:6], y_test=Y[:6])
    summary = convert(tmp_path / "a", None)
    assert (summary.split, summary.counts) == ("kept", {"train": 20, "test": 6})


def test_a_file_has_its_labels_beside_it(tmp_path: Path) -> None:
    save(tmp_path / "a", features=X, y=Y, other=X[:2])
    assert convert(tmp_path / "a/features.npy", None).labels == {"0": 10, "1": 10}


def test_labels_may_be_lines_of_text(tmp_path: Path) -> None:
    save(tmp_path / "a", X=X)
    (tmp_path / "a/labels.txt").write_text("".join(f"{'no' if n % 2 else 'yes'}\n" for n in Y))
    for source in (tmp_path / "a", tmp_path / "a/X.npy"):
        assert convert(source, None).labels == {"no": 10, "yes": 10}


@pytest.mark.parametrize("label", ["digits", "digits.npy"])
def test_labels_of_another_name_are_named(tmp_path: Path, label: str) -> None:
    save(tmp_path / "a", X=X, digits=Y + 5)
    np.savez(tmp_path / "a.npz", X=X, digits=Y + 5)
    for source in ("a", "a/X.npy", "a.npz"):
        summary = convert(tmp_path / source, None, Options(label=(label,)))
        assert summary.labels == {"5": 10, "6": 10}


@pytest.mark.parametrize(
    ("arrays", "label", "code"),
    [
        ({"X": X}, (), "arrays-unfit"),
        ({"X": X, "y": Y[:3]}, (), "arrays-unfit"),
        ({"X": X, "y": Y}, ("z",), "arrays-unfit"),
        ({"X": X, "y": np.array([{}] * 20, object)}, (), "arrays-unreadable"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    tmp_path: Path, arrays: dict[str, np.ndarray], label: tuple[str, ...], code: str
) -> None:
    with pytest.raises(AutoDLError) as caught:
        convert(save(tmp_path / "a", **arrays), None, Options(label=label))
    assert (caught.value.code, caught.value.file) == (code, "a")
