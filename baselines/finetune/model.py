"""MobileNetV2 from photographs, all of it learning on at 96 x 96 pixels; a step is a batch.

What people do first with pictures, and what the winner's own fine-tuning is to be compared with.
The weights and their reader are the winner's; without them the constructor raises.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from baselines.arrays import Floats
from baselines.resnet50v2.model import Model as Deep
from winner_solution.nets.runtime import load_backbone
from winner_solution.nets.trainable import trainable_network


class Model(Deep):
    """See the top of this file."""

    file = "finetune.npz"
    side = 96
    learning_rate = 3e-4

    def build(self) -> Any:
        """Pictures (96, 96, 3) of 0..255 to logits."""
        return trainable_network(load_backbone("mobilenet-v2"), self.side, self.side, self.classes)

    def measure(self, pictures: Floats) -> Floats:
        """What maps the range of the pictures to 0..255."""
        low, high = min(0.0, float(pictures.min())), max(1.0, float(pictures.max()))
        return np.array([low, (high - low) / 255], np.float32)
