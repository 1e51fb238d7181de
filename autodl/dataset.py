"""Dataset: the examples of one subset as NumPy arrays, whatever they are stored as.

An example is float32 (sequence, row, col, channel) with labels float32 (output_dim,), decoded on
demand by the rules of the original reader (AutoDL formats 1.5). One class serves every layout:
a ``Source`` gives metadata and stored examples, ``Dataset`` decodes them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autodl.blocks import decode_block
from autodl.decode import decode_labels, decode_tensor
from autodl.errors import BundleError
from autodl.examples import decode_labels_only
from autodl.matrix import MatrixSource
from autodl.metadata import METADATA_NAME, DataSpecification, Format, MatrixSpec, read_metadata
from autodl.records import Example, RecordFile, decode_example
from autodl.source import Block, Concatenation, Recoded, Source
from autodl.speech import SpeechSource
from autodl.text import TextSource

Floats = NDArray[np.float32]

MAX_SHARDS = 256  # each holds a file open
MAX_LABELS = 100_000  # each takes a column of every label matrix
HEAD_BYTES = 1024  # of a record, in which its labels are looked for
BLOCK_RECORDS = 256  # of a table, decoded together ...
MAX_BLOCK_COLUMNS = 10_000  # ... if they are not wider: 10 MB a block


class Metadata:
    """A subset's metadata with the accessors of the original reader; values raw, -1 stays -1."""

    def __init__(self, spec: DataSpecification, name: str) -> None:
        self.metadata_ = spec
        self._name = name

    def get_dataset_name(self) -> str:
        """Path of the subset's folder."""
        return self._name

    def is_compressed(self, bundle_index: int = 0) -> bool:
        """Whether the matrix holds encoded images."""
        return self._matrix(bundle_index).format is Format.COMPRESSED

    def is_sparse(self, bundle_index: int = 0) -> bool:
        """Whether the matrix is stored as index and value pairs."""
        return self._matrix(bundle_index).format is Format.SPARSE

    def get_bundle_size(self) -> int:
        """Number of matrices per time step."""
        return len(self.metadata_.matrix_spec)

    def get_matrix_size(self, bundle_index: int = 0) -> tuple[int, int]:
        """(row, col)."""
        matrix = self._matrix(bundle_index)
        return matrix.row_count, matrix.col_count

    def get_num_channels(self, bundle_index: int = 0) -> int:
        """Channels, with -1 resolved to 3 for encoded images and 1 otherwise."""
        return self._matrix(bundle_index).channels

    def get_tensor_size(self, bundle_index: int = 0) -> tuple[int, int, int]:
        """(row, col, channel)."""
        return *self.get_matrix_size(bundle_index), self.get_num_channels(bundle_index)

    def get_tensor_shape(self, bundle_index: int = 0) -> tuple[int, int, int, int]:
        """(sequence, row, col, channel)."""
        return self.get_sequence_size(), *self.get_tensor_size(bundle_index)

    def get_sequence_size(self) -> int:
        """Time steps per example; -1 when it varies."""
        return self.metadata_.sequence_size

    def get_output_size(self) -> int:
        """Number of labels."""
        return self.metadata_.output_dim

    def size(self) -> int:
        """Number of examples that the metadata claim."""
        return self.metadata_.sample_count

    def get_label_to_index_map(self) -> dict[str, int]:
        """Label name to column."""
        return dict(self.metadata_.label_to_index_map)

    def get_feature_to_index_map(self) -> dict[str, int]:
        """Feature name to column."""
        return dict(self.metadata_.feature_to_index_map)

    def get_channel_to_index_map(self) -> dict[str, int]:
        """Token to code (text only)."""
        return dict(self.metadata_.channel_to_index_map)

    def _matrix(self, bundle_index: int) -> MatrixSpec:
        return self.metadata_.matrix_spec[bundle_index]


