"""One example for the eye: pictures as coloured cells, series as lines, texts and rows as words."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from autodl.errors import UsageError
from autodl.text import decode_tokens

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rich.console import Console

    from autodl.dataset import Dataset

PICTURE_COLUMNS = 64
LINE_ROWS = 9
SHADES = " .:-=+*#%@"  # for consoles without colour, from dark to bright
SHOWN_FEATURES = 50
SAMPLE_RATE = 16_000  # of the challenge's speech; the format itself keeps none


def describe_example(dataset: Dataset, number: int) -> dict[str, Any]:
    """Number, shape, and the value of each label that it has, by name."""
    example, labels = dataset[number]
    names = dataset.get_class_labels()
    told = {str(names[c]): float(labels[c]) for c in np.flatnonzero(labels)}
    return {"number": number, "shape": list(example.shape), "labels": told}


def show_example(dataset: Dataset, number: int, console: Console) -> None:
    """Print example ``number``, its labels first."""
    from rich.markup import escape

    example, _ = dataset[number]
    about = describe_example(dataset, number)
    told = [
        name + ("" if value == 1 else f" ({value:g})") for name, value in about["labels"].items()
    ]
    shape = " x ".join(map(str, about["shape"]))
    console.print(f"example {number}: {escape(', '.join(told)) or 'no label'}; {shape}")
    domain = dataset.metadata_.domain
    if domain in ("image", "video"):
        _print_picture(example[len(example) // 2], console)
    elif domain == "text":
        console.print(decode_tokens(example, dataset.metadata_), markup=False)
    elif domain == "speech":
        console.print(_line(example.reshape(-1), console.width - 1), markup=False)
    else:
        _print_row(dataset, example, console)


def write_example(dataset: Dataset, number: int, out: Path) -> None:
    """Write example ``number`` to a file, in the way that its suffix and kind ask for."""
    from PIL import Image

    example, _ = dataset[number]
    domain = dataset.metadata_.domain
    if domain in ("image", "video"):
        frames = [Image.fromarray(_rgb(frame)) for frame in example]
        if out.suffix == ".gif":
            frames[0].save(out, save_all=True, append_images=frames[1:], duration=40, loop=0)
        else:
            frames[len(frames) // 2].save(out)
    elif domain == "speech" and out.suffix == ".wav":
        _write_wav(example.reshape(-1), out)
    elif domain == "text":
        out.write_text(decode_tokens(example, dataset.metadata_) + "\n", encoding="utf-8")
    elif out.suffix in (".txt", ".csv"):
        np.savetxt(out, example.reshape(len(example), -1), fmt="%g", delimiter=",")
    else:
        kind = out.suffix or "a file without suffix"
        raise UsageError(
            "output-kind",
            f"An example of kind {domain} cannot be written as {kind}.",
            hint="Pictures go to .png or .gif, sounds to .wav, texts to .txt, numbers to .csv.",
        )


def _rgb(frame: NDArray[np.float32]) -> NDArray[np.uint8]:
    """uint8 (height, width, 3) of a frame with values in [0, 1] or of any other range."""
    low, high = np.nanmin(frame, initial=0), np.nanmax(frame, initial=0)
    if low < 0 or high > 1:
        frame = (frame - low) / (high - low)
    pixels = np.round(np.nan_to_num(frame) * 255).astype(np.uint8)
    return pixels[:, :, :3] if pixels.shape[2] >= 3 else np.repeat(pixels[:, :, :1], 3, axis=2)


def _print_picture(frame: NDArray[np.float32], console: Console) -> None:
    """Two pixels a cell: an upper half block in the colour of one, on the colour of the other."""
    from PIL import Image
    from rich.text import Text

    picture = Image.fromarray(_rgb(frame))
    width = min(PICTURE_COLUMNS, console.width - 1, picture.width)
    height = max(2, round(picture.height * width / picture.width) // 2 * 2)
    pixels = np.asarray(picture.resize((width, height), Image.Resampling.BOX))
    for upper, lower in zip(pixels[::2], pixels[1::2], strict=True):
        row = Text()
        for top, bottom in zip(upper.tolist(), lower.tolist(), strict=True):
            if console.color_system is None:
                row.append(SHADES[sum(top + bottom) * len(SHADES) // (6 * 255 + 1)])
            else:
                row.append("▀", f"rgb({_triple(top)}) on rgb({_triple(bottom)})")
        console.print(row)


def _triple(colour: list[int]) -> str:
    return ",".join(map(str, colour))


def _line(values: NDArray[np.float32], width: int) -> str:
    """The span between lowest and highest value of each stretch, a column per stretch."""
    finite = np.nan_to_num(values)
    if not len(finite):
        return "(empty)"
    low, high = float(finite.min()), float(finite.max())
    level = (finite - low) / ((high - low) or 1) * (LINE_ROWS - 1)
    columns = np.array_split(level, min(width, len(level)))
    grid = np.full((LINE_ROWS, len(columns)), " ")
    for column, part in enumerate(columns):
        grid[round(float(part.min())) : round(float(part.max())) + 1, column] = "█"
    return "\n".join("".join(row) for row in grid[::-1]) + f"\nfrom {low:g} to {high:g}"


def _print_row(dataset: Dataset, example: NDArray[np.float32], console: Console) -> None:
    from rich.table import Table

    names = {column: name for name, column in dataset.metadata_.feature_to_index_map.items()}
    if dataset.metadata.is_sparse():
        pairs = [(int(column), float(value)) for column, value in example.reshape(-1, 2)]
    else:
        pairs = list(enumerate(example.reshape(-1).tolist()))
    table = Table("feature", "value", box=None)
    for column, value in pairs[:SHOWN_FEATURES]:
        table.add_row(names.get(column, str(column)), f"{value:g}")
    console.print(table)
    if len(pairs) > SHOWN_FEATURES:
        console.print(f"and {len(pairs) - SHOWN_FEATURES} more")


def _write_wav(values: NDArray[np.float32], out: Path) -> None:
    scale = 32767 if np.abs(values).max(initial=0) <= 1 else 1
    samples = np.clip(np.nan_to_num(values) * scale, -32768, 32767).astype("<i2")
    with wave.open(str(out), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.tobytes())
