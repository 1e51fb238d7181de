"""Which learners are used for which domain. The order of work is the controller's business."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from . import config
from .data import Extractor, Task
from .domain import Domain, Shape, possible, route
from .features.frozen_image import FrozenFrames
from .features.generic import Generic
from .features.hydra import Hydra
from .features.intervals import Intervals
from .features.mel import MelCourse, MelStatistics
from .features.motion import Motion, Stills
from .features.patches import Patches
from .features.pixels import TinyPixels
from .features.series import Course, MiniRocket
from .learners.base import Learner
from .learners.boosting import Boosting
from .learners.convnet import ConvNet, load_framework
from .learners.forest import Forest
from .learners.frozen import frozen_learners
from .learners.frozen_video import TREND, FrozenVideo
from .learners.kernel import Kernel
from .learners.linear import Linear
from .learners.perceptrons import Perceptrons
from .learners.sparse_linear import SparseLinear
from .learners.table_linear import TableLinear
from .learners.text_linear import TextLinear
from .nets.views import MelView, PictureView


class Portfolio:
    """The learners of every domain that a shape may turn out to be, made in construction time."""

    def __init__(self, shape: Shape) -> None:
        domain = route(shape)
        closes = 0.3 if domain is Domain.VIDEO else 0.1  # three tiny frames tell the place
        self._fallback: Learner = Linear(Generic(), 1e-3, closes=closes)
        domains = possible(shape)
        self._networks = bool({*domains} & {Domain.IMAGE, Domain.AUDIO}) and load_framework()
        self._make = {domain: _MAKERS[domain] for domain in domains}
        self._frozen = {domain: frozen_learners(domain, shape) for domain in domains}

    def learners(self, task: Task) -> list[Learner]:
        """All learners for ``task``; the last one works for anything."""
        made = self._make[task.domain](task)
        if not self._networks:
            made = [learner for learner in made if not isinstance(learner, ConvNet)]
        return [*made, *self._frozen[task.domain], self._fallback]

    def look(self, task: Task) -> Extractor | None:
        """The cheap features in which examples of ``task`` are compared."""
        return _look(task.domain)


def _look(domain: Domain) -> Extractor | None:
    """Features in which near-copies are near; where there are none, folds are drawn at random."""
    if domain is Domain.IMAGE:
        return TinyPixels(config.PIXEL_SIDE)
    if domain is Domain.VIDEO:
        return Stills(config.CLIP_SIDE, config.CLIP_FRAMES)
    if domain is Domain.AUDIO:
        return MelStatistics()
    return Course(config.COURSE_STEPS) if domain is Domain.SERIES else None


def _table(task: Task) -> list[Learner]:
    return [
        TableLinear(),
        SparseLinear(),
        Boosting(),
        Boosting("boosting-additive"),
        Forest(),
        Kernel(),
        Perceptrons(),
    ]


def _image(task: Task) -> list[Learner]:
    few, many = (Patches(config.PATCH_SIDE, count) for count in config.PATCH_COUNTS)
    return [
        Linear(TinyPixels(config.PIXEL_SIDE), 3e-4),
        Linear(few, 1.2e-3),
        Linear(many, 3e-3, closes=0.2),
        Kernel(many, 3e-3),
        ConvNet(PictureView(config.NET_SIDE)),
    ]


def _text(task: Task) -> list[Learner]:
    return [TextLinear()]


def _series(task: Task) -> list[Learner]:
    look = task.train.series(task.train.rows[:: max(1, len(task.train) // 64)])
    low, high = config.ROCKET_STEPS_RANGE
    steps = int(np.clip(np.median([len(series) for series in look]), low, high))
    seconds = 2e-9 * config.ROCKET_FEATURES * steps
    rocket = MiniRocket(steps, config.ROCKET_FEATURES)
    kernels = config.HYDRA_GROUPS * config.HYDRA_KERNELS
    course, intervals = Course(config.COURSE_STEPS), Intervals(steps)
    return [
        Linear(course, 1e-4),
        Linear(rocket, seconds, closes=0.4),
        Linear(Hydra(steps), 2e-8 * kernels * steps, closes=0.15),
        Forest(course, 1e-4),
        Kernel(course, 1e-4),
        Forest(intervals, 1e-3),
        Kernel(intervals, 1e-3),
    ]


def _audio(task: Task) -> list[Learner]:
    look = task.train.series(task.train.rows[:: max(1, len(task.train) // 16)])
    samples = min(float(np.mean([len(series) for series in look])), config.MEL_MAX_SAMPLES)
    seconds = 1e-3 + 5e-8 * samples
    steps = config.ROCKET_MEL_STEPS
    rocket = MiniRocket(steps, config.ROCKET_FEATURES, of_mel=True)
    rocket_seconds = seconds + 2e-9 * config.ROCKET_FEATURES * steps
    statistics, course = MelStatistics(), MelCourse()
    return [
        Linear(statistics, seconds),
        Kernel(statistics, seconds),
        Forest(statistics, seconds),
        Linear(course, seconds, closes=0.3),
        Kernel(course, seconds),
        Perceptrons(statistics, seconds),
        Linear(rocket, rocket_seconds, closes=0.3),
        ConvNet(MelView(), seconds),
    ]


def _video(task: Task) -> list[Learner]:
    side, count = config.CLIP_SIDE, config.CLIP_FRAMES
    patches = FrozenFrames(Patches(config.CLIP_PATCH_SIDE, config.CLIP_PATCHES), config.CLIP_LOOKS)
    return [
        Linear(Motion(side, count), 3e-3),
        FrozenVideo(patches, 0.03, closes=0.4),
        FrozenVideo(patches, 0.03, config.TREND_CLOSES, (TREND,)),
    ]


_MAKERS: dict[Domain, Callable[[Task], list[Learner]]] = {
    Domain.TABLE: _table,
    Domain.IMAGE: _image,
    Domain.TEXT: _text,
    Domain.SERIES: _series,
    Domain.AUDIO: _audio,
    Domain.VIDEO: _video,
}
