"""Datasets of 10,000 examples of everyday size, made by code, one a kind of data.

They are for what size alone decides: the seconds to a first answer, memory. Classes differ a little
in what a learner of that kind looks at; what they score says nothing about real data.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from demo.samples import write_clip, write_csv

EXAMPLES = 10_000
CLASSES = 5
SEED = 11
SIDE = 128  # pixels of an image
WIDTH, HEIGHT, FRAMES = 160, 120, 24  # of a clip
RATE = 16_000  # Hz; sounds last a second
WORDS, WORDS_IN_TEXT = 20_000, 100
STEPS, CHANNELS = 256, 3
NUMBERS, NAMES = 40, 10  # columns of a table


def write_images(folder: Path) -> None:
    """JPEG files: stripes whose direction tells the class, in noise."""

    def make(path: Path, label: int, random: np.random.Generator) -> None:
        Image.fromarray(_stripes(label, (SIDE, SIDE), 0, random)).save(path.with_suffix(".jpg"))

    _write_files(folder, make)


def write_clips(folder: Path) -> None:
    """MP4 files: stripes that move, and whose direction tells the class."""

    def make(path: Path, label: int, random: np.random.Generator) -> None:
        frames = [_stripes(label, (HEIGHT, WIDTH), time, random) for time in range(FRAMES)]
        write_clip(path.with_suffix(".mp4"), frames, rate=24)

    _write_files(folder, make)


def write_sounds(folder: Path) -> None:
    """WAV files: tones of a height that tells the class, in noise."""

    def make(path: Path, label: int, random: np.random.Generator) -> None:
        height = 200 * 1.5**label * random.uniform(0.8, 1.25)
        wave = np.sin(2 * np.pi * height * np.arange(RATE) / RATE) + random.normal(0, 1, RATE)
        soundfile.write(path.with_suffix(".wav"), (0.2 * wave).clip(-1, 1), RATE)

    _write_files(folder, make)


def write_texts(path: Path) -> None:
    """Words as frequent as in a language; each class uses a hundred of its own now and then."""
    random = np.random.default_rng(SEED)
    frequencies = 1 / np.arange(1, WORDS + 1)
    frequencies /= frequencies.sum()
    rows = []
    for number in range(EXAMPLES):
        label = number % CLASSES
        codes = random.choice(WORDS, WORDS_IN_TEXT, p=frequencies)
        codes[:2] = WORDS - 100 * (label + 1) + random.integers(0, 100, 2)
        rows.append([" ".join(f"word{code}" for code in codes), f"c{label}"])
    write_csv(path, ["text", "label"], rows)


def write_series(path: Path) -> None:
    """Waves of a length that tells the class, in noise, on several channels."""
    random = np.random.default_rng(SEED)
    header = [f"c{channel}_t{step}" for channel in range(CHANNELS) for step in range(STEPS)]
    time = np.arange(STEPS)
    rows = []
    for number in range(EXAMPLES):
        label = number % CLASSES
        phases = random.uniform(0, 2 * np.pi, (CHANNELS, 1))
        values = np.sin(2 * np.pi * time / (12 + 3 * label) + phases)
        values += random.normal(0, 1, values.shape)
        rows.append([*(f"{value:.3f}" for value in values.ravel()), f"c{label}"])
    write_csv(path, [*header, "label"], rows)


def write_table(path: Path) -> None:
    """Numbers and names, a few of which are shifted by the class."""
    random = np.random.default_rng(SEED)
    header = [f"x{n}" for n in range(NUMBERS)] + [f"name{n}" for n in range(NAMES)]
    rows = []
    for number in range(EXAMPLES):
        label = number % CLASSES
        values = random.normal(0, 1, NUMBERS)
        values[label] += 1
        names = random.integers(0, 20, NAMES)
        names[0] = (names[0] + label) % 20 if random.random() < 0.5 else names[0]
        cells = [*(f"{value:.4f}" for value in values), *(f"n{name}" for name in names)]
        rows.append([*cells, f"c{label}"])
    write_csv(path, [*header, "label"], rows)


WRITERS: dict[str, Callable[[Path], None]] = {
    "images": write_images,
    "clips": write_clips,
    "sounds": write_sounds,
    "texts": write_texts,
    "series": write_series,
    "table": write_table,
}
FOLDERS = ("images", "clips", "sounds")  # the others are one table


def _stripes(
    label: int, shape: tuple[int, int], time: int, random: np.random.Generator
) -> np.ndarray:
    """Pixels of (height, width, 3), uint8."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    angle = np.pi * label / CLASSES
    wave = np.sin((rows * np.sin(angle) + columns * np.cos(angle)) / 3 + time)
    noise = random.integers(0, 128, (*shape, 3), dtype=np.uint8)
    return noise + (64 + 32 * wave[..., None]).astype(np.uint8)


def _write_files(folder: Path, make: Callable[[Path, int, np.random.Generator], None]) -> None:
    """A folder per class; ``make`` adds the suffix."""
    random = np.random.default_rng(SEED)
    for label in range(CLASSES):
        (folder / f"c{label}").mkdir(parents=True)
    for number in range(EXAMPLES):
        label = number % CLASSES
        make(folder / f"c{label}" / f"{number:05d}", label, random)
