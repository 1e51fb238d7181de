"""Which learners are used for which domain. The order of work is the controller's business."""

from __future__ import annotations

from . import config
from .data import Task
from .domain import Domain, Shape, route
from .features.generic import Generic
from .features.pixels import TinyPixels
from .learners.base import Learner
from .learners.boosting import Boosting
from .learners.forest import Forest
from .learners.linear import Linear
from .learners.table_linear import TableLinear


class Portfolio:
    """The learners of every domain that a shape may turn out to be, made in construction time."""

    def __init__(self, shape: Shape) -> None:
        self._fallback: Learner = Linear(Generic(), 1e-3, closes=0.1)
        domain = route(shape)
        self._learners: dict[Domain, list[Learner]] = {}
        if domain is Domain.TABLE:
            self._learners[domain] = [TableLinear(), Boosting(), Forest()]
        elif domain is Domain.IMAGE:
            self._learners[domain] = [Linear(TinyPixels(config.PIXEL_SIDE), 1e-3)]

    def learners(self, task: Task) -> list[Learner]:
        """All learners for ``task``; the last one works for anything."""
        return [*self._learners.get(task.domain, []), self._fallback]
