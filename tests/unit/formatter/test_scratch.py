"""Files aside: what was put there comes back, in any order."""

from pathlib import Path

import numpy as np
import pytest

from formatter import scratch
from formatter.scratch import RowFile, Spool


@pytest.mark.parametrize("stretch_bytes", [1, 1 << 20])
def test_rows_come_back_in_the_order_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stretch_bytes: int
) -> None:
    monkeypatch.setattr(scratch, "BLOCK_ROWS", 7)
    monkeypatch.setattr(scratch, "STRETCH_BYTES", stretch_bytes)
    values = np.arange(300, dtype=np.float32).reshape(100, 3)
    file = RowFile(tmp_path, 3)
    for start in range(0, 100, 30):
        file.append(values[start : start + 30])
    random = np.random.default_rng(0)
    for rows in (np.arange(100), random.permutation(100), random.permutation(100)[:41]):
        read = np.concatenate(list(file.read(rows.astype(np.int32))))
        assert np.array_equal(read, values[rows])


def test_pieces_come_back_by_number(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    pieces = [b"one", b"", b"three" * 1000]
    places = [spool.append(piece) for piece in pieces]
    spool.flush()
    assert [spool.read(number) for number in (2, 1, 0)] == pieces[::-1]
    whole = Path(spool.path).read_bytes()
    assert [whole[start : start + size] for start, size in places] == pieces