class RecordSource(Source):
    """A folder of TFRecord shards: ``sample*`` files in name order, one after the other."""

    def __init__(self, path: Path, spec: DataSpecification | None = None) -> None:
        self.path = path
        self.spec = read_metadata(path / METADATA_NAME) if spec is None else spec
        self._shards = [RecordFile(shard) for shard in find_shards(path)]
        self._ends = list(accumulate(len(shard) for shard in self._shards))

    def __len__(self) -> int:
        return self._ends[-1]

    def record(self, index: int) -> Example:
        """Decode the record, its checksum verified."""
        shard, local = self._locate(index)
        return decode_example(shard.read(local), str(shard.path), local)

    def labels_only(self, index: int) -> Example:
        """From the head of the record, not verified, when the labels are there."""
        shard, local = self._locate(index)
        return decode_labels_only(shard.read_head(local, HEAD_BYTES)) or self.record(index)

    def block(self, first: int, stop: int) -> Block | None:
        """Records of a table within one shard."""
        matrix = self.spec.matrix_spec[0] if self.spec.matrix_spec else MatrixSpec()
        columns = matrix.row_count * matrix.col_count * matrix.channels
        shard, local = self._locate(first)
        until = local + stop - first
        if (
            self.spec.sequence_size != 1
            or matrix.format is not Format.DENSE
            or min(matrix.row_count, matrix.col_count, matrix.channels) <= 0
            or columns > MAX_BLOCK_COLUMNS
            or until > len(shard)
        ):
            return None
        return decode_block(shard.read_block(local, until), columns, self.spec.output_dim)

    def place(self, index: int) -> tuple[str, int]:
        """(shard, record)."""
        shard, local = self._locate(index)
        return str(shard.path), local

    def _locate(self, index: int) -> tuple[RecordFile, int]:
        number = bisect_right(self._ends, index)
        return self._shards[number], index - (self._ends[number - 1] if number else 0)


def find_shards(folder: Path) -> list[Path]:
    """Record files of a subset folder, sorted. Raises BundleError when there are none."""
    shards = sorted(path for path in folder.glob("sample*") if path.is_file())
    if not shards:
        raise BundleError(
            "records-missing",
            "There are no record files: no file name starts with `sample`.",
            hint="A subset's records lie in sample-NAME-SUBSET.tfrecord beside its metadata.",
            file=str(folder),
        )
    if len(shards) > MAX_SHARDS:
        raise BundleError(
            "too-many-shards",
            f"The subset has {len(shards)} record files; {MAX_SHARDS} are allowed.",
            hint="Write the subset as one file.",
            file=str(folder),
        )
    return shards


