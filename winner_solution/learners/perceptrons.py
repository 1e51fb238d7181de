"""Small neural networks on tables, or on the features of an extractor: an average of a few."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .. import config
from ..budget import Deadline
from ..data import Extractor, Floats, Subset, Task
from ..features.tables import Bins, Columns, TableEncoder, count_columns, read_columns
from ..nets.perceptron import Perceptron, batch_of, count_steps, train_perceptron
from ..split import Rows
from .base import Predictor, Scores, Step

PLAIN, BINNED = 1, 2


class Perceptrons:
    """First on standardised numbers and categories, then with each number in bins as well.

    ``size`` tells which.
    """

    def __init__(self, extractor: Extractor | None = None, row_seconds: float = 0.0) -> None:
        self._extractor = extractor or Columns()
        self._row_seconds = row_seconds
        self.name = f"perceptrons-{self._extractor.name}"

    def steps(self, task: Task) -> Sequence[Step]:
        """Two steps, for dense features that are not too many."""
        n = min(len(task.train), config.MLP_MAX_ROWS)
        if task.shape.sparse or n < config.MLP_MIN_ROWS:
            return []
        columns = count_columns(task, self._extractor)
        steps = []
        for size, closes in ((PLAIN, 0.1), (BINNED, 0.05)):
            inputs = columns * (config.MLP_BINS if size == BINNED else 1)
            if inputs > config.MLP_MAX_INPUTS:
                continue
            weights = config.MLP_WIDTH * (inputs + config.MLP_WIDTH)
            once = 2e-4 + weights * (5e-10 * batch_of(n) + 5e-9)
            seconds = 0.05 + config.MLP_MEMBERS * count_steps(n) * once
            steps.append(
                Step(
                    seconds,
                    closes,
                    rows=n,
                    size=size,
                    extractor=self._extractor,
                    row_seconds=self._row_seconds,
                )
            )
        return steps

    def fit(self, task: Task, step: Step, rows: Rows, deadline: Deadline) -> Predictor:
        """Train one network after the other; at the deadline with those that there are."""
        extractor = self._extractor
        table = read_columns(task.train, rows, extractor, deadline)
        inputs = _Inputs.of(table, task, config.MLP_BINS if step.size == BINNED else 0)
        x, labels = inputs(table), task.labels[rows]
        networks: list[Perceptron] = []
        for number in range(config.MLP_MEMBERS):
            share = deadline.remaining / (config.MLP_MEMBERS - number)
            if networks and share <= 0:
                break
            until = Deadline(deadline.now() + share, deadline.now)
            exclusive, seed = not task.multilabel, config.SEED + number
            networks.append(
                train_perceptron(x, labels, exclusive=exclusive, deadline=until, seed=seed)
            )

        def predict(subset: Subset, rows: Rows) -> Scores:
            x = inputs(read_columns(subset, rows, extractor))
            scores: Scores = np.mean([network(x) for network in networks], axis=0)
            return scores

        return predict


@dataclass(frozen=True)
class _Inputs:
    """From a table to what a network reads: around 0, about 1 wide, without outliers."""

    encode: TableEncoder
    bins: Bins | None
    mean: Floats  # of the encoded columns
    scale: Floats  # 1 for those that are 0 or 1

    @classmethod
    def of(cls, table: Floats, task: Task, bins: int) -> _Inputs:
        encode = TableEncoder.of(table, task.shape.categories, guess=False)
        x = encode(table)
        scale = np.ones(x.shape[1], np.float32)
        numbers = len(encode.numbers)
        scale[:numbers] = x[:, :numbers].std(axis=0) + np.float32(1e-6)
        made = Bins.of(table, encode.numbers, bins) if bins else None
        return cls(encode, made, x.mean(axis=0), scale)

    def __call__(self, table: Floats) -> Floats:
        """float32 (n, F), -MLP_LIMIT..MLP_LIMIT; bends gently towards the limits."""
        z = (self.encode(table) - self.mean) / self.scale
        z /= np.sqrt(1 + np.square(z / config.MLP_LIMIT))
        return np.asarray(z if self.bins is None else np.hstack([z, self.bins(table)]), np.float32)
