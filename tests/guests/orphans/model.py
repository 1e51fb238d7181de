"""A guest that ends well and leaves a process behind, in a session of its own."""

import os
import time

import numpy as np


class Model:
    done_training = False

    def __init__(self, metadata):
        self.classes = metadata.get_output_size()

    def train(self, dataset, remaining_time_budget=None):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                while True:
                    time.sleep(1)
            os._exit(0)
        os.wait()

    def test(self, dataset, remaining_time_budget=None):
        self.done_training = True
        return np.full((len(dataset), self.classes), 0.5)
