"""A guest that predicts once, then makes 20,000 empty files."""

import os
import time

import numpy as np


class Model:
    done_training = False

    def __init__(self, metadata):
        self.classes = metadata.get_output_size()
        self.predicted = False

    def train(self, dataset, remaining_time_budget=None):
        if self.predicted:
            misbehave()

    def test(self, dataset, remaining_time_budget=None):
        self.predicted = True
        return np.full((len(dataset), self.classes), 0.5)


def misbehave():
    for k in range(20_000):
        os.mknod(f"file{k}")
    time.sleep(600)
