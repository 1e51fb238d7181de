"""The learners on frozen networks, for those domains whose weights are installed.

The seconds are CPU seconds on one core, with decoding, as measured (LOG.md); all networks use
every core.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from .. import config
from ..budget import cores
from ..data import Extractor
from ..domain import Domain, Shape
from ..features.frozen_audio import FrozenSound, FrozenSpeech
from ..features.frozen_image import FrozenFrames, FrozenImage
from ..features.frozen_text import FrozenEnglish, FrozenMultilingual, is_english
from ..weights import WeightsError
from .base import Learner
from .frozen_video import FrozenVideo
from .linear import Linear

Maker = Callable[[], Learner]

MOST = config.RIDGE_MAX_ROWS
VIDEO_CLOSES = 0.5  # the prior share of the gap to a perfect score


def frozen_learners(domain: Domain, shape: Shape) -> list[Learner]:
    """The learners of ``domain``; those whose weights are missing are left out, with a word."""
    found = []
    for make in _makers(domain, shape):
        try:
            found.append(make())
        except WeightsError as error:
            print(f"solution: without pretrained weights: {error}", file=sys.stderr)  # noqa: T201
    return found


def _makers(domain: Domain, shape: Shape) -> list[Maker]:
    if domain is Domain.IMAGE:
        return [
            lambda: _linear(FrozenImage("mobilenet-v2", 64), 1.4e-3, first=1000),
            lambda: _linear(FrozenImage("mobilenet-v2", 128), 3.8e-3),
            lambda: _linear(FrozenImage("efficientnet-lite2", 160), 9.5e-3),
        ]
    if domain is Domain.VIDEO:
        return [
            lambda: _video("mobilenet-v2", 128, 3, 3.8e-3),
            lambda: _video("efficientnet-lite2", 128, 8, 6e-3),
        ]
    if domain is Domain.AUDIO:
        return [lambda: _linear(FrozenSound(), 5e-3), lambda: _linear(FrozenSpeech(), 0.05)]
    if domain is Domain.TEXT and is_english(shape.vocabulary):
        return [lambda: _linear(FrozenEnglish(), 0.02)]
    if domain is Domain.TEXT:
        return [lambda: _linear(FrozenMultilingual(), 0.06)]
    return []


def _linear(extractor: Extractor, row_seconds: float, first: int = MOST) -> Learner:
    return Linear(extractor, row_seconds / cores(), (first, MOST))


def _video(network: str, side: int, frames: int, frame_seconds: float) -> Learner:
    extractor = FrozenFrames(FrozenImage(network, side), frames)
    return FrozenVideo(extractor, frames * frame_seconds / cores(), VIDEO_CLOSES)
