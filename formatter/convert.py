"""From a source to a bundle: the way through, the same for every kind.

The bundle is made aside and put in place by one rename at the end, so what bears its name is whole.
The same source and options give the same bytes.
"""

from __future__ import annotations

import gc
import re
import shutil
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from autodl.bundle import UnpackLimits, unpack_zip
from autodl.errors import BundleError, UsageError
from formatter.layouts import SUBSETS, Plan, write_autospeech, write_tfrecord
from formatter.readers import open_source
from formatter.source import Options, Row, Source
from formatter.split import order_for_training, split

MAX_ZIP_ENTRIES = 1_000_000  # of the user's own zip, which no service has to bear
PROGRESS_STEPS = 500
ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest a zip can hold: no clock in the bytes


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
    with _seldom_collecting(), _unpacked(source) as folder:
        return _convert(folder, out, name, options, on_progress)


def _convert(
    source: Path,
    out: Path | None,
    name: str,
    options: Options,
    on_progress: Callable[[int, int], None] | None,
) -> Summary:
    opened = open_source(source, options)
    if not opened.rows:
        raise BundleError("source-empty", "The source has no examples.", file=source.name)
    kept = any(row.subset == "test" for row in opened.rows)
    rows = split(opened.rows, options.test, options.seed)
    _require_learnable(opened, rows)
    plan = _plan(opened, rows, name, options.seed, kept, on_progress)
    with _aside(out) as folder:
        (write_tfrecord if options.to == "tfrecord" else write_autospeech)(plan, folder)
        summary = _summarise(opened, rows, name, kept)
        if out is None:
            return summary
        if out.suffix.lower() == ".zip":
            _zip(folder, folder.with_suffix(".zip")).replace(out)
        else:
            folder.replace(out)
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
    rows: Sequence[Row],
    name: str,
    seed: int,
    kept: bool,
    on_progress: Callable[[int, int], None] | None,
) -> Plan:
    numbers = {s: [n for n, row in enumerate(rows) if row.subset == s] for s in SUBSETS}
    if not kept:
        numbers["train"] = order_for_training(numbers["train"], seed)
    done = 0
    step = max(1, len(rows) // PROGRESS_STEPS)

    def count(more: int) -> None:
        nonlocal done
        told, done = done, done + more
        if on_progress is not None and (done // step > told // step or done == len(rows)):
            on_progress(done, len(rows))

    return Plan(source, rows, name, numbers, count)


def _require_learnable(source: Source, rows: Sequence[Row]) -> None:
    counts = Counter(row.subset for row in rows)
    for subset in ("train", "test"):
        if not counts[subset]:
            raise BundleError("source-empty", f"The {subset} part has no examples.")
    if len(source.label_names) < 2:
        raise BundleError(
            "source-one-class",
            f"There is only one label: {', '.join(source.label_names) or 'none at all'}.",
            hint="A dataset needs at least two classes.",
        )


@contextmanager
def _aside(out: Path | None) -> Iterator[Path]:
    """A folder beside ``out`` that is gone afterwards, unless it was renamed."""
    parent = out.absolute().parent if out is not None else None
    if parent is not None:
        parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=".formatting-") as scratch:
        folder = Path(scratch) / "bundle"
        folder.mkdir()
        yield folder


def _zip(folder: Path, path: Path) -> Path:
    """The folder's content, stored: media do not shrink, and a run reads it once."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(p for p in folder.rglob("*") if p.is_file()):
            entry = zipfile.ZipInfo(file.relative_to(folder).as_posix(), ZIP_TIME)
            entry.external_attr = 0o644 << 16
            with file.open("rb") as data, archive.open(entry, "w", force_zip64=True) as packed:
                shutil.copyfileobj(data, packed, 1 << 20)
    return path


def _summarise(source: Source, rows: Sequence[Row], name: str, kept: bool) -> Summary:
    counts = Counter(row.subset for row in rows)
    labels = Counter(label for row in rows for label in row.labels)
    train = {label for row in rows if row.subset == "train" for label in row.labels}
    test = {label for row in rows if row.subset == "test" for label in row.labels}
    findings = [
        f"The label {label} has no example in {subset}: it cannot be {what}."
        for subset, present, what in (("train", train, "learnt"), ("test", test, "scored"))
        for label in source.label_names
        if label not in present
    ]
    return Summary(
        name=name,
        kind=source.kind,
        counts={s: counts[s] for s in SUBSETS if counts[s]},
        multi_label=any(len(row.labels) != 1 for row in rows if row.subset != "unlabelled"),
        labels={label: labels[label] for label in source.label_names},
        split="kept" if kept else "made",
        findings=findings,
    )
