"""Write a small sample source of one kind, laid out as users have theirs.

    python demo/samples.py table|texts|series|sounds|clips PLACE

The table is real (UCI Wine, from scikit-learn); the others are made by code, with a fixed seed.
They show the way; what they score says nothing about real data.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import av
import numpy as np
import soundfile
from sklearn.datasets import load_wine

SEED = 7
RATE = 8000  # of the sounds, in Hz
WORDS = {
    "praise": "splendid lovely bright careful generous quick friendly calm clever warm".split(),
    "complaint": "broken noisy late rude dull slow cold dirty careless wrong".split(),
}
THINGS = "room train meal screen letter garden teacher engine answer window".split()


def write_table(path: Path) -> None:
    """178 wines of three growers: 13 measurements and the label ``cultivar``."""
    wine = load_wine()
    rows = (
        [*values, f"grower{label}"] for values, label in zip(wine.data, wine.target, strict=True)
    )
    write_csv(path, [*wine.feature_names, "cultivar"], rows)


def write_texts(path: Path) -> None:
    """240 sentences that praise or complain."""
    random = np.random.default_rng(SEED)
    rows = []
    for number in range(240):
        label = ("praise", "complaint")[number % 2]
        thing, other = random.choice(THINGS, 2, replace=False)
        word, more = random.choice(WORDS[label], 2, replace=False)
        rows.append([f"The {thing} near the {other} was {word} and {more}, no. {number}", label])
    write_csv(path, ["text", "label"], rows)


def write_series(path: Path) -> None:
    """180 series of 20 to 40 steps and two channels: sine, square or saw-tooth."""
    random = np.random.default_rng(SEED)
    header = [f"c{channel}_t{step}" for channel in range(2) for step in range(40)]
    rows = []
    for number in range(180):
        name, shape = list(_SHAPES.items())[number % 3]
        length = int(random.integers(20, 41))
        phase = np.arange(length) / random.uniform(6, 10)
        values = np.stack([shape(phase), shape(phase + 0.25)])
        values += random.normal(0, 0.3, values.shape)
        cells = [f"{v:.3f}" for row in values for v in [*row, *[np.nan] * (40 - length)]]
        rows.append([*["" if cell == "nan" else cell for cell in cells], name])
    write_csv(path, [*header, "label"], rows)


def write_sounds(folder: Path) -> None:
    """90 sounds of half a second, a folder per class."""
    random = np.random.default_rng(SEED)
    for name, shape in _SHAPES.items():
        (folder / name).mkdir(parents=True)
        for number in range(30):
            phase = np.arange(RATE // 2) / RATE * random.uniform(150, 400)
            wave = 0.4 * shape(phase) + random.normal(0, 0.1, len(phase))
            soundfile.write(folder / name / f"{number}.wav", np.clip(wave, -1, 1), RATE)


def write_clips(folder: Path) -> None:
    """60 clips of a square that moves to the left, to the right or up."""
    random = np.random.default_rng(SEED)
    for name, (right, down) in {"left": (-2, 0), "right": (2, 0), "up": (0, -2)}.items():
        (folder / name).mkdir(parents=True)
        for number in range(20):
            x, y = random.integers(20, 44, 2)
            frames = [_draw(x + right * t, y + down * t, random) for t in range(10)]
            write_clip(folder / name / f"{number}.mp4", frames, rate=10)


def write_clip(path: Path, frames: list[np.ndarray], rate: int) -> None:
    """Frames of (height, width, 3), uint8, as MP4; ``rate`` of them a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels)))
        container.mux(stream.encode())


def write_csv(path: Path, header: list[str], rows: Iterable[list[object]]) -> None:
    """A table with a line of names."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


_SHAPES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "sine": lambda phase: np.sin(2 * np.pi * phase),
    "square": lambda phase: np.sign(np.sin(2 * np.pi * phase)),
    "saw": lambda phase: 2 * (phase % 1) - 1,
}
WRITERS = {
    "table": write_table,
    "texts": write_texts,
    "series": write_series,
    "sounds": write_sounds,
    "clips": write_clips,
}


def _draw(x: int, y: int, random: np.random.Generator) -> np.ndarray:
    pixels = random.integers(0, 60, (64, 64, 3), dtype=np.uint8)
    pixels[max(0, y - 8) : y + 8, max(0, x - 8) : x + 8] = 220
    return pixels


if __name__ == "__main__":
    WRITERS[sys.argv[1]](Path(sys.argv[2]))
