"""An existing bundle of any layout, to be split anew, given names, or written in another layout.

Records pass through as they are; confidences of labels become 1, as the official formatter's.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autodl.bundle import find_bundle, read_items
from autodl.dataset import Dataset, open_subset
from autodl.errors import BundleError
from autodl.predictions import read_labels
from autodl.records import Example
from formatter.source import IndexBuilder, Options, Shape, Subset

SUBSET_NAMES: dict[str, Subset] = {
    "train": "train",
    "test": "test",
    "unlabelled": "unlabelled",
}


class BundleSource:
    """Implements ``formatter.source.Source``. Raises what reading the bundle raises."""

    kind = "bundle"

    def __init__(self, source: Path, options: Options) -> None:
        bundle = find_bundle(source)
        self._parts: list[Dataset] = []
        index = IndexBuilder()
        train = open_subset(bundle.train)
        self._spec = train.metadata_
        self.label_names: Sequence[str] = _label_names(train)
        for subset, path in bundle.subsets.items():
            dataset = open_subset(path)
            labels = np.asarray(dataset.labels(), np.float64)
            if subset == "test":
                labels = read_labels(_require_labels(bundle.labels), self._spec.output_dim)
            keep = None if options.resplit and subset != "unlabelled" else SUBSET_NAMES[subset]
            self._add(subset, keep, dataset, labels, read_items(path), index)
        self.index = index.build()
        self._ends = list(accumulate(map(len, self._parts)))

    def read(self, rows: NDArray[np.int32]) -> Iterator[Example]:
        """See ``Source``."""
        for number in rows.tolist():
            part = bisect_right(self._ends, number)
            yield self._parts[part].record(number - self._ends[part])  # counted from its end

    def shape(self) -> Shape:
        """As the bundle's metadata have it."""
        return Shape(
            self._spec.matrix_spec[0],
            self._spec.sequence_size,
            dict(self._spec.feature_to_index_map),
            dict(self._spec.channel_to_index_map),
        )

    def _add(
        self,
        subset: str,
        keep: Subset | None,
        dataset: Dataset,
        labels: NDArray[np.float64],
        items: list[str] | None,
        index: IndexBuilder,
    ) -> None:
        for what, code, count in (
            ("lines of labels", "labels-count", len(labels)),
            ("names in items.csv", "items-count", len(dataset) if items is None else len(items)),
        ):
            if count != len(dataset):
                raise BundleError(
                    code,
                    f"There are {count} {what} but {len(dataset)} records in {subset}.",
                    hint="Line i is that of record i; see what autodl check says of the bundle.",
                    file=dataset.source.path.name,
                )
        self._parts.append(dataset)
        for record, row in enumerate(labels):
            name = items[record] if items else f"{subset}-{record}"
            names = tuple(self.label_names[c] for c in np.flatnonzero(row > 0).tolist())
            index.add(name, () if subset == "unlabelled" else names, keep)


def is_bundle(source: Path) -> bool:
    """Whether a bundle of some layout lies in the folder.

    Raises BundleError (``records-in-one-folder``) for one that lacks the layout.
    """
    if not source.is_dir():
        return False
    try:
        find_bundle(source)
    except BundleError as error:
        if error.code == "records-in-one-folder":
            raise
        return False
    return True


def _label_names(train: Dataset) -> list[str]:
    """A name for every column, its number where it has none."""
    names = {column: name for name, column in train.metadata_.label_to_index_map.items()}
    return [names.get(column, str(column)) for column in range(train.metadata_.output_dim)]


def _require_labels(path: Path | None) -> Path:
    if path is None:
        raise BundleError(
            "labels-missing",
            "There is no .solution file with the labels of the test subset.",
            hint="Put it beside the .data folder.",
        )
    return path
