"""A guest that predicts the same for all and is done after two predictions."""

import numpy as np


class Model:
    def __init__(self, metadata):
        self.classes = metadata.get_output_size()
        self.tests = 0

    @property
    def done_training(self):
        return self.tests >= 2

    def train(self, dataset, remaining_time_budget=None):
        assert remaining_time_budget > 0

    def test(self, dataset, remaining_time_budget=None):
        self.tests += 1
        print("tested", self.tests)  # noqa: T201
        return np.full((len(dataset), self.classes), 0.5)
