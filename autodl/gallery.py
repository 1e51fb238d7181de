"""A few training examples to look at, as values: pages draw them, nothing here does."""

from __future__ import annotations

import base64
import io
import itertools
import math
import wave
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from autodl.bundle import find_bundle, read_items
from autodl.dataset import Dataset, open_subset
from autodl.decode import decode_labels, decode_tensor
from autodl.errors import BundleError
from autodl.images import Pixels, decode_image
from autodl.report import Report
from autodl.text import decode_tokens

EXAMPLES = 24
THUMBNAIL_PIXELS = 128
SHOWN_LETTERS = 300
SHOWN_VALUES = 20
WAVE_STEPS = 200
SOUND_RATE, SOUND_SECONDS = 16_000, 5  # bundles do not tell their rate; the challenge's was this
LOOKED_AT = ("label-suspicious", "similar-examples", "duplicates-with-other-labels")


@dataclass(frozen=True)
class Example:
    """One training example.

    ``content`` is a JPEG in base64, a text, or what is wrong; of a wave, and of a series' first
    channel, it is (low, high) pairs between -1 and 1, of other values the first few, None where
    one is missing.
    """

    record: int  #: 0-based
    labels: tuple[str, ...]
    is_named: bool  #: by a finding
    kind: Literal["picture", "text", "wave", "values", "error"]
    content: str | list[float | None] | list[tuple[float, float]]
    item: str = ""  #: what the record is called, where it has a name
    sound: str = ""  #: of a wave, where it was asked for: the first seconds as WAV in base64

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def pick_examples(root: Path, report: Report) -> list[Example]:
    """Those that findings name, then some from all over the training set; none without one."""
    if "train" not in report.summary.get("subsets", {}):
        return []
    try:
        train = find_bundle(root).train
        dataset, names = open_subset(train), read_items(train) or []
    except BundleError:
        return []  # the findings say why
    items = dict(enumerate(names))
    named = [f.record for f in report.findings if f.code in LOOKED_AT and f.record is not None]
    step = max(1, len(dataset) // EXAMPLES)
    some = range(0, len(dataset), step)[:EXAMPLES]
    shown = (*_show(dataset, named, is_named=True), *_show(dataset, some, is_named=False))
    return [replace(e, item=items.get(e.record, "")) for e in shown]


def show_records(
    dataset: Dataset, records: Iterable[int], *, with_sound: bool = False
) -> list[Example]:
    """These examples; one that cannot be read says why."""
    shown = list(_show(dataset, records, is_named=False))
    if not with_sound or dataset.metadata_.domain != "speech":
        return shown
    return [
        replace(e, sound=_encode_sound(dataset[e.record][0])) if e.kind == "wave" else e
        for e in shown
    ]


def _show(dataset: Dataset, records: Iterable[int], *, is_named: bool) -> Iterator[Example]:
    for index in records:
        try:
            yield _show_one(dataset, index, is_named)
        except BundleError as error:
            yield Example(index, (), is_named, "error", error.message)


def _show_one(dataset: Dataset, index: int, is_named: bool) -> Example:
    record = dataset.record(index)
    names = dataset.get_class_labels()
    labels = tuple(names[c] for c in np.flatnonzero(decode_labels(record, len(names))))
    if record.compressed:  # of a video one frame is enough
        middle = record.compressed[len(record.compressed) // 2]
        pixels = decode_image(middle, dataset.metadata.get_num_channels())
        return Example(index, labels, is_named, "picture", _encode(pixels))
    example = decode_tensor(record, dataset.metadata_)
    match dataset.metadata_.domain:
        case "video" if 1 in example.shape[1:3]:
            return Example(index, labels, is_named, "wave", _outline(example[:, 0, 0, 0]))
        case "image" | "video" if len(example):
            frame = np.clip(np.nan_to_num(example[len(example) // 2]), 0, 1)
            packed = _encode(np.round(frame * 255).astype(np.uint8))
            return Example(index, labels, is_named, "picture", packed)
        case "text":
            text = decode_tokens(example, dataset.metadata_)[:SHOWN_LETTERS]
            return Example(index, labels, is_named, "text", text)
        case "speech":
            return Example(index, labels, is_named, "wave", _outline(example.reshape(-1)))
    flat = example.reshape(-1)[:SHOWN_VALUES].tolist()
    values = [value if math.isfinite(value) else None for value in flat]
    return Example(index, labels, is_named, "values", values)


def _encode(pixels: Pixels) -> str:
    image = Image.fromarray(pixels[:, :, :3] if pixels.shape[2] >= 3 else pixels[:, :, 0])
    image.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS))
    packed = io.BytesIO()
    image.save(packed, "JPEG")
    return base64.b64encode(packed.getvalue()).decode("ascii")


def _encode_sound(example: NDArray[np.float32]) -> str:
    values = np.nan_to_num(example.reshape(-1)[: SOUND_RATE * SOUND_SECONDS])
    top = float(np.abs(values).max(initial=0)) or 1.0
    packed = io.BytesIO()
    with wave.open(packed, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(SOUND_RATE)
        file.writeframes(np.round(127.5 + 127 * values / top).astype(np.uint8).tobytes())
    return base64.b64encode(packed.getvalue()).decode("ascii")


def _outline(values: NDArray[np.float32]) -> list[tuple[float, float]]:
    """How far a wave goes down and up in each of its parts, its loudest place being 1.

    A part begins where the one before it ends, so that a few values make a line, too.
    """
    finite = np.nan_to_num(values)
    top = float(np.abs(finite).max(initial=0)) or 1.0
    ends = np.linspace(0, len(finite), min(WAVE_STEPS, len(finite)) + 1, dtype=np.int64)
    parts = (finite[max(0, low - 1) : high] for low, high in itertools.pairwise(ends.tolist()))
    return [
        (round(float(part.min()) / top, 3), round(float(part.max()) / top, 3)) for part in parts
    ]
