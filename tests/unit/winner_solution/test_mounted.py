"""The operator's weights: used when they are sound, refused with a word when not, or all off."""

import hashlib
import json
from pathlib import Path

import keras
import numpy as np
import pytest

from winner_solution.domain import Domain, Shape
from winner_solution.features.mounted_image import MountedImage, mounted_images
from winner_solution.learners.frozen import frozen_learners
from winner_solution.mounted import WeightsError, list_mounted
from winner_solution.pictures import Frame
from winner_solution.weights import get, mounted_status

from .fakes import generate

SMALL = {"alpha": 0.35}


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """A folder with a small network, of weights at random."""
    folder = tmp_path_factory.mktemp("weights")
    keras.utils.set_random_seed(0)
    network = keras.applications.MobileNetV2(
        include_top=False, weights=None, pooling="avg", input_shape=(64, 64, 3), **SMALL
    )
    for weight in network.weights:
        weight.assign(weight + 0.01)
    network.save_weights(folder / "small.weights.h5")
    pixels = np.full((1, 64, 64, 3), 100, np.float32) / 127.5 - 1
    np.save(folder / "expected.npy", network.predict_on_batch(pixels))
    data = (folder / "small.weights.h5").read_bytes()
    entry = {
        "name": "small",
        "file": "small.weights.h5",
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "network": "MobileNetV2",
        "side": 64,
        "arguments": SMALL,
    }
    (folder / "weights.json").write_text(json.dumps([entry]))
    return folder


@pytest.fixture
def mount(monkeypatch: pytest.MonkeyPatch, weights: Path, tmp_path: Path):
    """Mount that folder with its entry changed."""

    def mount(**changes: object) -> None:
        (entry,) = json.loads((weights / "weights.json").read_text())
        for file in weights.glob("*.h5"):
            (tmp_path / file.name).symlink_to(file)
        (tmp_path / "weights.json").write_text(json.dumps([entry | changes]))
        monkeypatch.setenv("AUTODL_WEIGHTS", str(tmp_path))

    return mount


def test_a_mounted_network_gives_features_of_pictures_and_of_clips(mount, weights) -> None:
    mount()
    (image,) = mounted_images()
    grey = np.full((1, 20, 30, 1), 100, np.uint8)
    expected = np.load(weights / "expected.npy")
    assert image.of_pixels(grey, Frame(20, 30, 1)) == pytest.approx(expected, abs=1e-5)
    pixels = np.random.default_rng(0).integers(0, 255, (3, 30, 20, 3)).astype(np.uint8)
    frame = Frame(30, 20, 3)
    features = image.of_pixels(pixels, frame)
    assert features.shape == (3, 1280)
    assert np.isfinite(features).all()
    assert image.of_pixels(pixels[1:2], frame) == pytest.approx(features[1:2], abs=1e-5)
    for domain in (Domain.IMAGE, Domain.VIDEO):
        shape = Shape.of(generate(domain.value, 4, 2).metadata)
        assert any("mounted-small" in learner.name for learner in frozen_learners(domain, shape))
    assert mounted_status() == [("small", "")]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sha256": "0" * 64}, "differs from the manifest"),
        ({"bytes": 7}, "differs from the manifest"),
        ({"file": "none.h5"}, "cannot be read"),
        ({"file": "../small.weights.h5"}, "no plain file name"),
        ({"network": "NoSuchNet"}, "has no 'NoSuchNet'"),
        ({"arguments": {"alpha": 1.0}}, "does not fit"),
        ({"arguments": {"nonsense": 1}}, "does not fit"),
    ],
)
def test_what_is_not_sound_is_refused_and_left_out(mount, capsys, changes, reason) -> None:
    mount(**changes)
    (entry,) = list_mounted()
    with pytest.raises(WeightsError, match=reason):
        MountedImage(entry)
    assert mounted_images() == []
    assert "without small" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "{", '[{"nonsense": 1}]', "7"])
def test_a_list_that_cannot_be_read_costs_nothing_but_the_networks(
    monkeypatch, tmp_path, capsys, text
) -> None:
    (tmp_path / "weights.json").write_text(text)
    monkeypatch.setenv("AUTODL_WEIGHTS", str(tmp_path))
    assert mounted_images() == []
    assert "weights.json" in capsys.readouterr().err


def test_none_turns_every_pretrained_weight_off(monkeypatch) -> None:
    monkeypatch.setenv("AUTODL_WEIGHTS", "none")
    with pytest.raises(WeightsError, match="says none"):
        get("minilm")
    for domain in Domain:
        kind = domain.value if domain is not Domain.TABLE else "table"
        assert frozen_learners(domain, Shape.of(generate(kind, 4, 2).metadata)) == []


def test_a_mounted_file_may_stand_in_for_a_package(monkeypatch, tmp_path) -> None:
    packaged = get("minilm-tokenizer")
    data = packaged.read_bytes()
    (tmp_path / "copy.json").write_bytes(data)
    entry = {"name": "minilm-tokenizer", "file": "copy.json", "bytes": len(data)}
    entry["sha256"] = hashlib.sha256(data).hexdigest()
    (tmp_path / "weights.json").write_text(json.dumps([entry]))
    monkeypatch.setenv("AUTODL_WEIGHTS", str(tmp_path))
    assert get("minilm-tokenizer") == tmp_path / "copy.json"
