"""Examples are read once, kept small, and computed features survive a missed deadline."""

import io
import time

import numpy as np
import pytest
from PIL import Image

from winner_solution import config
from winner_solution.budget import Deadline, OutOfTimeError
from winner_solution.data import Subset, _Matrix, open_task, spread
from winner_solution.domain import Shape
from winner_solution.features.generic import Generic
from winner_solution.features.patches import Patches
from winner_solution.pictures import Frame, decode_picture, frame_of_arrays, shrink_array

from .fakes import FakeDataset, FakeMetadata, generate, png


def subset_of(domain: str, n: int = 200) -> Subset:
    dataset = generate(domain, n, 2)
    return open_task(dataset, Shape.of(dataset.metadata)).train


def test_an_example_is_decoded_once(monkeypatch) -> None:
    subset = subset_of("table")
    first = subset.table(subset.rows)
    monkeypatch.setattr(subset, "dataset", None)
    assert np.array_equal(subset.table(subset.rows), first, equal_nan=True)


@pytest.mark.parametrize("domain", ["audio", "image"])
def test_a_full_cache_changes_nothing(domain: str, monkeypatch) -> None:
    def read() -> np.ndarray:
        subset = subset_of(domain, 20)
        if domain == "image":
            return subset.images(subset.rows, 16)
        return np.concatenate(subset.examples(subset.rows))

    kept = read()
    monkeypatch.setattr(config, "CACHE_MAX_BYTES", 0)
    assert np.array_equal(read(), kept)


def test_features_computed_before_the_deadline_are_kept() -> None:
    subset, extractor = subset_of("table"), Generic()
    calls = []

    def slow(part: Subset, rows: np.ndarray) -> np.ndarray:
        calls.append(len(rows))
        return extractor(part, rows)

    slow.name = "slow"
    clock = iter([0.0, 2.0])
    with pytest.raises(OutOfTimeError):
        subset.features(slow, subset.rows, Deadline(1.0, lambda: next(clock)))
    assert 0 < subset.count_features(slow) < len(subset)
    subset.features(slow, subset.rows)
    assert sum(calls) == len(subset) == subset.count_features(slow)
    assert subset.extraction_seconds > 0


def test_ready_gives_the_rows_that_made_it() -> None:
    subset = subset_of("table")
    clock = iter([0.0, 0.0, 2.0])
    rows = subset.ready(Generic(), subset.rows, Deadline(1.0, lambda: next(clock)))
    assert 0 < len(rows) < len(subset)
    late = subset.ready(Generic(), subset.rows, Deadline(time.monotonic() - 1))
    assert np.array_equal(late, rows) or len(late) >= len(rows)


def test_a_canvas_keeps_the_ratio_and_never_enlarges() -> None:
    assert Frame(400, 300, 3).canvas(64) == (64, 48)
    assert Frame(20, 10, 3).canvas(64) == (20, 10)
    assert Frame(1000, 5, 3).canvas(64) == (64, 1)


def test_pictures_come_out_as_asked() -> None:
    data = png(np.full((30, 40), 200, np.uint8))
    pixels = decode_picture(data, (8, 16), 3)
    assert pixels.shape == (8, 16, 3)
    assert (pixels == 200).all()


def test_frames_are_spread_over_the_clip() -> None:
    assert spread(list(range(10)), 2) == [2, 7]
    assert spread([5], 3) == [5, 5, 5]
    assert spread([], 3) == []


def test_stored_arrays_of_many_channels_become_pictures() -> None:
    rng = np.random.default_rng(0)
    examples = [rng.normal(size=(1, 12, 12, 6)) * 100 for _ in range(8)]
    dataset = FakeDataset(examples, np.eye(8, 2), FakeMetadata((1, 12, 12, 6), 2))
    task = open_task(dataset, Shape.of(dataset.metadata))
    pixels = task.train.images(task.train.rows, 8)
    assert pixels.shape == (8, 8, 8, 6)
    assert pixels.std() > 20


def test_channels_beyond_four_become_colours_that_tell_them_apart() -> None:
    rng = np.random.default_rng(0)
    examples = [rng.normal(size=(1, 8, 8, 9)) * np.arange(1, 10) for _ in range(5)]
    frame = frame_of_arrays(examples)
    pixels = np.stack([shrink_array(x, (8, 8), frame) for (x,) in examples])
    colours = frame.colours(pixels)
    assert colours.shape == (5, 8, 8, 3)
    assert colours.dtype == np.uint8
    for channel, colour in zip((8, 7, 6), range(3), strict=True):  # the widest come first
        pair = pixels[..., channel].ravel(), colours[..., colour].ravel()
        assert abs(np.corrcoef(*pair)[0, 1]) > 0.7
    assert frame_of_arrays([x[..., :4] for x in examples]).mix is None


def test_wide_features_are_kept_in_a_file_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "SCRATCH_MIN_BYTES", 0)
    matrix = _Matrix(6)
    values = np.random.default_rng(0).normal(size=(2, 1200)).astype(np.float32)
    matrix.put(np.array([4, 1]), values)
    assert isinstance(matrix._values, np.memmap)
    assert matrix.get(np.array([1, 4])) == pytest.approx(values[::-1], rel=1e-3, abs=1e-4)
    assert matrix.known.tolist() == [False, True, False, False, True, False]


def test_patches_are_learnt_from_pictures_all_over_whoever_asks_first() -> None:
    one, many = subset_of("image"), subset_of("image")
    first, later = Patches(16, 32), Patches(16, 32)
    first(one, one.rows[:1])
    later(many, many.rows)
    assert np.array_equal(first(one, one.rows), later(many, many.rows))


@pytest.mark.filterwarnings("error")
def test_a_palette_with_transparent_colours_is_read() -> None:
    out = io.BytesIO()
    picture = Image.new("P", (8, 8), 1)
    picture.putpalette([0, 0, 0, 200, 100, 50])
    picture.save(out, "png", transparency=bytes([0, 128]))
    pixels = decode_picture(out.getvalue(), (8, 8), 3)
    assert pixels.tolist() == np.full((8, 8, 3), (200, 100, 50)).tolist()
