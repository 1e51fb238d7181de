"""A sentence encoder whose last layers learn the task: the best there is for few thousand texts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .. import config
from ..budget import Deadline
from ..data import Floats, Subset, Task
from ..features.frozen_text import texts_of
from ..features.text_layers import LowerLayers, UpperLayers
from ..logistic import fit_logistic
from ..machine import cores
from ..split import Rows
from .base import Predictor, Scores, Step

LOOK = 64  # texts whose lengths are looked at
# Seconds of a token in a layer, on one core: run in 8-bit integers; trained, forth and back.
RUN, TRAIN = 4.6e-5, 1.8e-4


class TunedText:
    """The lower layers stay as they are and run once; the upper ones are trained from a probe.

    Raises WeightsError where encoder or TensorFlow cannot be had.
    """

    name = "tuned-e5-small"

    def __init__(self) -> None:
        self._lower = LowerLayers(config.TUNE_LAYERS)

    def steps(self, task: Task) -> Sequence[Step]:
        """One step for each size that is much smaller than the dataset, and one for all of it."""
        n = len(task.train)
        look = task.train.tokens(task.train.rows[:: max(1, n // LOOK)])
        words = np.array([len(codes) for codes in look])
        if task.shape.vocabulary and np.mean([len(t) for t in task.shape.vocabulary[:1000]]) > 2:
            words = words * config.TUNE_TOKENS_PER_WORD
        tokens = float(np.minimum(words + 2, config.ENCODER_MAX_TOKENS).mean())
        most = min(n, int(config.TUNE_MAX_TOKENS / tokens))
        if n < config.TUNE_MIN_ROWS:
            return []
        test = len(task.test) if task.test else n // 4
        sizes = [size for size in config.TUNE_ROWS if 2 * size <= most] + [most]
        once = self._lower.layers * RUN + config.TUNE_LAYERS * TRAIN * config.TUNE_EPOCHS
        predict = (test + n // 5) * (self._lower.layers + config.TUNE_LAYERS) * RUN
        threads = 0.85 * cores()
        return [
            Step(3 + tokens * (size * once + predict) / threads, closes, rows=size, size=size)
            for size, closes in zip(sizes, config.TUNE_CLOSES, strict=False)
        ]

    def fit(self, task: Task, step: Step, rows: Rows, deadline: Deadline) -> Predictor:
        """Fit the probe, then train it and the upper layers until the end or the deadline."""
        from ..nets.transformer import Head
        from ..nets.tuning import tune

        lower, labels = self._lower, task.labels[rows]
        states: list[Floats] = []
        for block in np.array_split(rows, max(1, len(rows) // LOOK)):
            deadline.check()
            states += lower(texts_of(task.train, block))
        width = lower.body.width
        zero = np.zeros(width, np.float32)
        features = UpperLayers(lower.body, Head(zero, np.eye(width, dtype=np.float32), zero))(
            states
        )
        centre = features.mean(axis=0)
        scale = np.float32(np.sqrt(np.square(features - centre).sum(axis=1).mean()) + 1e-9)
        exclusive = not task.multilabel
        probe = fit_logistic(
            (features - centre) / scale,
            labels,
            exclusive=exclusive,
            inverse_penalty=config.TUNE_PROBE_INVERSE_PENALTY,
            deadline=deadline,
        )
        head = Head(centre, probe.weights / scale, probe.bias)
        body, head = tune(states, labels, lower.body, head, exclusive=exclusive, deadline=deadline)
        upper = UpperLayers(body, head)

        def predict(subset: Subset, rows: Rows) -> Scores:
            blocks = np.array_split(rows, max(1, len(rows) // LOOK))  # states are large
            return np.concatenate([upper(lower(texts_of(subset, block))) for block in blocks])

        return predict
