"""A guest that predicts once, then writes 4 GiB of files."""

import tempfile

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
    with tempfile.NamedTemporaryFile() as file:
        for _ in range(4096):
            file.write(bytes(1 << 20))
            file.flush()
