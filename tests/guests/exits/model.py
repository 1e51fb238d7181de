"""A guest that calls sys.exit in train."""

import sys

import numpy as np


class Model:
    done_training = False

    def __init__(self, metadata):
        self.classes = metadata.get_output_size()

    def train(self, dataset, remaining_time_budget=None):
        sys.exit("enough")

    def test(self, dataset, remaining_time_budget=None):
        return np.full((len(dataset), self.classes), 0.5)
