"""Clips by frozen image features: a head for the place and a head for the motion, averaged.

Fitted together, the head leans on the place, which is the stronger clue within one recording and
none at all in the next; apart, the motion keeps its say (LOG.md). Gestures that differ by their
direction alone have a head of their own, which the blend takes where it has something to say.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .. import config
from ..budget import Deadline, OutOfTimeError
from ..data import Subset, Task
from ..features.frozen_image import FrozenFrames, split_clip
from ..heads import affordable_rows, fit_ridge
from ..split import Rows, sample_rows
from .base import Predictor, Scores, Step

PLACE, MOTION, TREND = range(3)  # of ``split_clip``


class FrozenVideo:
    """A ridge head on each of ``parts``, averaged; a clip takes ``clip_seconds``."""

    def __init__(
        self,
        extractor: FrozenFrames,
        clip_seconds: float,
        closes: float,
        parts: tuple[int, ...] = (PLACE, MOTION),
    ) -> None:
        self.name = f"frozen-{extractor.name}" + ("-trend" if parts == (TREND,) else "")
        self._parts = parts
        self._extractor = extractor
        self._clip_seconds = clip_seconds
        self._closes = closes

    def steps(self, task: Task) -> Sequence[Step]:
        """One step, on all clips or as many as a head may learn from."""
        size = min(len(task.train), config.RIDGE_MAX_ROWS)
        return [
            Step(
                4e-10 * size**2.5 + 0.02,
                self._closes,
                rows=size,
                extractor=self._extractor,
                row_seconds=self._clip_seconds,
            )
        ]

    def fit(self, task: Task, step: Step, rows: Rows, deadline: Deadline) -> Predictor:
        """Closed form, on the clips whose features are there at the deadline."""
        extractor = self._extractor
        known = task.train.ready(extractor, rows, deadline)
        if len(known) < min(len(rows), config.RIDGE_MIN_ROWS):
            raise OutOfTimeError
        columns = task.train.features(extractor, known[:1]).shape[1]
        known = sample_rows(task.labels, known, affordable_rows(columns))
        clips = split_clip(task.train.features(extractor, known))
        heads = [(part, fit_ridge(clips[part], task.labels[known])) for part in self._parts]

        def predict(subset: Subset, rows: Rows) -> Scores:
            clips = split_clip(subset.features(extractor, rows))
            scores = [head(clips[part]) for part, head in heads]
            return np.asarray(np.mean(scores, axis=0), np.float32)

        return predict
