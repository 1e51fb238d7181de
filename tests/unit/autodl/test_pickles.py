import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autodl.errors import BundleError
from autodl.pickles import dump_waves, read_waves

CODES = {"pickle-unsafe", "pickle-invalid", "speech-content", "file-missing"}
per_test_folder = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200
)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", ["<f4", ">f4", "f8", "f2", "i2", ">i2", "u1", "i8"])
def test_arrays_of_numbers_are_read_from_every_protocol(
    protocol: int, kind: str, tmp_path: Path
) -> None:
    waves = [(np.arange(length) % 100).astype(kind) for length in (0, 1, 5, 70_000)]
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(waves, protocol))
    read = read_waves(tmp_path / "a.pkl")
    assert [wave.dtype for wave in read] == [wave.dtype for wave in waves]
    assert all(np.array_equal(a, b) for a, b in zip(read, waves, strict=True))


def test_waves_written_one_by_one_are_a_list_for_every_reader(tmp_path: Path) -> None:
    waves = [np.arange(length, dtype=np.float32) for length in (0, 1, 5, 70_000)]
    with (tmp_path / "a.pkl").open("wb") as file:
        dump_waves(iter(waves), file)
    theirs = pickle.loads((tmp_path / "a.pkl").read_bytes())
    for read in (theirs, read_waves(tmp_path / "a.pkl")):
        assert all(np.array_equal(a, b) for a, b in zip(read, waves, strict=True))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_lists_of_numbers_are_read(protocol: int, tmp_path: Path) -> None:
    waves = [[0.5, 1], (2, 3.0), [], [np.float32(0.25), np.int16(3)]]
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(waves, protocol))
    read = read_waves(tmp_path / "a.pkl")
    assert [wave.tolist() for wave in read] == [[0.5, 1], [2, 3], [], [0.25, 3]]


def test_arrays_out_of_order_are_read(tmp_path: Path) -> None:
    waves = [np.arange(10)[::-2], np.arange(6).reshape(2, 3).T[1]]
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(waves))
    read = read_waves(tmp_path / "a.pkl")
    assert all(np.array_equal(a, b) for a, b in zip(read, waves, strict=True))


def outcome_of(path: Path) -> str:
    try:
        read_waves(path)
    except BundleError as error:
        return error.code
    return ""


@per_test_folder
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_in_words(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.pkl").write_bytes(b"\x80\x04" + data + b".")
    assert outcome_of(tmp_path / "a.pkl") in CODES | {""}


@per_test_folder
@given(st.data())
def test_changed_bytes_are_read_or_refused_in_words(tmp_path: Path, data: st.DataObject) -> None:
    protocol = data.draw(st.integers(0, 5))
    content = bytearray(pickle.dumps([np.arange(5.0), [1, 2.0], np.arange(3)], protocol))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "a.pkl").write_bytes(content)
    assert outcome_of(tmp_path / "a.pkl") in CODES | {""}
