"""Vouching for PNG files: never for one that a decoder would refuse, and with the same header."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from formatter.readers.images import GREY_MODES
from formatter.readers.png import vouch

MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")


def png(mode: str, size: tuple[int, int] = (9, 7)) -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 4), np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).convert("L" if mode == "I;16" else mode).convert(mode).save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize("mode", MODES)
def test_a_good_file_has_the_header_that_a_decoder_sees(mode: str) -> None:
    header = vouch(png(mode), 100)
    with Image.open(io.BytesIO(png(mode))) as image:
        assert header == (image.height, image.width, image.mode not in GREY_MODES)


def test_a_file_larger_than_allowed_is_left_to_the_decoder() -> None:
    assert vouch(png("RGB"), 62) is None


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(MODES), st.data())
def test_a_damaged_file_is_never_vouched_for(mode: str, data: st.DataObject) -> None:
    good = png(mode)
    at = data.draw(st.integers(0, len(good) - 1))
    bit = 1 << data.draw(st.integers(0, 7))
    cut = data.draw(st.booleans())
    bad = good[:at] if cut else good[:at] + bytes([good[at] ^ bit]) + good[at + 1 :]
    assert vouch(bad, 100) is None
