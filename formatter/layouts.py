"""The layouts a bundle can be written in: TFRecord (formats 1) and AutoSpeech (formats 6)."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from autodl.blocks import encode_block
from autodl.bundle import ITEMS_NAME
from autodl.errors import UsageError
from autodl.metadata import METADATA_NAME, DataSpecification, format_metadata
from autodl.pickles import dump_waves
from autodl.records import Example, encode_example, frame
from formatter.parallel import ahead
from formatter.sink import Sink
from formatter.source import SUBSETS, Codes, Source, Subset, Table

Block = list[bytes | memoryview] | list[bytes]  #: records, in pieces
BLOCK_BYTES = 1 << 20  # records written at once
BLOCK_ROWS = 4096  # of a table, or lines of a file
AUTOSPEECH_BUDGET_SECONDS = 1800  # that challenge's


@dataclass(frozen=True)
class Plan:
    """What is to be written, all decided: ``rows`` are the numbers of each subset, in order."""

    source: Source
    name: str
    rows: dict[Subset, NDArray[np.int32]]
    on_read: Callable[[int], None]  #: called with how many examples were read since

    def read(self, subset: Subset) -> Iterator[Example]:
        """Contents of a subset."""
        for content in self.source.read(self.rows[subset]):
            yield content
            self.on_read(1)

    def labels(self, subset: Subset) -> Codes:
        """The number of each row's label set; the labels of a test part are not to be seen."""
        return self.source.index.labels[self.rows[subset]]

    @functools.cached_property
    def columns(self) -> dict[str, int]:
        """The column of each label."""
        return {label: column for column, label in enumerate(self.source.label_names)}

    @functools.cached_property
    def label_sets(self) -> list[NDArray[np.int64]]:
        """The columns of each label set, in order."""
        sets = self.source.index.label_sets
        return [np.array(sorted({self.columns[n] for n in names}), np.int64) for names in sets]


def write_tfrecord(plan: Plan, sink: Sink) -> None:
    """Everything the original reader and scorer ask for, and ``items.csv`` beside the records."""
    present = [subset for subset in SUBSETS if len(plan.rows[subset])]
    encode = _encode_table if isinstance(plan.source, Table) else _encode_each
    for subset in present:
        place = f"{plan.name}.data/{subset}"
        stem = "sample-unlabelled" if subset == "unlabelled" else f"sample-{plan.name}-{subset}"
        # ids as the official writer's: training records are counted on from the test records
        first = len(plan.rows["test"]) if subset == "train" else 0
        with sink.open(f"{place}/{stem}.tfrecord") as file:
            with closing(ahead(encode(plan, subset, first))) as blocks:
                for block in blocks:
                    file.writelines(block)
        items = pl.DataFrame({"item": plan.source.index.names_of(plan.rows[subset])})
        with sink.open(f"{place}/{ITEMS_NAME}") as file:
            items.write_csv(file, line_terminator="\r\n")
    shape = plan.source.shape()
    for subset in present:
        spec = DataSpecification(
            matrix_spec=(shape.matrix,),
            output_dim=len(plan.columns),
            label_to_index_map=plan.columns,
            feature_to_index_map=shape.features,
            channel_to_index_map=shape.channels,
            sequence_size=shape.sequence_size,
            sample_count=len(plan.rows[subset]),
        )
        with sink.open(f"{plan.name}.data/{subset}/{METADATA_NAME}") as file:
            file.write(format_metadata(spec).encode())
    _write_labels(plan, "test", f"{plan.name}.solution", sink)
    with sink.open("metadata"):
        pass  # marks a dataset for the challenge's platform


def _encode_each(plan: Plan, subset: Subset, first: int) -> Iterator[Block]:
    labels = plan.labels(subset).tolist() if subset == "train" else []
    scored = [(index, np.ones(len(index), np.float32)) for index in plan.label_sets]
    unknown = np.empty(0, np.int64), np.empty(0, np.float32)
    block: list[bytes] = []
    size = 0
    for number, content in enumerate(plan.read(subset)):
        index, score = scored[labels[number]] if labels else unknown
        payload = encode_example(
            Example(first + number, index, score, content.dense, content.compressed, content.sparse)
        )
        block += frame(payload)
        size += len(payload)
        if size >= BLOCK_BYTES:
            yield [b"".join(block)]
            block, size = [], 0
    yield [b"".join(block)]


def _encode_table(plan: Plan, subset: Subset, first: int) -> Iterator[Block]:
    assert isinstance(plan.source, Table)
    sets = plan.label_sets
    if subset != "train":
        sets = [sets[0][:0]] * len(sets)
    labels = plan.labels(subset)
    at = 0
    for values in ahead(plan.source.values(plan.rows[subset])):
        yield encode_block(values, labels[at : at + len(values)], sets, first + at)
        at += len(values)
        plan.on_read(len(values))


def write_autospeech(plan: Plan, sink: Sink) -> None:
    """Pickled lists of float32 (samples,), and the labels of both parts.

    Raises UsageError (``autospeech-needs-audio``) for anything but sequences of single values.
    """
    data = f"{plan.name}.data"
    for subset in SUBSETS:
        if len(plan.rows[subset]):
            with sink.open(f"{data}/{subset}.pkl") as file:
                dump_waves(map(_wave, plan.read(subset)), file)
    _write_labels(plan, "train", f"{data}/train.solution", sink)
    _write_labels(plan, "test", f"{plan.name}.solution", sink)
    meta = {
        "class_num": len(plan.columns),
        "train_num": len(plan.rows["train"]),
        "test_num": len(plan.rows["test"]),
        "time_budget": AUTOSPEECH_BUDGET_SECONDS,
    }
    with sink.open(f"{data}/meta.json") as file:
        file.write(json.dumps(meta, indent=2).encode() + b"\n")


def _wave(content: Example) -> NDArray[np.float32]:
    if content.dense is None or any(np.size(step) != 1 for step in content.dense[:1]):
        raise UsageError(
            "autospeech-needs-audio",
            "Only sounds can be written in the AutoSpeech layout.",
            hint="Leave --to out.",
        )
    return np.asarray(content.dense, np.float32).ravel()


def _write_labels(plan: Plan, subset: Subset, name: str, sink: Sink) -> None:
    """A ``.solution`` file: a line of 0 and 1 for each row."""
    lines = np.full((len(plan.label_sets), 2 * len(plan.columns)), ord(" "), np.uint8)
    lines[:, ::2] = ord("0")
    lines[:, -1] = ord("\n")
    for line, columns in zip(lines, plan.label_sets, strict=True):
        line[2 * columns] = ord("1")
    labels = plan.labels(subset)
    with sink.open(name) as file:
        for start in range(0, len(labels), BLOCK_ROWS):
            file.write(lines[labels[start : start + BLOCK_ROWS]].tobytes())
