"""A guest whose child goes on in a thread after its main thread has left."""

import ctypes
import os
import platform
import threading
import time

import numpy as np


class Model:
    done_training = False

    def __init__(self, metadata):
        self.classes = metadata.get_output_size()

    def train(self, dataset, remaining_time_budget=None):
        if os.fork() == 0:
            threading.Thread(target=time.sleep, args=(600,)).start()
            leave = {"x86_64": 60, "aarch64": 93}[platform.machine()]  # of this thread only
            ctypes.CDLL(None).syscall(leave, 0)
        time.sleep(0.5)

    def test(self, dataset, remaining_time_budget=None):
        self.done_training = True
        return np.full((len(dataset), self.classes), 0.5)
