"""A frozen network that learned from photographs, and a linear model on its features.

The weights and their reader are the winner's (``winner_solution.nets``), its rules are not used.
What is no picture and no sound is learnt as ``baselines.linear`` does. Without the packaged weights
there is no such baseline: the constructor raises and says which package is missing.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from baselines.arrays import SOUND_STEPS, Floats
from baselines.linear.model import Model as Linear
from winner_solution.nets.runtime import ImageNetwork

if TYPE_CHECKING:
    from autodl.dataset import Metadata

SIDE = 96
NETWORK = "mobilenet-v2"


class Model(Linear):
    """See the top of this file."""

    file = "pretrained.npz"

    def __init__(self, metadata: Metadata) -> None:
        super().__init__(metadata)
        self.open()

    def open(self) -> None:
        """Load the network. Raises WeightsError where its weights cannot be had."""
        threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
        self.network = ImageNetwork(NETWORK, SIDE, SIDE, threads)

    def vector(self, example: Floats) -> Floats:
        """float32 (F,): the network's view of one example, or its plain vector."""
        layout = self.layout
        if not layout.picture and (layout.counted or len(example) < SOUND_STEPS):
            return layout.vector(example)
        image = layout.image(example, SIDE)
        low, high = float(image.min()), float(image.max())
        if low < 0 or high > 1:
            image = (image - low) / max(high - low, 1e-6)
        return np.asarray(self.network.features((255 * image).astype(np.uint8)[None])[0])
