"""The solution's door to the contest: ``Model``, which the platform drives."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .budget import Clock, CostModel
from .controller import Engine
from .data import open_task
from .domain import Shape
from .machine import measure_speed
from .portfolio import Portfolio
from .recipe import Recipe, load_recipe, save_recipe

if TYPE_CHECKING:
    from autodl.dataset import Dataset, Metadata

DEFAULT_BUDGET_SECONDS = 1200.0


class Model:
    """An any-time learner of one dataset, of any domain."""

    def __init__(self, metadata: Metadata) -> None:
        """Load what the metadata lets expect; this time is not part of the budget."""
        self.done_training = False
        self._shape = Shape.of(metadata)
        self._portfolio = Portfolio(self._shape)
        self._costs = CostModel(measure_speed())
        self._clock: Clock | None = None
        self._engine: Engine | None = None

    def train(self, dataset: Dataset, remaining_time_budget: float | None = None) -> None:
        """Learn from ``dataset`` until there is a better prediction to make."""
        remaining = remaining_time_budget or DEFAULT_BUDGET_SECONDS
        if self._clock is None:
            self._clock = Clock(remaining)
        self._clock.synchronise(remaining)
        try:
            if self._engine is None:
                task = open_task(dataset, self._shape)
                task.look = self._portfolio.look(task)
                learners = self._portfolio.learners(task)
                self._engine = Engine(task, learners, self._clock, self._costs)
            self._engine.advance()
            self.done_training = self._engine.done
        except Exception:  # noqa: BLE001 - a run that fails late keeps its last prediction
            print(f"solution: {traceback.format_exc()}", file=sys.stderr)  # noqa: T201
            self.done_training = True

    def test(
        self, dataset: Dataset, remaining_time_budget: float | None = None
    ) -> NDArray[np.floating] | None:
        """Probabilities of the test examples, shape (len(dataset), classes); None at the end."""
        if self._clock is not None and remaining_time_budget is not None:
            self._clock.synchronise(remaining_time_budget)
        if self._engine is None:
            return np.full((len(dataset), self._shape.classes), 0.5, np.float32)
        return self._engine.predictions(dataset)

    def save(self, folder: Path) -> None:
        """Write the model of the last predictions into ``folder`` (``recipe.py``)."""
        if self._engine is not None:
            save_recipe(self._engine.recipe, folder)

    @classmethod
    def load(cls, folder: Path) -> Predictor:
        """What ``save`` wrote, ready to predict."""
        return Predictor(load_recipe(folder))


class Predictor:
    """A saved model: it predicts, and learns no more."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe

    def test(
        self, dataset: Dataset, remaining_time_budget: float | None = None
    ) -> NDArray[np.floating]:
        """Probabilities of the examples, shape (len(dataset), classes); time is not limited."""
        return self._recipe(dataset)
