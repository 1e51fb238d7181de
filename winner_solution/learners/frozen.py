"""The learners on frozen networks, for those domains whose weights are installed.

The seconds are CPU seconds on one core, with decoding, as measured (LOG.md); all networks use
every core.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np

from .. import config
from ..data import Extractor, Task
from ..domain import Domain, Shape
from ..features.frozen_audio import (
    HOP,
    FrozenSound,
    FrozenSpeech,
)
from ..features.frozen_image import FrozenFrames, FrozenImage
from ..features.frozen_text import FrozenEnglish, FrozenMultilingual, is_english
from ..features.mounted_image import mounted_images
from ..machine import cores
from ..mounted import turned_off
from ..nets.runtime import require
from ..weights import WeightsError
from .base import Learner, Step
from .finetune import FineTune
from .frozen_video import MOTION, PLACE, TREND, FrozenVideo
from .kernel import Kernel
from .linear import Linear
from .tuned_text import TunedText

Maker = Callable[[], Learner]

SIZES = (config.FROZEN_FIRST_ROWS, config.RIDGE_MAX_ROWS)  # rows of a first and of the last step
LOOK = 16  # examples whose lengths are looked at
LEAST_SECONDS = 1e-3  # of any row


def frozen_learners(domain: Domain, shape: Shape) -> list[Learner]:
    """The learners of ``domain``; those whose weights are missing are left out, with a word."""
    if turned_off():
        print("solution: pretrained weights are turned off", file=sys.stderr)  # noqa: T201
        return []
    found = []
    for make in _makers(domain, shape):
        try:
            found.append(make())
        except WeightsError as error:
            print(f"solution: without pretrained weights: {error}", file=sys.stderr)  # noqa: T201
    return [*found, *_mounted(domain)]


def _mounted(domain: Domain) -> list[Learner]:
    """Learners on the operator's networks, whose seconds are measured here and on all cores."""
    if domain is Domain.IMAGE:
        return [Linear(image, image.row_seconds, SIZES) for image in mounted_images()]
    if domain is Domain.VIDEO:
        count = config.MOUNTED_FRAMES
        return [
            FrozenVideo(FrozenFrames(image, count), count * image.row_seconds, config.CLIP_CLOSES)
            for image in mounted_images()
        ]
    return []


def _makers(domain: Domain, shape: Shape) -> list[Maker]:
    if domain is Domain.IMAGE:
        return [
            lambda: _linear(FrozenImage("mobilenet-v2", 64), 1.4e-3, config.FROZEN_FIRST_ROWS),
            lambda: _linear(FrozenImage("mobilenet-v2", 128), 3.8e-3),
            lambda: _linear(FrozenImage("efficientnet-lite2", 160), 9.5e-3),
            lambda: Kernel(FrozenImage("mobilenet-v2", 128), 3.8e-3 / cores()),
            lambda: Kernel(FrozenImage("efficientnet-lite2", 160), 9.5e-3 / cores()),
            lambda: _tuned("mobilenet-v2"),
        ]
    if domain is Domain.VIDEO:
        return [
            lambda: _video("mobilenet-v2", 128, 3, 3.8e-3),
            lambda: _video("efficientnet-lite2", 128, 8, 6e-3),
            lambda: _video("efficientnet-lite2", 128, 8, 6e-3, config.TREND_CLOSES, (TREND,)),
        ]
    if domain is Domain.AUDIO:  # by the sample
        return [
            lambda: ByLength(FrozenSound(), 1.4e-7, longest=config.SOUND_MAX_WINDOWS * HOP),
            lambda: ByLength(FrozenSpeech(), 4e-7, longest=config.SPEECH_MAX_SAMPLES),
        ]
    if domain is Domain.TEXT and is_english(shape.vocabulary):  # by the word
        return [
            lambda: ByLength(FrozenMultilingual(), 2.5e-4, longest=config.ENCODER_MAX_TOKENS),
            lambda: ByLength(FrozenEnglish(), 3.5e-4, longest=config.ENCODER_MAX_TOKENS),
            TunedText,
        ]
    if domain is Domain.TEXT and shape.vocabulary:  # codes without words are no text
        return [
            lambda: ByLength(FrozenMultilingual(), 4e-4, longest=config.ENCODER_MAX_TOKENS),
            TunedText,
        ]
    return []


class ByLength(Linear):
    """Ridge regression on features that cost more for longer examples, up to ``longest`` steps."""

    def __init__(self, extractor: Extractor, step_seconds: float, longest: int) -> None:
        super().__init__(extractor, 0.0, SIZES)
        self._step_seconds = step_seconds / cores()
        self._longest = longest

    def steps(self, task: Task) -> list[Step]:
        """As ``Linear``, with the cost of a row by the length of some examples."""
        rows = task.train.rows
        look = task.train.examples(rows[:: max(1, len(rows) // LOOK)])
        lengths = [min(len(example), self._longest) for example in look]
        self._row_seconds = self._step_seconds * float(np.mean(lengths)) + LEAST_SECONDS
        return super().steps(task)


def _linear(
    extractor: Extractor, row_seconds: float, first: int = config.RIDGE_MAX_ROWS
) -> Learner:
    return Linear(extractor, row_seconds / cores(), (first, config.RIDGE_MAX_ROWS))


def _tuned(network: str) -> Learner:
    require("keras", "tensorflow")
    return FineTune(network)


def _video(
    network: str,
    side: int,
    frames: int,
    frame_seconds: float,
    closes: float = config.CLIP_CLOSES,
    parts: tuple[int, ...] = (PLACE, MOTION),
) -> Learner:
    extractor = FrozenFrames(FrozenImage(network, side), frames)
    return FrozenVideo(extractor, frames * frame_seconds / cores(), closes, parts)
