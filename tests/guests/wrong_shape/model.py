"""A guest that returns too few rows."""

import numpy as np


class Model:
    done_training = False

    def __init__(self, metadata):
        self.classes = metadata.get_output_size()

    def train(self, dataset, remaining_time_budget=None):
        return None

    def test(self, dataset, remaining_time_budget=None):
        return np.zeros((3, self.classes))
