"""Readers fed with seeds that once found something, and with good files that were scrambled.

``tests/hostile/fuzz.py`` does the same for as long as one likes, guided by coverage.
"""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .fuzz_targets import TARGETS

pytestmark = pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")

SEEDS = Path(__file__).parent / "seeds"
KEPT = sorted(path for path in SEEDS.rglob("*") if path.is_file())
EXAMPLES = 40  # of each target: what a test run can bear


def test_every_kept_seed_has_a_target() -> None:
    assert {path.parent.name for path in KEPT} <= set(TARGETS)


@pytest.mark.parametrize("seed", KEPT, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_was_found_once_stays_mended(seed: Path, tmp_path: Path) -> None:
    TARGETS[seed.parent.name].feed(seed.read_bytes(), tmp_path)


@pytest.mark.parametrize("name", TARGETS)
def test_a_good_file_is_read(name: str, tmp_path: Path) -> None:
    TARGETS[name].run(TARGETS[name].seeds[0], tmp_path)


@st.composite
def scrambled(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    """A seed with a few places overwritten, cut out or doubled."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        stop = start + draw(st.sampled_from((0, 1, 2, 8, 100)))
        repeated = draw(st.booleans())
        data[start:stop] = data[start:stop] * 3 if repeated else draw(st.binary(max_size=9))
    return bytes(data)


@pytest.mark.parametrize("name", TARGETS)
def test_a_scrambled_file_is_read_or_refused(name: str) -> None:
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(scrambled(TARGETS[name].seeds))
    def feed(data: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            TARGETS[name].feed(data, Path(folder))

    feed()
