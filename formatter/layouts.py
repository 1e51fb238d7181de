"""The layouts a bundle can be written in: TFRecord (formats 1) and AutoSpeech (formats 6)."""

from __future__ import annotations

import functools
import itertools
import json
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autodl.bundle import write_items
from autodl.errors import UsageError
from autodl.examples import encode_rows
from autodl.metadata import METADATA_NAME, DataSpecification, write_metadata
from autodl.records import Example, RecordWriter, encode_example
from formatter.source import Row, Source, Subset, Table

SUBSETS: tuple[Subset, ...] = ("train", "test", "unlabelled")
PICKLE_PROTOCOL = 4  # read by every Python since 3.4
TABLE_ROWS = 4096  # encoded at a time
AUTOSPEECH_BUDGET_SECONDS = 1800  # that challenge's


@dataclass(frozen=True)
class Plan:
    """What is to be written, all decided: ``numbers`` are the rows of each subset, in order."""

    source: Source
    rows: Sequence[Row]
    name: str
    numbers: dict[Subset, list[int]]
    on_read: Callable[[int], None]  #: called with how many examples were read since

    def read(self, subset: Subset) -> Iterator[Example]:
        """Contents of a subset."""
        for content in self.source.read(self.numbers[subset]):
            yield content
            self.on_read(1)

    def labels(self, subset: Subset) -> Iterator[tuple[int, ...]]:
        """The columns of each row's labels."""
        columns = self.columns
        known: dict[tuple[str, ...], tuple[int, ...]] = {}
        for number in self.numbers[subset]:
            names = self.rows[number].labels
            if names not in known:
                known[names] = tuple(sorted({columns[name] for name in names}))
            yield known[names]

    @functools.cached_property
    def columns(self) -> dict[str, int]:
        """The column of each label."""
        return {label: column for column, label in enumerate(self.source.label_names)}

    def label_lines(self, subset: Subset) -> Iterator[str]:
        """The lines of a ``.solution`` file."""
        lines: dict[tuple[int, ...], str] = {}
        for labels in self.labels(subset):
            if labels not in lines:
                cells = ["1" if c in labels else "0" for c in range(len(self.columns))]
                lines[labels] = " ".join(cells) + "\n"
            yield lines[labels]


def write_tfrecord(plan: Plan, folder: Path) -> None:
    """Everything the original reader and scorer ask for, and ``items.csv`` beside the records."""
    columns = plan.columns
    present = [subset for subset in SUBSETS if plan.numbers[subset]]
    for subset in present:
        place = folder / f"{plan.name}.data" / subset
        place.mkdir(parents=True)
        stem = "sample-unlabelled" if subset == "unlabelled" else f"sample-{plan.name}-{subset}"
        # ids as the official writer's: training records are counted on from the test records
        first = len(plan.numbers["test"]) if subset == "train" else 0
        encode = _encode_table if isinstance(plan.source, Table) else _encode_each
        with RecordWriter(place / f"{stem}.tfrecord") as writer:
            for payload in encode(plan, subset, first):
                writer.write(payload)
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


def _encode_each(plan: Plan, subset: Subset, first: int) -> Iterator[bytes]:
    labels = plan.labels("train") if subset == "train" else itertools.repeat(())
    for number, content in enumerate(plan.read(subset), first):
        index = np.array(next(labels), np.int64)
        yield encode_example(
            Example(
                number,
                index,
                np.ones(len(index), np.float32),
                content.dense,
                content.compressed,
                content.sparse,
            )
        )


def _encode_table(plan: Plan, subset: Subset, first: int) -> Iterator[bytes]:
    assert isinstance(plan.source, Table)
    numbers = plan.numbers[subset]
    labels = list(plan.labels("train")) if subset == "train" else [()] * len(numbers)
    for start in range(0, len(numbers), TABLE_ROWS):
        block = slice(start, start + TABLE_ROWS)
        values = plan.source.values[numbers[block]]
        yield from encode_rows(values, labels[block], first + start)
        plan.on_read(len(values))


def write_autospeech(plan: Plan, folder: Path) -> None:
    """Pickled lists of float32 (samples,), and the labels of both parts.

    Raises UsageError (``autospeech-needs-audio``) for anything but sequences of single values.
    """
    data = folder / f"{plan.name}.data"
    data.mkdir(parents=True)
    for subset in SUBSETS:
        waves = [_wave(content) for content in plan.read(subset)]
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
