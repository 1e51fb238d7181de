"""The text files between ingestion and scoring: labels, predictions and their times.

AutoDL formats 2 (``.solution`` and ``.predict``) and 3.5 (``start.txt``). What a
solution's process may have written is never read through a link, and never larger than it can
honestly be.
"""

from __future__ import annotations

import math
import re
import secrets
import warnings
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autodl.errors import BundleError, SolutionError
from autodl.untrusted import open_plain

Matrix = NDArray[np.float64]
MAX_NUMBER_BYTES = 32  # what any program prints for one float64, and its separator
MAX_START_BYTES = 1 << 24
ENTRY = re.compile(r"([a-z_]{1,20}|[0-9]{1,9}): (.+)")


def read_labels(path: Path, output_size: int | None = None) -> Matrix:
    """Read a ``.solution`` file: float64 of shape (n, C), one row per test record (formats 2.1).

    Any run of blanks separates, blank lines and ``#`` comments are skipped. ``output_size`` is the
    number of classes the data set declares; without it a file of one row is taken as it stands.
    Raises BundleError with file and line for anything else.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise BundleError("labels-missing", "there are no test labels.", file=path.name) from error
    labels = _parse(data)
    if labels is None:
        line, message = _find_fault(data)
        hint = "Every line holds one number per class, separated by blanks."
        raise BundleError("labels-malformed", message, hint=hint, file=path.name, line=line)
    if labels.size == 0:
        raise BundleError("labels-empty", "the file holds no labels.", file=path.name)
    if output_size is not None and labels.shape[1] != output_size:
        raise BundleError(
            "labels-width",
            f"{labels.shape[1]} numbers a line, but the data set has {output_size} classes.",
            hint="Write one number per class on each line: 1 for the true ones, 0 for the others.",
            file=path.name,
            line=_line_of(0, data),
        )
    finite = np.isfinite(labels).all(axis=1)
    if not finite.all():
        raise BundleError(
            "labels-not-finite",
            "a label is NaN or infinite.",
            hint="Write 1 for the true classes and 0 for the others.",
            file=path.name,
            line=_line_of(int(np.argmin(finite)), data),
        )
    return labels


def read_predictions(path: Path, shape: tuple[int, ...] | None = None) -> Matrix:
    """Read a ``.predict`` file: float64 of shape (n, C); NaN and infinities are passed through.

    Raises SolutionError if the file is not a plain text matrix, or not of the given ``shape``.
    """
    limit = -1 if shape is None else math.prod(shape) * MAX_NUMBER_BYTES + 1024
    try:
        with open_plain(path) as file:
            data = file.read(limit)
    except OSError as error:
        raise SolutionError(
            "prediction-unreadable", f"the prediction cannot be read: {error}.", file=path.name
        ) from error
    if len(data) == limit:
        raise SolutionError("prediction-too-large", "the file is too large.", file=path.name)
    values = _parse(data)
    if values is None:
        line, message = _find_fault(data)
        raise SolutionError("prediction-malformed", message, file=path.name, line=line)
    if shape is not None and values.shape != shape:
        raise SolutionError(
            "prediction-shape",
            f"the prediction has shape {values.shape}, expected is {shape}.",
            file=path.name,
        )
    return values


def _parse(data: bytes) -> Matrix | None:
    """Return the matrix that the text is, of size 0 if it is empty; None if it is not one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # for an empty file
        try:
            return np.loadtxt(BytesIO(data), dtype=np.float64, ndmin=2, encoding="utf-8")
        except ValueError:
            return None


def _line_of(row: int, data: bytes) -> int:
    """Return the line (1-based) on which a row (0-based) of the matrix stands."""
    lines = enumerate(data.splitlines(), start=1)
    return [number for number, line in lines if line.partition(b"#")[0].strip()][row]


def _find_fault(data: bytes) -> tuple[int, str]:
    """Return the line (1-based) that the parser stumbled over, and what is wrong with it."""
    width = None
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), start=1):
        words = line.partition("#")[0].split()
        for word in words:
            try:
                float(word)
            except ValueError:
                return number, f"'{word[:40]}' is not a number."
        if words and len(words) != (width := width or len(words)):
            return number, f"{len(words)} numbers, but {width} in the lines before."
    return 1, "the file is not a matrix of numbers."


def write_predictions(predictions: ArrayLike, path: Path) -> None:
    """Write scores of shape (n, C) as ``%g`` text (6 digits), complete when the name appears.

    The temporary name is the contest's (formats 2.2); its random part does not repeat there.
    """
    rows = np.asarray(predictions, np.float64)
    line = " ".join(["%g"] * rows.shape[1]) + "\n"
    part = path.with_name(f"temp_prediction_file_{secrets.randbelow(10000)}")
    with part.open("w", encoding="ascii") as file:
        file.writelines(line % tuple(row) for row in rows.tolist())
    part.replace(path)


@dataclass(frozen=True)
class Start:
    """What ``start.txt`` says (formats 3.5), with the times by prediction index as written."""

    task_name: str
    budget_seconds: float
    start_time: float
    stamps: dict[int, float]

    def relative(self, consumed_times: bool = False) -> dict[int, float]:
        """Return seconds from the start by prediction index, up to the first gap in the indices."""
        offset = 0.0 if consumed_times else self.start_time
        seconds: dict[int, float] = {}
        while (index := len(seconds)) in self.stamps:
            seconds[index] = self.stamps[index] - offset
        return seconds


def read_start(path: Path) -> Start | None:
    """Read the complete lines of ``start.txt``; None while they do not say enough."""
    try:
        with open_plain(path) as file:
            text = file.read(MAX_START_BYTES).decode("utf-8", "replace")
    except OSError:
        return None
    entries: dict[str, str] = {}
    for line in text.split("\n")[:-1]:  # what follows the last line end is not yet complete
        if match := ENTRY.fullmatch(line):
            entries.setdefault(*match.groups())
    numbers = {
        key: number for key, value in entries.items() if (number := _finite(value)) is not None
    }
    task_name = entries.get("task_name", "")
    if not task_name or "/" in task_name or not {"time_budget", "start_time"} <= numbers.keys():
        return None
    stamps = {int(key): number for key, number in numbers.items() if key.isdigit()}
    return Start(task_name, numbers["time_budget"], numbers["start_time"], stamps)


def _finite(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
