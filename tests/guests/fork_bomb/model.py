"""A guest that predicts once, then doubles its processes to 2,048."""

import os
import signal
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
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for _ in range(11):
        os.fork()
    while True:
        time.sleep(1)
