"""Networks that learn: what they start from, what they may see, and whether to mirror pictures."""

import time

import numpy as np
import pytest

from winner_solution import config
from winner_solution.budget import Deadline
from winner_solution.data import Task, open_task
from winner_solution.domain import Shape
from winner_solution.learners.finetune import FineTune
from winner_solution.metric import nauc
from winner_solution.mirror import mirrors
from winner_solution.nets.cycles import mask_bands, shift_and_mirror
from winner_solution.nets.runtime import ImageNetwork, load_backbone
from winner_solution.portable import decode, encode

from .fakes import FakeDataset, FakeMetadata, generate, one_hot, png

LATER = Deadline(time.monotonic() + 1e6)


def image_task(n: int) -> Task:
    train = generate("image", n, 3, seed=1)
    task = open_task(train, Shape.of(train.metadata))
    task.attach_test(generate("image", 40, 3, seed=2))
    return task


@pytest.mark.parametrize("name", ["mobilenet-v2", "efficientnet-lite2"])
def test_the_trainable_network_has_the_features_of_the_frozen_one(name: str) -> None:
    import keras

    from winner_solution.nets.trainable import trainable_network

    backbone = load_backbone(name)
    network = trainable_network(backbone, 64, 32, classes=2)
    features = keras.Model(network.input, network.get_layer("head").input)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 32, 3)).astype(np.uint8)
    found = np.asarray(features(pixels.astype(np.float32)))
    assert found == pytest.approx(ImageNetwork(name, 64, 32, 1).features(pixels), abs=1e-4)


def test_a_network_is_tuned_from_its_probe_and_can_be_saved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(config, "TUNE_CYCLES", ((32, 3, 0.2),))
    task, learner = image_task(120), FineTune("mobilenet-v2")
    (step,) = learner.steps(task)
    predict = learner.fit(task, step, task.folds[0].learn, LATER)
    scores = predict(task.test, task.test.rows)
    assert nauc(task.test.labels(), scores) > 0.6
    again = decode(*encode(predict))(task.test, task.test.rows)
    assert again == pytest.approx(scores, abs=1e-3)
    known = learner._weights
    learner.fit(task, step, task.train.rows, LATER)
    assert learner._weights is known  # what has seen the validation rows is not learnt on from


@pytest.mark.parametrize("symmetric", [True, False])
def test_pictures_are_mirrored_only_where_that_changes_nothing(symmetric: bool) -> None:
    rng = np.random.default_rng(0)
    targets = np.arange(160) % 2
    pictures = rng.integers(0, 100, size=(160, 24, 24)).astype(np.uint8)
    for picture, target in zip(pictures, targets, strict=True):
        bar = picture[4 + 12 * target :][:4] if symmetric else picture[:, 4 + 12 * target :][:, :4]
        bar += 120
    examples = [[png(picture)] for picture in pictures]
    metadata = FakeMetadata((1, 24, 24, 1), 2, compressed=True)
    task = open_task(FakeDataset(examples, one_hot(targets, 2), metadata), Shape.of(metadata))
    assert mirrors(task) is symmetric


def test_augmented_pictures_are_shifted_and_keep_their_values() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (8, 16, 12, 3)).astype(np.uint8)
    x = shift_and_mirror(pixels.astype(np.float32), rng)
    assert x.shape == pixels.shape
    assert not np.array_equal(x, pixels)
    assert x.sum() == pixels.sum()


def test_masked_sounds_miss_a_stretch_and_some_bands_and_begin_at_another_time() -> None:
    rng = np.random.default_rng(0)
    sounds = 1 + rng.random((50, 64, 40, 1), np.float32)
    masked = mask_bands(sounds.copy(), rng)
    missing = masked == 0
    assert (missing.all(axis=(2, 3)).sum(axis=1) <= 12).all()
    assert (missing.all(axis=(1, 3)).sum(axis=1) <= 8).all()
    assert 0.05 < missing.mean() < 0.36
    assert np.isin(masked[~missing], sounds).all()
