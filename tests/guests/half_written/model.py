"""A guest that writes into its output folder what only ingestion may write."""

import sys
import time
from pathlib import Path

import numpy as np


class Model:
    done_training = False

    def __init__(self, metadata):
        self.classes = metadata.get_output_size()
        self.output = Path(sys.argv[sys.argv.index("--output") + 1])
        self.tests = 0

    def train(self, dataset, remaining_time_budget=None):
        if self.tests:
            (self.output / "end.txt").write_text("ingestion_success: maybe")
            (self.output / "ingestion.json").write_text('{"error": {"code": "X Y"')
            (self.output / "toy.predict_1").write_text("0.5 0.")
            with (self.output / "start.txt").open("a") as file:
                file.write("1: 0.0\nstart_time: 99999999999\n7: x\n2: 17000")
            time.sleep(600)

    def test(self, dataset, remaining_time_budget=None):
        self.tests += 1
        return np.full((len(dataset), self.classes), 0.5)
