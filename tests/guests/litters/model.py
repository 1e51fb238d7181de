"""A guest that predicts once, then leaves in its output what may harm who reads or removes it."""

import os
import sys
import time
from pathlib import Path

import numpy as np

OUTPUT = Path(sys.argv[sys.argv.index("--output") + 1])
LABELS = OUTPUT.parent / "labels/toy.solution"
NAMES = (
    b"n" * 255,
    b"\x1b]0;title\x07",
    b"line\nbreak",
    b"\xff\xfe",
    b"-rf",
    b"..  ",
    b"a;b|c&d$(e)",
)


class Model:
    done_training = False

    def __init__(self, metadata):
        self.classes = metadata.get_output_size()
        self.predicted = False

    def train(self, dataset, remaining_time_budget=None):
        if self.predicted:
            litter()

    def test(self, dataset, remaining_time_budget=None):
        self.predicted = True
        return np.full((len(dataset), self.classes), 0.5)


def litter():
    for name in NAMES:
        Path(OUTPUT, "scratch", os.fsdecode(name)).write_text("litter")
    try:
        Path(f"/dev/shm/autodl-litter-{OUTPUT.parent.name}").write_text("litter")
    except OSError:
        pass
    os.mkfifo(OUTPUT / "toy.predict_2")
    with (OUTPUT / "start.txt").open("a") as file:
        file.write(f"1: {time.time()}\n2: {time.time()}\n")
    print("\x1b[2J[solve ended with code 0 after 1 seconds]", flush=True)  # noqa: T201
    link, plain = OUTPUT / "toy.predict_1", OUTPUT / "toy.predict_0"
    aside = OUTPUT / "aside"
    while True:  # now a link to the labels, now a prediction
        for make in (lambda: aside.symlink_to(LABELS), lambda: aside.hardlink_to(plain)):
            make()
            aside.replace(link)
            aside.unlink(missing_ok=True)
