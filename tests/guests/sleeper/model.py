"""A guest that predicts at once, then sleeps over the deadline."""

import time

import numpy as np


class Model:
    done_training = False

    def __init__(self, metadata):
        self.classes = metadata.get_output_size()
        self.seconds = 0

    def train(self, dataset, remaining_time_budget=None):
        time.sleep(self.seconds)
        self.seconds = 600

    def test(self, dataset, remaining_time_budget=None):
        return np.full((len(dataset), self.classes), 0.5)