class Dataset:
    """The examples of one subset, in record order. Safe to share between threads and to pickle.

    ``dataset[i]`` and iteration give ``(example, labels)``: float32 (sequence, row, col, channel)
    and float32 (output_dim,), all zero where the subset has no labels. Raises BundleError with
    file and record where the data are broken, and at once if the metadata are incomplete.
    """

    def __init__(self, source: Source) -> None:
        _require_complete(source)
        self.source = source
        self.metadata = Metadata(source.spec, str(source.path))

    @property
    def metadata_(self) -> DataSpecification:
        """The raw metadata, under the original attribute's name."""
        return self.source.spec

    def __len__(self) -> int:
        return len(self.source)

    def __iter__(self) -> Iterator[tuple[Floats, Floats]]:
        shape = self.metadata.get_tensor_shape()
        for first, stop in self._blocks():
            block = self.source.block(first, stop)
            if block is None:
                yield from (self[index] for index in range(first, stop))
                continue
            values, labels, done = block
            for at, index in enumerate(range(first, stop)):
                yield (values[at].reshape(shape), labels[at]) if done[at] else self[index]

    def __getitem__(self, index: int) -> tuple[Floats, Floats]:
        index = self._index(index)
        record = self.source.record(index)
        try:
            return decode_tensor(record, self.source.spec), self._labels(record)
        except BundleError as error:
            error.file, error.record = self.source.place(index)
            raise

    def record(self, index: int) -> Example:
        """One example as it is stored."""
        return self.source.record(self._index(index))

    def encoded(self, index: int) -> list[bytes]:
        """The encoded images of one example, frame by frame (COMPRESSED only, else empty)."""
        return list(self.record(index).compressed)

    def labels(self) -> Floats:
        """Labels of all examples, float32 (n, output_dim), without decoding the examples."""
        labels = np.zeros((len(self), self.source.spec.output_dim), np.float32)
        for first, stop in self._blocks():
            block = self.source.block(first, stop)
            if block is not None:
                labels[first:stop] = block[1]
            for at, index in enumerate(range(first, stop)):
                if block is None or not block[2][at]:
                    labels[index] = self._labels_at(index)
        return labels

    def get_metadata(self) -> Metadata:
        """The metadata with the original accessors."""
        return self.metadata

    def get_dataset(self) -> Dataset:
        """Itself: the original returned its pipeline of (example, labels)."""
        return self

    def get_class_labels(self) -> list[str]:
        """Label names by column; a column without a name is named by its number."""
        names = [str(column) for column in range(self.source.spec.output_dim)]
        for name, column in self.source.spec.label_to_index_map.items():
            if 0 <= column < len(names):
                names[column] = name
        return names

    def get_nth_element(self, number: int) -> tuple[Floats, Floats]:
        """``(example, labels)`` of one example."""
        return self[number]

    def _blocks(self) -> Iterator[tuple[int, int]]:
        """(first, stop) of runs that are worth reading together."""
        for first in range(0, len(self), BLOCK_RECORDS):
            yield first, min(first + BLOCK_RECORDS, len(self))

    def _labels_at(self, index: int) -> Floats:
        try:
            return self._labels(self.source.labels_only(index))
        except BundleError as error:
            error.file, error.record = self.source.place(index)
            raise

    def _labels(self, record: Example) -> Floats:
        return decode_labels(record, self.source.spec.output_dim)

    def _index(self, index: int) -> int:
        if not -len(self) <= index < len(self):
            raise IndexError(f"example {index} of {len(self)}")
        return index % len(self)


def _require_complete(source: Source) -> None:
    """Raise BundleError unless the metadata say enough to decode examples and labels."""
    spec, path = source.spec, source.path
    file = str(path / METADATA_NAME if path.is_dir() else path)
    if spec.output_dim <= 0 or not spec.matrix_spec:
        what = "matrix_spec" if not spec.matrix_spec else "positive output_dim"
        raise BundleError(
            "metadata-incomplete",
            f"The metadata have no {what}.",
            hint="output_dim is the number of labels, matrix_spec the form of an example.",
            file=file,
        )
    if spec.output_dim > MAX_LABELS:
        raise BundleError(
            "too-many-labels",
            f"The metadata claim {spec.output_dim:,} labels; {MAX_LABELS:,} are allowed.",
            hint="output_dim is the number of labels; correct it, or merge rare labels.",
            file=file,
        )


def concatenate(first: Dataset, second: Dataset) -> Dataset:
    """``first`` followed by ``second`` as one dataset, with the metadata of ``first``.

    Texts whose subsets were coded apart (formats 5.6) are joined by their words: tokens that
    ``first`` does not know get codes after its own.
    """
    spec, parts = first.metadata_, [first.source, second.source]
    own, other = spec.channel_to_index_map, second.metadata_.channel_to_index_map
    if own != other and own and other and min(other.values()) >= 0:
        new = [token for token in other if token not in own]
        start = 1 + max(own.values())
        vocabulary = {**own, **{token: start + at for at, token in enumerate(new)}}
        spec = replace(spec, channel_to_index_map=vocabulary)
        parts[1] = Recoded(second.source, vocabulary)
    return Dataset(Concatenation(parts, spec))


def open_subset(path: Path) -> Dataset:
    """The subset that a bundle names: a folder of TFRecord shards with its metadata, or a file of
    the AutoSpeech (``train.pkl``), AutoNLP (``train.data``) or AutoML (``NAME_train.data``) layout.

    Raises BundleError when files are missing or cannot be understood.
    """
    if path.is_dir():
        return Dataset(RecordSource(path))
    if path.suffix == ".pkl":
        return Dataset(SpeechSource(path))
    return Dataset(MatrixSource(path) if "_" in path.stem else TextSource(path))
