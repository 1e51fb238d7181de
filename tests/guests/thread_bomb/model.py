"""A guest that predicts once, then starts 4,000 threads."""

import threading
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
    for _ in range(4000):
        threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
    time.sleep(600)
