import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from autodl.errors import BundleError
from autodl.images import MAX_PIXELS, decode_animation, decode_image, probe_image


def packed(
    pixels: np.ndarray, format: str = "PNG", mode: str | None = None, **options: Any
) -> bytes:
    out = io.BytesIO()
    image = Image.fromarray(pixels)
    (image if mode is None else image.convert(mode)).save(out, format, **options)
    return out.getvalue()


@pytest.fixture
def colour() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)


def test_colour_stays_as_it_is(colour: np.ndarray) -> None:
    assert np.array_equal(decode_image(packed(colour), 3), colour)
    assert np.array_equal(decode_image(packed(colour), 0), colour)


def test_grey_is_repeated_for_colour(colour: np.ndarray) -> None:
    grey = colour[:, :, 0]
    decoded = decode_image(packed(grey), 3)
    assert decoded.shape == (5, 7, 3)
    assert all(np.array_equal(decoded[:, :, channel], grey) for channel in range(3))


def test_colour_becomes_grey_by_the_weights_of_luma(colour: np.ndarray) -> None:
    grey = decode_image(packed(colour), 1)
    assert grey.shape == (5, 7, 1)
    luma = colour @ np.array([0.299, 0.587, 0.114])
    assert np.abs(grey[:, :, 0] - luma).max() <= 1


def test_alpha_is_dropped_or_made_opaque(colour: np.ndarray) -> None:
    alpha = np.dstack([colour, colour[:, :, 0]])
    assert np.array_equal(decode_image(packed(alpha), 3), colour)
    assert np.array_equal(decode_image(packed(alpha), 4), alpha)
    opaque = decode_image(packed(colour), 4)
    assert np.array_equal(opaque[:, :, :3], colour)
    assert (opaque[:, :, 3] == 255).all()


def test_of_sixteen_bits_the_high_eight_are_kept() -> None:
    deep = np.array([[0, 255, 256, 65535]], np.uint16)
    assert decode_image(packed(deep), 1).reshape(-1).tolist() == [0, 0, 1, 255]


def test_palettes_are_resolved(colour: np.ndarray) -> None:
    reduced = Image.fromarray(colour).quantize(8)
    out = io.BytesIO()
    reduced.save(out, "PNG")
    assert np.array_equal(decode_image(out.getvalue(), 3), np.asarray(reduced.convert("RGB")))


def test_one_bit_becomes_black_and_white(colour: np.ndarray) -> None:
    decoded = decode_image(packed(colour[:, :, 0] > 128), 1)
    assert set(np.unique(decoded)) == {0, 255}


def test_jpeg_luma_is_taken_as_it_is_stored() -> None:
    flat = np.full((16, 16), 77, np.uint8)
    assert (decode_image(packed(flat, "JPEG"), 1) == 77).all()


def test_an_animation_is_its_first_frame_or_all_of_them(colour: np.ndarray) -> None:
    frames = [Image.fromarray(np.roll(colour, i, 0)).quantize(64) for i in range(3)]
    out = io.BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    decoded = decode_animation(out.getvalue(), 3)
    assert [frame.shape for frame in decoded] == [(5, 7, 3)] * 3
    assert np.array_equal(decode_image(out.getvalue(), 3), decoded[0])
    assert not np.array_equal(decoded[0], decoded[1])
    assert len(decode_animation(packed(colour), 3)) == 1


@pytest.mark.parametrize("channels", [-1, 2, 5])
def test_other_channel_counts_are_refused(colour: np.ndarray, channels: int) -> None:
    with pytest.raises(BundleError, match="channels") as caught:
        decode_image(packed(colour), channels)
    assert caught.value.code == "image-channels-unsupported"


@pytest.mark.parametrize("format", ["PNG", "JPEG", "BMP", "GIF", "WEBP"])
def test_a_cut_file_is_unreadable_by_decoder_and_probe(format: str) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    cut = packed(pixels, format)
    cut = cut[: len(cut) // 2]
    for read in (decode_image, probe_image):
        with pytest.raises(BundleError) as caught:
            read(cut, 3)
        assert caught.value.code == "image-unreadable"


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_the_size_is_limited_before_anything_is_decoded() -> None:
    side = int(MAX_PIXELS**0.5) + 1
    header = bytearray(packed(np.zeros((1, 1), np.uint8), "BMP"))
    header[18:26] = side.to_bytes(4, "little") * 2
    with pytest.raises(BundleError) as caught:
        decode_image(bytes(header), 1)
    assert caught.value.code == "image-too-large"


def test_a_probe_tells_the_true_size_and_look() -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None], 128, 0)
    for format in ("PNG", "JPEG"):
        probe = probe_image(packed(ramp, format), 3)
        assert (probe.frames, probe.height, probe.width) == (1, 128, 256)
        assert probe.thumbnail.shape == (16, 16)
        assert (np.diff(probe.thumbnail.astype(int), axis=1) > 0).all()
