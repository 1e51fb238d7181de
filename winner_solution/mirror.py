"""Whether pictures mean the same when mirrored: measured, not guessed.

Digits, letters, hands and hearts do not. Where a linear head tells mirrored validation pictures as
well as the pictures themselves, networks may train on both and average over both.
"""

from __future__ import annotations

import numpy as np

from . import config
from .data import Task
from .features.patches import Patches
from .heads import fit_ridge
from .metric import nauc
from .split import sample_rows


def mirrors(task: Task) -> bool:
    """Measured once a task, on a part of the first fold."""
    if "mirrors" not in task.notes:
        task.notes["mirrors"] = _measure(task)
    return bool(task.notes["mirrors"])


def _measure(task: Task) -> bool:
    fold = task.folds[0]
    learn = sample_rows(task.labels, fold.learn, config.MIRROR_ROWS)
    validate = sample_rows(task.labels, fold.validate, config.MIRROR_ROWS)
    extractor = Patches(config.PATCH_SIDE, config.PATCH_COUNTS[0])
    frame = task.train.frame
    known = extractor.of_pixels(task.train.images(learn, extractor.side), frame)
    head = fit_ridge(known, task.labels[learn])
    pixels = task.train.images(validate, extractor.side)
    seen, turned = (
        nauc(task.labels[validate], head(extractor.of_pixels(x, frame)))
        for x in (pixels, np.ascontiguousarray(pixels[:, :, ::-1]))
    )
    return seen > 0 and turned >= seen - config.MIRROR_MAX_LOSS * seen
