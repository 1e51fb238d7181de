"""What a solution fulfils: a folder with ``model.py`` that defines ``class Model``.

The contract is the contest's (AutoDL formats 3.2): the instance lives for the whole run,
``train`` and ``test`` are called in turn with the same dataset objects, and time is the only judge.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from autodl.dataset import Dataset, Metadata

SAVED, UNFINISHED = "model", "model.part"  # where a run's output has what a model has saved


class Model(Protocol):
    """One learner of one dataset.

    ``done_training`` is read before every loop iteration; ``True`` ends the run.
    """

    done_training: bool

    def __init__(self, metadata: Metadata) -> None:
        """Prepare for the training subset that ``metadata`` describes."""

    def train(self, dataset: Dataset, remaining_time_budget: float | None = None) -> None:
        """Learn from ``(example, labels)`` pairs; ``remaining_time_budget`` is in seconds."""

    def test(
        self, dataset: Dataset, remaining_time_budget: float | None = None
    ) -> NDArray[np.floating] | None:
        """Return scores of shape ``(len(dataset), output_size)``, or ``None`` to stop the run."""


class Savable(Model, Protocol):
    """A solution whose models outlive their run; both methods are optional, and ours.

    ``save`` is called once, after the last prediction, when the budget no longer counts; what it
    raises or how long it takes changes no score. ``load`` is called in a new process, with the same
    solution, instead of the constructor; what it returns is asked for one ``test``.
    """

    def save(self, folder: Path) -> None:
        """Write all that ``load`` needs into ``folder``, which is there and empty."""

    @classmethod
    def load(cls, folder: Path) -> Predictor:
        """Read what ``save`` wrote."""


class Predictor(Protocol):
    """What a saved model is good for."""

    def test(
        self, dataset: Dataset, remaining_time_budget: float | None = None
    ) -> NDArray[np.floating] | None:
        """Return scores of shape ``(len(dataset), output_size)``."""
