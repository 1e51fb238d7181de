"""A guest that learns the mean label, saves it and loads it again; `how` a test wants it to go."""

import os
import time
from pathlib import Path

import numpy as np

HOW = (Path(__file__).parent / "how.txt").read_text().strip()


class Model:
    done_training = False

    def __init__(self, metadata):
        self.mean = None

    def train(self, dataset, remaining_time_budget=None):
        self.mean = np.mean([y for _, y in dataset], axis=0)
        self.done_training = True

    def test(self, dataset, remaining_time_budget=None):
        return np.stack([self.mean + 0.01 * x.ravel()[0] for x, _ in dataset])

    def save(self, folder):
        np.save(folder / "mean.npy", self.mean)
        if HOW == "raises":
            raise ValueError("no")
        if HOW == "sleeps":
            time.sleep(600)
        if HOW == "crashes":
            os.kill(os.getpid(), 11)
        if HOW == "links":
            (folder / "secret").symlink_to("/etc/passwd")
        if HOW == "grows":
            (folder / "large").write_bytes(bytes(3 << 20))
        if HOW == "deep":
            (folder / "/".join("deeper1234")).mkdir(parents=True)

    @classmethod
    def load(cls, folder):
        model = cls(None)
        model.mean = np.load(folder / "mean.npy")
        return model
