"""Small sources, made by code."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def write_images(folder: Path, names: list[str], size: tuple[int, int] = (12, 8)) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        pixels = np.full((size[1], size[0], 3), number * 7 % 256, np.uint8)
        pixels[:, :, 0] = 200
        Image.fromarray(pixels).save(folder / name)


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    """Twenty 12 x 8 pictures of two classes in one folder, and three unlabelled ones."""
    folder = tmp_path / "pictures"
    names = [f"p{n}.png" for n in range(20)]
    write_images(folder, names)
    lines = [f"{name},{'cat' if n % 2 else 'dog'}" for n, name in enumerate(names)]
    (folder / "labels.csv").write_text("\n".join(["FileName,Labels", *lines]) + "\n")
    write_images(folder / "unlabelled", ["u10.png", "u2.png", "u1.png"])
    return folder


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Thirty rows with a numeric and a categorical column, missing values, and a label."""
    rows = [
        f"{n / 2 if n % 7 else ''},{'red' if n % 3 else 'blue'},{'yes' if n % 2 else 'no'}"
        for n in range(30)
    ]
    path = tmp_path / "things.csv"
    path.write_text("\n".join(["size,colour,label", *rows]) + "\n")
    return path
