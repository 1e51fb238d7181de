"""Write scikit-learn's handwritten digits as a folder of images, as a user would have them.

    python demo/digits.py FOLDER

1,797 real images of 8 x 8 pixels (UCI, Optical Recognition of Handwritten Digits). Every sixth goes
to ``unlabelled/``; the others lie beside a ``labels.csv`` with the columns ``FileName,Labels``.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

UNLABELLED_EVERY = 6
LARGEST = 16  # of a pixel, in this dataset


def write_digits(folder: Path) -> None:
    """Make the folder and fill it."""
    digits = load_digits()
    (folder / "unlabelled").mkdir(parents=True)
    labels = [("FileName", "Labels")]
    for number, (pixels, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        image = Image.fromarray((pixels * 255 / LARGEST).round().astype(np.uint8))
        name = f"{number:04}.png"
        if number % UNLABELLED_EVERY == 0:
            image.save(folder / "unlabelled" / name)
        else:
            image.save(folder / name)
            labels.append((name, str(label)))
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(labels)


if __name__ == "__main__":
    write_digits(Path(sys.argv[1]))
