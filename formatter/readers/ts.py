"""Series in the ``.ts`` form of the UEA and UCR archives.

After a header of ``@`` lines each line is one series: its channels separated by colons, the values
of a channel by commas, the class at the end. ``NAME_TRAIN.ts`` finds ``NAME_TEST.ts`` beside it;
the folder of both will do, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autodl.errors import BundleError
from autodl.records import Example
from formatter.readers.files import sort_labels
from formatter.readers.series import describe_series
from formatter.scratch import Spool
from formatter.source import IndexBuilder, Options, Shape, Subset


class TsSource:
    """One file to be split, or a pair. Raises BundleError (``ts-malformed``)."""

    kind = "ts"

    def __init__(self, source: Path, options: Options) -> None:
        self._values = Spool(options.scratch)  # of each series, float32 (steps, channels)
        self._channels = 0
        self._lengths: set[int] = set()
        index = IndexBuilder()
        for subset, path in _parts(find_ts(source) or source, options.test_part):
            self._add(path, subset, index)
        if options.unlabelled is not None and options.unlabelled.is_file():
            self._add(options.unlabelled, "unlabelled", index)
        self.index = index.build()
        self.label_names = sort_labels({n for names in self.index.label_sets for n in names})

    def read(self, rows: NDArray[np.int32]) -> Iterator[Example]:
        """See ``Source``."""
        self._values.flush()
        for number in rows.tolist():
            values = np.frombuffer(self._values.read(number), np.float32)
            yield Example(dense=values.reshape(-1, self._channels))

    def shape(self) -> Shape:
        """See ``describe_series``."""
        return describe_series(self._channels, self._lengths)

    def _add(self, path: Path, subset: Subset | None, index: IndexBuilder) -> None:
        in_data = False
        with path.open(encoding="utf-8", errors="replace") as file:
            for line, text in enumerate(file, 1):
                text = text.strip()
                if not in_data or not text or text.startswith("#"):
                    in_data |= text.lower() == "@data"
                    continue
                *channels, label = text.split(":")
                try:
                    values = [[_number(v) for v in c.split(",")] for c in channels]
                    steps = np.array(values, np.float32).T
                    if steps.ndim != 2 or steps.shape[1] != (self._channels or steps.shape[1]):
                        raise ValueError
                except ValueError as error:
                    raise BundleError(
                        "ts-malformed",
                        "The line is not: values, colon, the next channel's values, colon, class.",
                        hint="Channels of one series are equally long; all series have as many.",
                        file=path.name,
                        line=line,
                    ) from error
                self._channels = steps.shape[1]
                self._lengths.add(len(steps))
                self._values.append(steps.tobytes())
                index.add(None, (label.strip(),) if subset != "unlabelled" else (), subset)


def find_ts(source: Path) -> Path | None:
    """The file to read: ``source`` itself, or in a folder the one file, or the one to train on."""
    if source.is_file():
        return source if source.suffix.lower() == ".ts" else None
    found = [p for p in source.iterdir() if p.suffix.lower() == ".ts"] if source.is_dir() else []
    train = [p for p in found if "_TRAIN" in p.name]
    return train[0] if len(train) == 1 else found[0] if len(found) == 1 else None


def _parts(source: Path, test: Path | None) -> Iterator[tuple[Subset | None, Path]]:
    other = test or source.with_name(source.name.replace("_TRAIN", "_TEST"))
    if other != source and other.is_file():
        yield "train", source
        yield "test", other
    else:
        yield None, source


def _number(text: str) -> float:
    return float("nan") if text.strip() == "?" else float(text)
