"""A guest that predicts once, then ignores SIGTERM, as do its children, one of them an orphan."""

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
        if not self.predicted:
            return
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        if os.fork() == 0:  # a child in a session of its own, whose parent dies at once
            os.setsid()
            if os.fork():
                os._exit(0)
        os.fork()
        while True:
            time.sleep(1)

    def test(self, dataset, remaining_time_budget=None):
        self.predicted = True
        return np.full((len(dataset), self.classes), 0.5)
