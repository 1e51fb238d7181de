"""Frozen networks give features that tell things apart, whatever the shape of the examples."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from winner_solution import config
from winner_solution.data import Extractor, Floats, Subset
from winner_solution.domain import Domain, Shape
from winner_solution.features.frozen_audio import (
    HOP,
    WINDOW,
    FrozenSound,
    FrozenSpeech,
    wave_of,
    windows,
)
from winner_solution.features.frozen_image import (
    FrozenFrames,
    FrozenImage,
    network_sides,
    split_clip,
)
from winner_solution.features.frozen_text import (
    FrozenEnglish,
    FrozenMultilingual,
    is_english,
    texts_of,
)
from winner_solution.learners.frozen import frozen_learners
from winner_solution.pictures import Frame, frame_of_arrays
from winner_solution.weights import WeightsError, manifest


class Arrays:
    """A dataset of stored arrays, as `autodl.dataset.Dataset` gives them."""

    def __init__(self, examples: list[Floats]) -> None:
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> tuple[Floats, Floats]:
        return self.examples[index], np.zeros(2, np.float32)


def subset_of(examples: list[Floats], vocabulary: tuple[str, ...] = ()) -> Subset:
    steps, height, width, channels = examples[0].shape
    shape = Shape(steps, height, width, channels, False, False, vocabulary, 2)
    subset = Subset(Arrays(examples), shape)  # type: ignore[arg-type]
    if height > 1:
        subset.frame = frame_of_arrays(examples)
    return subset


RNG = np.random.default_rng(0)


@pytest.mark.parametrize("channels", [1, 3, 4, 7])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (8, 8), (70, 20)])
def test_pictures_of_any_size_and_channels_give_finite_features(
    height: int, width: int, channels: int
) -> None:
    pictures = [RNG.random((1, height, width, channels), np.float32) for _ in range(2)]
    subset = subset_of(pictures)
    if subset.frame is None:
        subset.frame = frame_of_arrays(pictures)
    features = subset.features(FrozenImage("mobilenet-v2", 64), subset.rows)
    assert features.shape == (2, 1280 + 4 * 576)
    assert np.isfinite(features).all()
    assert not np.array_equal(features[0], features[1])


@pytest.mark.parametrize(
    ("height", "width", "sides"),
    [(100, 100, (64, 64)), (28, 28, (64, 64)), (300, 100, (64, 32)), (1, 5000, (32, 64))],
)
def test_a_networks_input_keeps_the_pictures_ratio(
    height: int, width: int, sides: tuple[int, int]
) -> None:
    assert network_sides(Frame(height, width, 3), 64) == sides


def test_clips_tell_the_place_from_the_motion() -> None:
    still = np.repeat(RNG.random((1, 16, 16, 3), np.float32), 6, axis=0)
    moving = RNG.random((6, 16, 16, 3), np.float32)
    subset = subset_of([still, moving, still[:1]])
    image = FrozenImage("mobilenet-v2", 64)
    place, motion, trend = split_clip(subset.features(FrozenFrames(image, 3), subset.rows))
    assert motion.shape[1] == 2 * place.shape[1]
    np.testing.assert_allclose(motion[[0, 2]], 0, atol=1e-4)
    assert motion[1].max() > 0.1
    np.testing.assert_allclose(trend[[0, 2]], 0, atol=1e-4)
    np.testing.assert_allclose(place[0], place[2], atol=1e-3)


@pytest.mark.parametrize("samples", [1, 100, WINDOW, WINDOW + 1, 3 * WINDOW, 100 * WINDOW])
def test_a_sound_of_any_length_gives_whole_windows(samples: int) -> None:
    parts = windows(wave_of(RNG.normal(size=(samples, 1)).astype(np.float32)))
    assert {part.shape for part in parts} == {(WINDOW,)}
    assert len(parts) == min(config.SOUND_MAX_WINDOWS, max(1, -(-(samples - HOP) // HOP)))


def test_integer_samples_are_scaled_and_the_mean_is_taken_out() -> None:
    wave = RNG.uniform(-1, 1, (WINDOW, 1)).astype(np.float32)
    np.testing.assert_allclose(wave_of(wave * 32768 + 9), wave_of(wave), atol=1e-6)


@pytest.mark.parametrize("make", [FrozenSound, FrozenSpeech])
def test_a_tone_sounds_unlike_noise_and_like_another_tone(make: Callable[[], Extractor]) -> None:
    time = np.arange(2 * WINDOW, dtype=np.float32)[:, None, None, None] / 16_000
    sounds = [np.sin(2 * np.pi * 440 * time) / 2, np.sin(2 * np.pi * 450 * time) / 2]
    sounds.append(RNG.normal(0, 0.2, time.shape).astype(np.float32))
    subset = subset_of(sounds)
    x = subset.features(make(), subset.rows)
    assert np.linalg.norm(x[0] - x[1]) < 0.8 * np.linalg.norm(x[0] - x[2])


@pytest.mark.parametrize("samples", [1, 10, 500, 200_000])
def test_speech_of_any_length_gives_finite_features(samples: int) -> None:
    sound = RNG.normal(0, 0.1, (samples, 1, 1, 1)).astype(np.float32)
    subset = subset_of([sound, np.zeros_like(sound)])
    features = subset.features(FrozenSpeech(), subset.rows)
    assert features.shape == (2, 1536)
    assert np.isfinite(features).all()


def test_sentences_of_like_meaning_lie_near_each_other() -> None:
    encoder = FrozenEnglish()
    near, same, far = encoder.encode(
        ["the cat sat on the mat", "a kitten is lying on the rug", "share prices fell on monday"]
    )
    assert near @ same > 0.5 > near @ far
    np.testing.assert_allclose(np.linalg.norm(near), 1, rtol=1e-5)


def test_meaning_is_told_across_languages() -> None:
    english, chinese, russian, other = FrozenMultilingual().encode(
        ["the weather is lovely today", "今天天气很好", "Погода сегодня прекрасная", "股市暴跌"]
    )
    assert min(english @ chinese, english @ russian) > english @ other


def test_characters_are_joined_without_spaces() -> None:
    chinese = [np.array([0, 1], np.float32).reshape(-1, 1, 1, 1)]
    subset = subset_of(chinese, ("你", "好"))
    assert texts_of(subset, subset.rows) == ["你好"]


def test_texts_come_from_codes_and_empty_or_unknown_ones_are_no_error() -> None:
    codes = [[0, 1], [], [7, -1]]
    examples = [np.array(c, np.float32).reshape(-1, 1, 1, 1) for c in codes]
    subset = subset_of(examples, ("hello", "world"))
    encoder = FrozenEnglish()
    features = encoder(subset, subset.rows)
    np.testing.assert_allclose(features, encoder.encode(["hello world", "", ""]), atol=1e-6)


@pytest.mark.parametrize(
    ("words", "english"),
    [
        ("the cat and dog of my friend is in to that", True),
        ("The Of To And In Is For", True),
        ("der hund und die katze ist in das haus", False),
        ("你 好", False),
        ("", False),
    ],
)
def test_english_is_known_by_its_commonest_words(words: str, english: bool) -> None:
    assert is_english(words.split()) is english


MAKERS: list[Callable[[], Extractor]] = [
    lambda: FrozenImage("mobilenet-v2", 64),
    FrozenSound,
    FrozenSpeech,
    FrozenEnglish,
    FrozenMultilingual,
]


def test_without_weights_each_extractor_says_so_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from winner_solution import weights
    from winner_solution.nets.runtime import load_backbone

    assert manifest()
    monkeypatch.setattr(weights, "manifest", dict)
    load_backbone.cache_clear()
    for make in MAKERS:
        with pytest.raises(WeightsError):
            make()


def test_each_domain_has_its_frozen_learners_and_tables_have_none() -> None:
    shape = Shape(-1, 1, 1, 1, False, False, ("你", "好"), 2)
    names = {d: [x.name for x in frozen_learners(d, shape)] for d in Domain}
    assert [len(names[d]) for d in Domain] == [6, 3, 2, 0, 2, 0]
    assert names[Domain.TEXT] == ["linear-e5-small", "tuned-e5-small"]
    english = replace(shape, vocabulary=("the", "and", "of", "to", "is", "in"))
    found = [learner.name for learner in frozen_learners(Domain.TEXT, english)]
    assert found == ["linear-e5-small", "linear-minilm", "tuned-e5-small"]
    assert frozen_learners(Domain.TEXT, replace(shape, vocabulary=())) == []


def test_missing_weights_leave_learners_out_and_say_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from winner_solution import weights

    monkeypatch.setattr(weights, "manifest", dict)
    shape = Shape(-1, 1, 1, 1, False, False, (), 2)
    assert frozen_learners(Domain.AUDIO, shape) == []
    assert "without pretrained weights" in capsys.readouterr().err
