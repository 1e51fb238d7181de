"""From a source to a bundle: the way through, the same for every kind.

The bundle is made aside and put in place by one rename at the end, so what bears its name is whole.
The same source and options give the same bytes.
"""

from __future__ import annotations

import gc
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autodl.bundle import UnpackLimits, unpack_zip
from autodl.errors import BundleError, UsageError
from formatter.detect import open_source
from formatter.layouts import Plan, write_autospeech, write_tfrecord
from formatter.sink import sink_for
from formatter.source import SUBSETS, Options, Source, Subset, subset_code
from formatter.split import count_numbers, numbers_where, order_for_training, split

MAX_ZIP_ENTRIES = 1_000_000  # of the user's own zip, which no service has to bear
PROGRESS_STEPS = 500


@dataclass(frozen=True)
class Summary:
    """What a source is, and what was made of it."""

    name: str
    kind: str
    counts: dict[str, int]
    multi_label: bool
    labels: dict[str, int]  #: examples of each label, train and test together
    split: str  #: "kept" or "made"
    out: str | None = None
    bytes: int = 0
    findings: list[str] = field(default_factory=list)


def convert(
    source: Path,
    out: Path | None,
    options: Options | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Summary:
    """Format ``source`` into ``out``: a zip if its name ends in .zip, otherwise a folder.

    A ``source`` that is a zip itself is what it holds. With ``out`` None everything is read and
    nothing written. ``on_progress`` is told (done, total).
    Raises BundleError for bad data, UsageError (``output-exists``, ``dataset-name-invalid``, and
    what the reader and ``split`` raise).
    """
    options = options or Options()
    name = _dataset_name(source, out, options.name)
    if out is not None and out.exists():
        raise UsageError(
            "output-exists",
            f"{out} is already there.",
            hint="Remove it or choose another name: nothing is overwritten.",
        )
    with _seldom_collecting(), _unpacked(source) as folder, _aside(out) as scratch:
        opened = open_source(folder, replace(options, scratch=scratch))
        if not len(opened.index):
            raise BundleError("source-empty", "The source has no examples.", file=source.name)
        subsets = split(opened.index, options.test, options.seed)
        _require_learnable(opened, subsets)
        made = None if out is None else scratch / "bundle"
        with sink_for(made, is_zip=out is not None and out.suffix.lower() == ".zip") as sink:
            plan = _plan(opened, subsets, name, options.seed, on_progress)
            (write_tfrecord if options.to == "tfrecord" else write_autospeech)(plan, sink)
        summary = _summarise(opened, subsets, name)
        if out is None or made is None:
            return summary
        made.replace(out)
    files = [out] if out.is_file() else [p for p in out.rglob("*") if p.is_file()]
    return replace(summary, out=str(out), bytes=sum(p.stat().st_size for p in files))


@contextmanager
def _unpacked(source: Path) -> Iterator[Path]:
    """What a zip holds, in a folder that is gone afterwards; any other source itself."""
    if source.suffix.lower() != ".zip" or not source.is_file():
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="formatting-") as scratch:
        folder = Path(scratch) / source.stem
        unpack_zip(source, folder, UnpackLimits(max_entries=MAX_ZIP_ENTRIES))
        entries = list(folder.iterdir())
        yield entries[0] if len(entries) == 1 else folder


@contextmanager
def _seldom_collecting() -> Iterator[None]:
    """Millions of rows are made and none is part of a cycle: do not look at them all the time."""
    thresholds = gc.get_threshold()
    gc.set_threshold(100_000, 50, 1000)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)


def _dataset_name(source: Path, out: Path | None, wanted: str | None) -> str:
    """Of letters, digits, - and _: a dot would cut it short in other programs."""
    if wanted is not None:
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", wanted):
            raise UsageError(
                "dataset-name-invalid",
                f"{wanted!r} cannot be a dataset's name.",
                hint="Use at most 64 letters, digits, - and _.",
            )
        return wanted
    stem = (out or source).resolve().stem
    return re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-")[:64] or "dataset"


def _plan(
    source: Source,
    subsets: NDArray[np.int8],
    name: str,
    seed: int,
    on_progress: Callable[[int, int], None] | None,
) -> Plan:
    rows = {s: numbers_where(subsets == subset_code(s)) for s in SUBSETS}
    if not _is_split(source):
        rows["train"] = order_for_training(rows["train"], seed)
    done, total = 0, len(subsets)
    step = max(1, total // PROGRESS_STEPS)

    def count(more: int) -> None:
        nonlocal done
        told, done = done, done + more
        if on_progress is not None and (done // step > told // step or done == total):
            on_progress(done, total)

    return Plan(source, name, rows, count)


def _is_split(source: Source) -> bool:
    return bool((source.index.subsets == subset_code("test")).any())


def _require_learnable(source: Source, subsets: NDArray[np.int8]) -> None:
    for subset in ("train", "test"):
        if not (subsets == subset_code(subset)).any():
            raise BundleError("source-empty", f"The {subset} part has no examples.")
    if len(source.label_names) < 2:
        raise BundleError(
            "source-one-class",
            f"There is only one label: {', '.join(source.label_names) or 'none at all'}.",
            hint="A dataset needs at least two classes.",
        )


@contextmanager
def _aside(out: Path | None) -> Iterator[Path]:
    """A folder beside ``out`` that is gone afterwards, with all that was not taken out of it."""
    parent = out.absolute().parent if out is not None else None
    if parent is not None:
        parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=".formatting-") as scratch:
        yield Path(scratch)


def _summarise(source: Source, subsets: NDArray[np.int8], name: str) -> Summary:
    counts = {s: int(np.count_nonzero(subsets == subset_code(s))) for s in SUBSETS}
    in_train, in_test = (_count_labels(source, subsets, s) for s in ("train", "test"))
    findings = [
        f"The label {label} has no example in {subset}: it cannot be {what}."
        for subset, present, what in (("train", in_train, "learnt"), ("test", in_test, "scored"))
        for label in source.label_names
        if label not in present
    ]
    labelled = source.index.labels[subsets != subset_code("unlabelled")]
    one = np.array([len(names) == 1 for names in source.index.label_sets])
    return Summary(
        name=name,
        kind=source.kind,
        counts={subset: count for subset, count in counts.items() if count},
        multi_label=not one[np.unique(labelled)].all(),
        labels={label: in_train[label] + in_test[label] for label in source.label_names},
        split="kept" if _is_split(source) else "made",
        findings=findings,
    )


def _count_labels(source: Source, subsets: NDArray[np.int8], subset: Subset) -> Counter[str]:
    """The examples of each label that has some."""
    sets = source.index.label_sets
    labels = source.index.labels[subsets == subset_code(subset)]
    counts: Counter[str] = Counter()
    for names, count in zip(sets, count_numbers(labels, len(sets)).tolist(), strict=True):
        if count:
            counts.update(dict.fromkeys(names, count))
    return counts
