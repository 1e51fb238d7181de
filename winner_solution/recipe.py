"""A published blend without the data it was learnt on: what ``Model.save`` writes.

    model.json   the recipe, the shape of an example and the layout of pictures (``portable.py``)
    arrays.npz   the arrays that it refers to, no pickles

Reading needs the same code and the same pretrained weights, which are not in the files.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .budget import Deadline
from .data import Subset
from .domain import Shape
from .ensemble import Blend, Calibration, publishable, scale_of
from .learners.base import Predictor, Scores
from .pictures import Frame
from .portable import PortableError, decode, encode
from .predict import predict_blocks

if TYPE_CHECKING:
    from autodl.dataset import Dataset

MODEL, ARRAYS = "model.json", "arrays.npz"


@dataclass(frozen=True)
class Part:
    """One member: the mean of its predictors' calibrated log-odds, with its weight in the sum."""

    name: str
    predictors: tuple[Predictor, ...]
    calibration: Calibration
    weight: float


@dataclass(frozen=True)
class Recipe:
    """All that is needed to predict any rows; without parts, the shares of the classes."""

    shape: Shape
    frame: Frame | None
    share: Scores  # (C,)
    parts: tuple[Part, ...] = ()
    scale: float = 1.0  # of the sum, as it was published

    def with_blend(self, blend: Blend) -> Recipe:
        """The recipe of ``blend``, whose members have predicted the test rows."""
        parts = tuple(
            Part(m.name, (m.predict, *((m.renewed,) if m.renewed else ())), m.calibration, weight)
            for m, weight in zip(blend.members, blend.weights, strict=True)
        )
        return Recipe(self.shape, self.frame, self.share, parts, scale_of(blend.test()))

    def __call__(self, dataset: Dataset) -> Scores:
        """Probabilities, float32 (len(dataset), C), as the engine gave them for the same rows."""
        subset = Subset(dataset, self.shape)
        subset.frame = self.frame
        if not self.parts:
            return np.tile(np.asarray(self.share, np.float32), (len(subset), 1))
        total = np.zeros((len(subset), len(self.share)))
        for part in self.parts:
            total += part.weight * self._predict(part, subset).astype(np.float64)
        return publishable(np.asarray(total, np.float32), self.scale)

    def _predict(self, part: Part, subset: Subset) -> Scores:
        never = Deadline(np.inf)
        raw = [predict_blocks(p, subset, subset.rows, never) for p in part.predictors]
        known = [part.calibration(scores) for scores in raw]
        return known[0] if len(known) == 1 else np.asarray(sum(known) / len(known), np.float32)


def save_recipe(recipe: Recipe, folder: Path) -> None:
    """Write the two files into ``folder``. Raises PortableError for what cannot be written."""
    value, arrays = encode(recipe)
    numbered = {f"array_{number}": array for number, array in enumerate(arrays)}
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / ARRAYS, allow_pickle=False, **numbered)
    (folder / MODEL).write_text(json.dumps(value, separators=(",", ":")), encoding="utf-8")


def load_recipe(folder: Path) -> Recipe:
    """Read what ``save_recipe`` wrote. Raises PortableError for anything else."""
    value = json.loads((folder / MODEL).read_text(encoding="utf-8"))
    with np.load(folder / ARRAYS, allow_pickle=False) as file:
        arrays = [file[f"array_{number}"] for number in range(len(file.files))]
    recipe = decode(value, arrays)
    if not isinstance(recipe, Recipe):
        raise PortableError(f"{MODEL} holds no recipe")
    return recipe
