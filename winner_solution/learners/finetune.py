"""A pretrained image network that goes on learning, from the linear head that fits its features.

Linear probing first, then everything (Kumar et al. 2022, arXiv 2202.10054), in cycles, at a first
size and then at a larger one, for weights do not depend on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import config
from ..budget import Deadline
from ..data import Subset, Task
from ..ensemble import calibrate
from ..features.frozen_image import FrozenImage, network_sides
from ..heads import fit_ridge
from ..machine import cores
from ..mirror import mirrors
from ..nets.cycles import Training, has_accelerator
from ..nets.runtime import load_backbone, to_rgb
from ..nets.trainable import trainable_network
from ..nets.views import PictureView
from ..pictures import Pixels
from ..split import Rows, sample_rows
from .base import Predictor, Scores, Step
from .convnet import targets


class FineTune:
    """``network`` of the manifest, all layers. Raises WeightsError where it cannot be had."""

    def __init__(self, network: str) -> None:
        load_backbone(network)
        self.name = f"finetune-{network}"
        self._network = network
        self._trainings: dict[int, Training] = {}  # by the side of the pictures
        self._weights: list[Any] | None = None  # which know no validation row

    def steps(self, task: Task) -> Sequence[Step]:
        """One step a cycle that sees every picture some times; ``size`` is its number."""
        n = min(len(task.train), config.TUNE_IMAGE_ROWS)
        if n < config.NET_MIN_ROWS:
            return []
        test = len(task.test) if task.test else n // 4
        steps = []
        for number, (side, seconds, closes) in enumerate(config.TUNE_CYCLES):
            row = config.TUNE_PIXEL_SECONDS * side**2 / cores()
            if has_accelerator():
                row /= config.ACCELERATION
            if seconds >= config.NET_LEAST_EPOCHS * row * n:
                cost = config.TUNE_START_SECONDS + row * (test + n // 5) / 3
                steps.append(Step(cost, closes, n, size=number, folds=False, clock_seconds=seconds))
        return steps

    def fit(self, task: Task, step: Step, rows: Rows, deadline: Deadline) -> Predictor:
        """One cycle, or what the deadline leaves of it."""
        side, seconds, _ = config.TUNE_CYCLES[step.size]
        learn = sample_rows(task.labels, rows, config.TUNE_IMAGE_ROWS)
        training = self._training(task, side)
        weights = self._weights or self._probe(task, learn, side, training, deadline)
        training.network.set_weights(weights)
        mirror = mirrors(task)
        augment = PictureView(side).augment(task)
        pixels = _rgb(task.train, learn, side)
        training.cycle(pixels, targets(task, learn), seconds, deadline, augment)
        tuned = training.network.get_weights()  # copies
        if len(rows) <= len(task.folds[0].learn):
            self._weights = tuned
        reader = training.reader

        def predict(subset: Subset, rows: Rows) -> Scores:
            return reader.predict(tuned, _rgb(subset, rows, side), mirror)

        return predict

    def _training(self, task: Task, side: int) -> Training:
        if side not in self._trainings:
            assert task.train.frame is not None
            height, width = network_sides(task.train.frame, side)
            backbone = load_backbone(self._network)
            network = trainable_network(backbone, height, width, task.classes)
            rate = config.TUNE_IMAGE_LEARNING_RATE
            self._trainings[side] = Training(network, task.multilabel, rate)
        return self._trainings[side]

    def _probe(
        self, task: Task, rows: Rows, side: int, training: Training, deadline: Deadline
    ) -> list[Any]:
        """The pretrained weights, with the ridge head on their features as logits."""
        extractor = FrozenImage(self._network, side)
        features = task.train.features(extractor, rows, deadline)
        head = fit_ridge(features, task.labels[rows], deadline)
        scores, exclusive = head(features), not task.multilabel
        calibration = calibrate(scores, task.labels[rows], exclusive)
        temperature = min(calibration.temperature, 4 / max(float(scores.std()), 1e-6))
        kernel = temperature * head.weights / head.scale[:, None]
        bias = temperature * head.bias - head.mean @ kernel + calibration.offset
        *body, _, _ = training.network.get_weights()
        return [*body, np.asarray(kernel, np.float32), np.asarray(bias, np.float32)]


def _rgb(subset: Subset, rows: Rows, side: int) -> Pixels:
    """uint8 (n, height, width, 3)."""
    assert subset.frame is not None
    return to_rgb(subset.frame.colours(subset.images(rows, side)))
