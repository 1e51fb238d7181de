"""AutoSpeech datasets (AutoDL formats 6): pickled lists of waveforms beside a ``meta.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autodl.errors import BundleError
from autodl.examples import Example
from autodl.metadata import DataSpecification, Format, MatrixSpec
from autodl.pickles import read_waves
from autodl.predictions import read_labels
from autodl.source import Source


class SpeechSource(Source):
    """One subset: ``train.pkl`` with ``train.solution``, ``test.pkl`` or ``unlabelled.pkl``.

    Raises BundleError when a file is missing, unsafe or malformed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        meta = read_meta(path.parent / "meta.json")
        self._waves = read_waves(path)
        self._labels, classes = read_train_labels(path, meta, len(self._waves))
        count = meta.get(f"{path.stem}_num", len(self._waves))
        self.spec = speech_specification(classes, count)

    def __len__(self) -> int:
        return len(self._waves)

    def record(self, index: int) -> Example:
        """One waveform, a value per time step."""
        wave = self._waves[index].astype(np.float32)
        return labelled(Example(id=index, dense=wave.reshape(-1, 1)), self._labels, index)

    def place(self, index: int) -> tuple[str, int]:
        """(file, position in the list)."""
        return str(self.path), index


def speech_specification(classes: int, count: int) -> DataSpecification:
    """Metadata of univariate series, as the official formatter writes them."""
    matrix = MatrixSpec(
        col_count=1,
        row_count=1,
        num_channels=1,
        has_locality_col=True,
        has_locality_row=True,
        format=Format.DENSE,
    )
    return DataSpecification((matrix,), output_dim=classes, sequence_size=-1, sample_count=count)


def labelled(example: Example, labels: NDArray[np.float64] | None, index: int) -> Example:
    """``example`` with the labels of a row, if there are labels."""
    if labels is None:
        return example
    row = labels[index]
    positive = np.flatnonzero(row)
    return Example(
        example.id, positive, row[positive].astype(np.float32), example.dense, (), example.sparse
    )


def read_train_labels(
    path: Path, meta: Mapping[str, Any], count: int
) -> tuple[NDArray[np.float64] | None, int]:
    """(the rows of ``train.solution`` if ``path`` is the training subset, the number of classes).

    Raises BundleError when the rows are malformed or not ``count``.
    """
    classes = meta.get("class_num")
    if path.stem != "train" and classes is not None:
        return None, classes
    solution = path.with_name("train.solution")
    labels = read_labels(solution, classes)
    if path.stem != "train":
        return None, labels.shape[1]
    if len(labels) != count:
        raise BundleError(
            "labels-count",
            f"There are {len(labels)} lines of labels but {count} training examples.",
            hint="Line i holds the labels of example i; blank lines do not count.",
            file=str(solution),
        )
    return labels, labels.shape[1]


def read_meta(path: Path) -> dict[str, Any]:
    """The object in ``meta.json``; its counts are whole numbers. Raises BundleError."""
    try:
        meta = json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise BundleError(
            "meta-missing", "There is no readable meta.json.", file=str(path)
        ) from error
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        raise BundleError(
            "meta-invalid", f"Not JSON: {error}.", file=str(path), line=line
        ) from error
    counts = ("class_num", "train_num", "test_num")
    if not isinstance(meta, dict) or any(
        not isinstance(meta.get(key, 0), int) or meta.get(key, 0) < 0 for key in counts
    ):
        raise BundleError(
            "meta-invalid",
            "Not an object with whole numbers class_num, train_num and test_num.",
            hint='For example {"class_num": 3, "train_num": 12, "test_num": 6}.',
            file=str(path),
        )
    return meta
