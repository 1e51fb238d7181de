"""What every learner fulfils. One learner is one file; ``portfolio.py`` says when it is used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..budget import Deadline
from ..data import Extractor, Subset, Task
from ..split import Rows

Scores = NDArray[np.float32]
Predictor = Callable[[Subset, Rows], Scores]
"""Scores of these rows of a subset, float32 (len(rows), C): margins, log-odds or
log-probabilities, finite, comparable between classes, larger is likelier. It must stay valid when
the learner goes on to its next step, and must not raise for any row. It is saved with the model
(``portable.py``): it may close over arrays, numbers and objects of this package, never the task."""


@dataclass(frozen=True)
class Step:
    """One thing a learner can do. Steps are taken in order; each gives a whole new model.

    ``seconds``: of fitting once and predicting validation and test rows, on one core of the
    reference machine, when all features are there. ``closes``: the share of the gap 1 - NAUC that
    it is expected to close, the prior of the controller's choice. ``rows``: most training rows it
    wants. ``size``: the learner's own measure (trees, pixels, seconds of training). ``folds``:
    False when it is too slow to be cross-validated on small sets; it is then validated on the first
    fold alone. ``extractor``: whose features it needs, and ``row_seconds`` what one row of them
    takes; each row is computed once, whoever needs it. ``clock_seconds``: of training that ends by
    the clock, the same on every machine, beside ``seconds``.
    """

    seconds: float
    closes: float
    rows: int
    size: int = 0
    folds: bool = True
    extractor: Extractor | None = None
    row_seconds: float = 0.0
    clock_seconds: float = 0.0


class Learner(Protocol):
    """A method with its ladder of steps. Any exception ends the learner, not the run."""

    name: str

    def steps(self, task: Task) -> Sequence[Step]:
        """All steps for this task, cheapest first; empty when the learner has nothing to say."""

    def fit(self, task: Task, step: Step, rows: Rows, deadline: Deadline) -> Predictor:
        """Learn from ``rows`` of ``task.train`` and nothing else of it.

        Returns what predicts. At ``deadline`` it stops with what it has, or raises OutOfTimeError.
        The same step may be fitted several times on other rows (folds, the final fit on all).
        """
