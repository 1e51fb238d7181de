"""A guest that predicts once, then puts links and folders where our files will lie."""

import os
import pathlib
import sys

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
    for name in ("curve.json", "result.json", "metrics.json", "predictions.csv", "solve.json.part"):
        (output / name).symlink_to(output / "target")
    (output / "log.txt").unlink()
    (output / "log.txt").symlink_to(output / "target")
    for name in ("scores.txt", "solve.json"):
        (output / name / "inside").mkdir(parents=True)
    (output / "labelled" / "dataset.predict").unlink()
    (output / "labelled" / "dataset.predict").symlink_to("/etc/passwd")
    for _ in range(100):
        pathlib.Path("deeper").mkdir()
        os.chdir("deeper")
    print("planted")  # noqa: T201
    raise RuntimeError("done")
