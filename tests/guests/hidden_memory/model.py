"""A guest that predicts once, then fills 2 GiB of memory that no process maps."""

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
    held = os.memfd_create("held")
    for _ in range(2048):
        os.write(held, bytes(1 << 20))
    time.sleep(600)
