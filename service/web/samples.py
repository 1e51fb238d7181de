"""Five small datasets to try the service with, made by code: raw data, as users have them.

Each has an unlabelled part, so that there is something to predict. They show the way; what they
score says nothing about real data. The same bytes each time, so that a user stores them once.
"""

from __future__ import annotations

import csv
import functools
import io
import math
import random
import struct
import wave
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from service.web.language import N_

SEED = 7
TIME = (1980, 1, 1, 0, 0, 0)  # the earliest a zip can hold: no clock in the bytes
BUDGET_SECONDS = 120.0
PIXELS, RATE, STEPS = 32, 8000, 40
PARTS = {"train": 0.7, "test": 0.9, "unlabelled": 1.0}  # up to which share of the rows
Files = Iterator[tuple[str, bytes]]

#: the header of a bitmap of 24 bits a pixel, whose rows follow from the bottom up
BITMAP = struct.pack(
    "<2sIIIIiiHHIIiiII",
    *(b"BM", 54 + 3 * PIXELS**2, 0, 54, 40, PIXELS, PIXELS, 1, 24, 0, 3 * PIXELS**2, 0, 0, 0, 0),
)

SHAPES: dict[str, Callable[[float], float]] = {  # of a wave, by its phase
    "sine": lambda phase: math.sin(2 * math.pi * phase),
    "square": lambda phase: 1.0 if phase % 1 < 0.5 else -1.0,
    "saw": lambda phase: 2 * (phase % 1) - 1,
}
FRUITS = {  # grams, millimetres, sweetness in degrees Brix, colours
    "apple": (180, 78, 13, ("red", "green", "yellow")),
    "pear": (170, 68, 14, ("green", "yellow", "brown")),
    "plum": (60, 44, 15, ("purple", "red", "yellow")),
    "orange": (200, 75, 11, ("orange",)),
}
TOPICS = {
    "kitchen": (
        "simmer the broth until it thickens",
        "fold the butter into the dough",
        "the oven must be hot before the bread goes in",
        "season the lentils with cumin and salt",
    ),
    "weather": (
        "rain moves in from the west by noon",
        "the night stays clear with light frost",
        "gusts along the coast bring showers",
        "fog lingers in the valleys until late morning",
    ),
    "football": (
        "the keeper saved the penalty in extra time",
        "a late goal settled the match",
        "the striker was offside by a metre",
        "both teams pressed high from the kick-off",
    ),
}
ASIDES = ("today", "as so often", "this week", "once more", "again", "for a change", "by all means")


@dataclass(frozen=True)
class Sample:
    """A dataset to try: what it is called, and what makes the files of its zip."""

    title: str
    words: str
    make: Callable[[random.Random], Files]


def _draw_shapes(draw: random.Random) -> Files:
    """240 pictures of circles, squares and triangles, of any size, place and colour."""
    insides: dict[str, Callable[[float, float], bool]] = {
        "circle": lambda x, y: x * x + y * y < 1,
        "square": lambda x, y: max(abs(x), abs(y)) < 0.85,
        "triangle": lambda x, y: -0.8 < y and abs(x) < 0.55 * (1 - y),
    }
    for number in range(240):
        name = draw.choice(list(insides))
        folder = name if number < 220 else "unlabelled"
        size, middle = draw.uniform(7, 12), [draw.uniform(12, 20) for _ in range(2)]
        ink, paper = ([draw.randint(low, low + 115) for _ in range(3)] for low in (0, 140))
        pixels = bytearray()
        for y in range(PIXELS):
            for x in range(PIXELS):
                inside = insides[name]((x - middle[0]) / size, (y - middle[1]) / size)
                pixels += bytes(
                    min(255, max(0, value + draw.randint(-12, 12)))
                    for value in (ink if inside else paper)
                )
        yield f"{folder}/{number:03}.bmp", BITMAP + pixels


def _play_tones(draw: random.Random) -> Files:
    """100 sounds of half a second: sine, square and saw-tooth waves, in noise."""
    for number in range(100):
        name = draw.choice(list(SHAPES))
        folder = name if number < 90 else "unlabelled"
        pitch = draw.uniform(150, 400)
        values = (
            0.4 * SHAPES[name](step / RATE * pitch) + draw.gauss(0, 0.1)
            for step in range(RATE // 2)
        )
        samples = (round(32767 * min(1.0, max(-1.0, value))) for value in values)
        packed = io.BytesIO()
        with wave.open(packed, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes(b"".join(s.to_bytes(2, "little", signed=True) for s in samples))
        yield f"{folder}/{number:03}.wav", packed.getvalue()


def _write_sentences(draw: random.Random) -> Files:
    """300 short texts about three topics."""
    rows = []
    for _ in range(300):
        topic = draw.choice(list(TOPICS))
        first, second = draw.sample(TOPICS[topic], 2)
        hour = f"at {draw.randint(1, 12)} o'clock and {draw.randint(1, 59)} minutes"
        text = f"{draw.choice(ASIDES)}, {hour}: {first}, and {second}."
        rows.append([text.capitalize(), topic])
    yield from _write_tables(["text", "label"], rows)


def _weigh_fruits(draw: random.Random) -> Files:
    """300 fruits: weight, diameter, sweetness and colour, some of them missing."""
    rows = []
    for _ in range(300):
        fruit = draw.choice(list(FRUITS))
        *means, colours = FRUITS[fruit]
        cells = [f"{draw.gauss(mean, 0.12 * mean):.1f}" for mean in means]
        cells = ["" if draw.random() < 0.03 else cell for cell in [*cells, draw.choice(colours)]]
        rows.append([*cells, fruit])
    yield from _write_tables(["weight_g", "diameter_mm", "sweetness", "colour", "label"], rows)


def _measure_waves(draw: random.Random) -> Files:
    """240 series of two channels."""
    header = [f"c{channel}_t{step}" for channel in range(2) for step in range(STEPS)]
    rows = []
    for _ in range(240):
        name, period = draw.choice(list(SHAPES)), draw.uniform(6, 10)
        cells = [
            f"{SHAPES[name](step / period + shift) + draw.gauss(0, 0.3):.3f}"
            for shift in (0, 0.25)
            for step in range(STEPS)
        ]
        rows.append([*cells, name])
    yield from _write_tables([*header, "label"], rows)


def _write_tables(header: list[str], rows: list[list[str]]) -> Files:
    """The rows as three tables; the last has no labels."""
    begin = 0
    for part, share in PARTS.items():
        end = round(share * len(rows))
        text = io.StringIO(newline="")
        labelled = None if part != "unlabelled" else -1
        csv.writer(text).writerows(row[:labelled] for row in [header, *rows[begin:end]])
        yield f"{part}.csv", text.getvalue().encode()
        begin = end


SAMPLES = {
    "shapes": Sample(N_("Pictures"), N_("circles, squares and triangles"), _draw_shapes),
    "tones": Sample(N_("Sounds"), N_("three kinds of tones, in noise"), _play_tones),
    "sentences": Sample(N_("Texts"), N_("sentences about three topics"), _write_sentences),
    "fruits": Sample(N_("A table"), N_("fruits by weight, size and colour"), _weigh_fruits),
    "waves": Sample(N_("Series"), N_("three wave forms, on two channels"), _measure_waves),
}


@functools.cache
def make_sample(name: str) -> bytes:
    """The zip of a sample; raises ``KeyError``."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in SAMPLES[name].make(random.Random(SEED)):  # noqa: S311 no secret
            entry = zipfile.ZipInfo(f"{name}/{path}", TIME)
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return packed.getvalue()
