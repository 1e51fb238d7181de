"""A guest that predicts once, then claims the second time long before its prediction."""

import pathlib
import sys
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
    output = pathlib.Path(sys.argv[sys.argv.index("--output") + 1])
    start = dict(line.split(": ") for line in (output / "start.txt").read_text().splitlines())
    with (output / "start.txt").open("a") as file:
        file.write(f"1: {start['0']}\n")
    time.sleep(1.5)
    (output / "toy.predict_1").write_text("0.5 0.5 0.5\n" * 20)
    time.sleep(600)
