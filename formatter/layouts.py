"""The layouts a bundle can be written in: TFRecord (formats 1) and AutoSpeech (formats 6)."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autodl.bundle import write_items
from autodl.errors import UsageError
from autodl.metadata import METADATA_NAME, DataSpecification, write_metadata
from autodl.records import Example, RecordWriter, encode_example
from formatter.source import Row, Source, Subset

SUBSETS: tuple[Subset, ...] = ("train", "test", "unlabelled")
PICKLE_PROTOCOL = 4  # read by every Python since 3.4
AUTOSPEECH_BUDGET_SECONDS = 1800  # that challenge's


@dataclass(frozen=True)
class Plan:
    """What is to be written, all decided: ``numbers`` are the rows of each subset, in order."""

    source: Source
    rows: Sequence[Row]
    name: str
    numbers: dict[Subset, list[int]]
    on_read: Callable[[], None]  #: called after each example

    @property
    def columns(self) -> dict[str, int]:
        """The column of each label."""
        return {label: column for column, label in enumerate(self.source.label_names)}

    def read(self, subset: Subset) -> Iterator[tuple[Row, Example]]:
        """Rows and contents of a subset."""
        numbers = self.numbers[subset]
        for number, content in zip(numbers, self.source.read(numbers), strict=True):
            yield self.rows[number], content
            self.on_read()

    def label_lines(self, subset: Subset) -> Iterable[str]:
        """The lines of a ``.solution`` file."""
        columns = self.columns
        for number in self.numbers[subset]:
            cells = ["0"] * len(columns)
            for label in self.rows[number].labels:
                cells[columns[label]] = "1"
            yield " ".join(cells) + "\n"


def write_tfrecord(plan: Plan, folder: Path) -> None:
    """Everything the original reader and scorer ask for, and ``items.csv`` beside the records."""
    columns = plan.columns
    coded: dict[tuple[str, ...], tuple[NDArray[np.int64], NDArray[np.float32]]] = {}
    present = [subset for subset in SUBSETS if plan.numbers[subset]]
    for subset in present:
        place = folder / f"{plan.name}.data" / subset
        place.mkdir(parents=True)
        stem = "sample-unlabelled" if subset == "unlabelled" else f"sample-{plan.name}-{subset}"
        # ids as the official writer's: training records are counted on from the test records
        first = len(plan.numbers["test"]) if subset == "train" else 0
        with RecordWriter(place / f"{stem}.tfrecord") as writer:
            for number, (row, content) in enumerate(plan.read(subset), first):
                labels = row.labels if subset == "train" else ()
                if labels not in coded:
                    numbers = sorted(columns[label] for label in labels)
                    coded[labels] = np.array(numbers, np.int64), np.ones(len(labels), np.float32)
                writer.write(
                    encode_example(
                        Example(
                            number,
                            *coded[labels],
                            dense=content.dense,
                            compressed=content.compressed,
                            sparse=content.sparse,
                        )
                    )
                )
        write_items([plan.rows[n].name for n in plan.numbers[subset]], place)
    shape = plan.source.shape()
    for subset in present:
        spec = DataSpecification(
            matrix_spec=(shape.matrix,),
            output_dim=len(columns),
            label_to_index_map=columns,
            feature_to_index_map=shape.features,
            channel_to_index_map=shape.channels,
            sequence_size=shape.sequence_size,
            sample_count=len(plan.numbers[subset]),
        )
        write_metadata(spec, folder / f"{plan.name}.data" / subset / METADATA_NAME)
    _write_lines(plan.label_lines("test"), folder / f"{plan.name}.solution")
    (folder / "metadata").touch()  # marks a dataset for the challenge's platform


def write_autospeech(plan: Plan, folder: Path) -> None:
    """Pickled lists of float32 (samples,), and the labels of both parts.

    Raises UsageError (``autospeech-needs-audio``) for anything but sequences of single values.
    """
    data = folder / f"{plan.name}.data"
    data.mkdir(parents=True)
    for subset in SUBSETS:
        waves = [_wave(content) for _, content in plan.read(subset)]
        if waves:
            with (data / f"{subset}.pkl").open("wb") as file:
                pickle.dump(waves, file, protocol=PICKLE_PROTOCOL)
    _write_lines(plan.label_lines("train"), data / "train.solution")
    _write_lines(plan.label_lines("test"), folder / f"{plan.name}.solution")
    meta = {
        "class_num": len(plan.columns),
        "train_num": len(plan.numbers["train"]),
        "test_num": len(plan.numbers["test"]),
        "time_budget": AUTOSPEECH_BUDGET_SECONDS,
    }
    (data / "meta.json").write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")


def _wave(content: Example) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    if content.dense is None or any(np.size(step) != 1 for step in content.dense[:1]):
        raise UsageError(
            "autospeech-needs-audio",
            "Only sounds can be written in the AutoSpeech layout.",
            hint="Leave --to out.",
        )
    return np.asarray(content.dense, np.float32).ravel()


def _write_lines(lines: Iterable[str], path: Path) -> None:
    with path.open("w", encoding="ascii", newline="\n") as file:
        file.writelines(lines)
