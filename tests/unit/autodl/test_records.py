import pickle
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autodl.errors import BundleError
from autodl.records import RecordFile, RecordWriter, masked_crc, read_records

per_test_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def write(path: Path, payloads: list[bytes]) -> Path:
    with RecordWriter(path) as writer:
        for payload in payloads:
            writer.write(payload)
    return path


def test_the_checksum_is_that_of_the_format() -> None:
    crc = 0xE3069283  # CRC-32C of "123456789" (RFC 3720)
    rotated = (crc >> 15 | crc << 17) & 0xFFFFFFFF
    assert masked_crc(b"123456789") == (rotated + 0xA282EAD8) & 0xFFFFFFFF


def test_a_file_has_the_bytes_of_the_format(tmp_path: Path) -> None:
    data = write(tmp_path / "a", [b""]).read_bytes()
    # An empty record as TensorFlow writes it: length 0, its checksum, the checksum of nothing.
    assert data == bytes(8) + bytes.fromhex("29039807") + bytes.fromhex("d8ea82a2")


@per_test_folder
@given(st.lists(st.binary(max_size=50), max_size=8))
def test_what_is_written_reads_back(tmp_path: Path, payloads: list[bytes]) -> None:
    path = write(tmp_path / "a", payloads)
    assert list(read_records(path)) == payloads
    assert len(RecordFile(path)) == len(payloads)


@per_test_folder
@given(st.binary(max_size=200), st.integers(0, 300), st.integers(0, 255))
def test_damage_is_told_or_harmless(tmp_path: Path, noise: bytes, at: int, value: int) -> None:
    payloads = [b"first", noise, b"last"]
    path = write(tmp_path / "a", payloads)
    data = bytearray(path.read_bytes())
    data[at % len(data)] = value
    path.write_bytes(data)
    try:
        read = list(read_records(path))
    except BundleError as error:
        fault = error
    else:
        assert read == payloads  # the byte had this value before
        return
    assert fault.code in ("record-crc-mismatch", "record-truncated", "record-file-compressed")
    assert fault.file == str(path)
    assert fault.record in range(3)


@per_test_folder
@given(st.integers(0, 62))
def test_a_cut_file_ends_between_records_or_is_refused(tmp_path: Path, size: int) -> None:
    path = write(tmp_path / "a", [b"first", b"second", b"3"])
    path.write_bytes(path.read_bytes()[:size])
    ends = {0, 21, 43, 60}
    if size in ends:
        assert len(RecordFile(path)) == sorted(ends).index(size)
        return
    if size < 60:
        with pytest.raises(BundleError, match="ends inside") as caught:
            RecordFile(path)
        assert caught.value.record == sum(size >= end for end in (21, 43, 60))


def test_a_damaged_record_does_not_hide_the_others(tmp_path: Path) -> None:
    path = write(tmp_path / "a", [b"first", b"second", b"third"])
    data = bytearray(path.read_bytes())
    data[21 + 12] ^= 1
    path.write_bytes(data)
    records = RecordFile(path)
    with pytest.raises(BundleError, match="checksum"):
        records.read(1)
    assert records.read(2) == b"third"
    assert records.read(1, verify=False) == b"recond"


def test_a_file_cut_after_opening_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a", [b"first", b"second"])
    records = RecordFile(path)
    path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(BundleError, match="ends inside"):
        records.read(1)


def test_records_can_be_read_by_many_threads_and_from_a_pickle(tmp_path: Path) -> None:
    payloads = [bytes([i]) * (1 + 37 * i) for i in range(200)]
    records = RecordFile(write(tmp_path / "a", payloads))
    copy = pickle.loads(pickle.dumps(records))
    wrong: list[int] = []

    def read_all(source: RecordFile) -> None:
        wrong.extend(i for i in range(200) if source.read(i) != payloads[i])

    threads = [threading.Thread(target=read_all, args=(s,)) for s in (records, copy) * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="No such file"):
        RecordFile(tmp_path / "none")
