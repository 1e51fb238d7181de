"""Where the files of a dataset lie (AutoDL formats 1.1, 1.2, 5.3, 5.4 and 6).

Four layouts are known: TFRecord folders, AutoSpeech pickles, AutoNLP lines and AutoML matrices.
People zip them in more ways than one, so an enclosing folder, subsets at the root, a missing marker
and the droppings of operating systems are all accepted.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from autodl.archive import UnpackLimits, is_ignored, list_names, sha256_file, unpack_zip
from autodl.errors import BundleError

__all__ = [
    "Bundle",
    "UnpackLimits",
    "find_bundle",
    "list_names",
    "looks_like_bundle",
    "read_items",
    "sha256_file",
    "split_bundle",
    "unpack_zip",
]

ITEMS_NAME = "items.csv"
# What only a bundle holds, of whatever layout, and be it broken.
_OF_A_BUNDLE = re.compile(
    r"(^|/)(metadata\.textproto|(train|test)\.(pkl|data)|[^/]+_train\.data)$"
    r"|\.(tfrecords?|solution)$|(^|/)[^/]+\.data/"
)
_RECORDS = re.compile(r"\.tfrecords?$|^sample.*-(train|test)|^metadata\.textproto$")
_LAYOUT = (
    "A bundle holds NAME.data/train, NAME.data/test and NAME.solution; `autodl format` makes one."
)


@dataclass(frozen=True)
class Bundle:
    """The files of one dataset.

    ``train``, ``test`` and ``unlabelled`` are what ``open_subset`` takes: folders for the layout
    ``tfrecord``, files for ``autospeech``, ``autonlp`` and ``automl``. ``labels`` is the test
    labels' file, None in the public part of a dataset.
    """

    name: str
    root: Path
    layout: str
    train: Path
    test: Path
    unlabelled: Path | None
    labels: Path | None

    @property
    def subsets(self) -> dict[str, Path]:
        """The subsets that are there, by name."""
        found = {"train": self.train, "test": self.test}
        return found if self.unlabelled is None else found | {"unlabelled": self.unlabelled}


def find_bundle(root: Path) -> Bundle:
    """Find the dataset in a folder.

    Raises BundleError: ``bundle-missing`` (nothing that looks like a dataset),
    ``bundle-several-datasets``, ``records-in-one-folder``, ``subset-missing``, ``labels-several``.
    """
    if not root.is_dir():
        raise BundleError(
            "bundle-missing", "There is no such folder.", hint=_LAYOUT, file=str(root)
        )
    entries = _entries(root)
    bundle = _find_in(root, entries)
    folders = [path for path in entries if path.is_dir()]
    if bundle is None and len(folders) == 1:
        bundle = _find_in(folders[0], _entries(folders[0]))
    if bundle is None:
        raise _no_bundle(root, entries)
    return bundle


def split_bundle(bundle: Bundle, public: Path, labels: Path) -> None:
    """Place the dataset without its test labels under ``public``, NAME.solution under ``labels``.

    Both get the canonical layout, by hard links where the file system allows, else by copies.
    Private notes and unknown files go nowhere.
    """
    for source, place in _public_files(bundle):
        _link(source, public / place)
    if bundle.labels is not None:
        _link(bundle.labels, labels / f"{bundle.name}.solution")


def looks_like_bundle(names: Iterable[str]) -> bool:
    """Whether files with these names are meant to be a bundle, and no raw data."""
    return any(_OF_A_BUNDLE.search(name) for name in names)


def read_items(subset: Path) -> list[str] | None:
    """Names of a subset's items in record order, from its ``items.csv``; None without one.

    Raises BundleError (``items-invalid``) when the file is not one column headed ``item``.
    """
    path = subset / ITEMS_NAME
    if not path.is_file():
        return None
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise BundleError("items-invalid", f"Not a CSV file: {error}.", file=str(path)) from error
    if not rows or rows[0] != ["item"]:
        raise BundleError(
            "items-invalid",
            "The first line must be `item`.",
            hint="One name per line, in record order; or leave the file out.",
            file=str(path),
            line=1,
        )
    return [row[0] if row else "" for row in rows[1:]]


def write_items(names: list[str], subset: Path) -> None:
    """Write the names of a subset's items beside its records."""
    with (subset / ITEMS_NAME).open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["item"], *([name] for name in names)])


def _entries(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if not is_ignored(PurePosixPath(p.name)))


def _find_in(root: Path, entries: list[Path]) -> Bundle | None:
    data = [path for path in entries if path.suffix == ".data" and path.is_dir()]
    if len(data) > 1:
        raise BundleError(
            "bundle-several-datasets",
            f"There are {len(data)} datasets: {', '.join(path.name for path in data)}.",
            hint="Upload one dataset per bundle.",
            file=str(root),
        )
    if data:
        return _find_in_data(root, data[0], entries)
    if (root / "train").is_dir() or (root / "test").is_dir():
        labels = _find_labels(root, entries)
        name = labels.stem if labels is not None else root.name
        return _tfrecord(name, root, root, labels)
    automl = _find_automl(root, entries)
    if automl is None:
        _require_no_records(root)
    return automl


def _require_no_records(folder: Path) -> None:
    """Raise BundleError where records of both subsets lie side by side (formats 1.10, Q4)."""
    records = [path.name for path in _entries(folder) if _RECORDS.search(path.name)]
    if records:
        raise BundleError(
            "records-in-one-folder",
            f"The records lie in one folder: {', '.join(records[:5])}.",
            hint="Move them to NAME.data/train/sample-NAME-train.tfrecord and to"
            " NAME.data/test/sample-NAME-test.tfrecord, each beside a metadata.textproto; the test"
            " labels go to NAME.solution.",
            file=str(folder),
        )


def _find_in_data(root: Path, data: Path, entries: list[Path]) -> Bundle | None:
    name = data.name.removesuffix(".data")
    labels = _find_labels(root, entries)
    for layout, suffix in (("autospeech", ".pkl"), ("autonlp", ".data")):
        if (data / f"train{suffix}").is_file() or (data / f"test{suffix}").is_file():
            return _files(name, root, layout, data, suffix, labels)
    return _tfrecord(name, root, data, labels)


def _tfrecord(name: str, root: Path, data: Path, labels: Path | None) -> Bundle:
    if not any((data / subset).exists() for subset in ("train", "test")):
        _require_no_records(data)
    unlabelled = next((p for p in (data / "unlabelled", root / "unlabelled") if p.is_dir()), None)
    return Bundle(
        name,
        root,
        "tfrecord",
        train=_subset(data / "train"),
        test=_subset(data / "test"),
        unlabelled=unlabelled,
        labels=labels,
    )


def _files(
    name: str, root: Path, layout: str, data: Path, suffix: str, labels: Path | None
) -> Bundle:
    unlabelled = data / f"unlabelled{suffix}"
    return Bundle(
        name,
        root,
        layout,
        train=_subset(data / f"train{suffix}"),
        test=_subset(data / f"test{suffix}"),
        unlabelled=unlabelled if unlabelled.is_file() else None,
        labels=labels,
    )


def _find_automl(root: Path, entries: list[Path]) -> Bundle | None:
    trains = [path for path in entries if path.name.endswith("_train.data")]
    if not trains:
        return None
    name = trains[0].name.removesuffix("_train.data")
    labels = root / f"{name}_test.solution"
    unlabelled = root / f"{name}_unlabelled.data"
    return Bundle(
        name,
        root,
        "automl",
        train=trains[0],
        test=_subset(root / f"{name}_test.data"),
        unlabelled=unlabelled if unlabelled.is_file() else None,
        labels=labels if labels.is_file() else None,
    )


def _find_labels(root: Path, entries: list[Path]) -> Path | None:
    found = [path for path in entries if path.suffix == ".solution" and path.is_file()]
    if len(found) > 1:
        raise BundleError(
            "labels-several",
            f"There are {len(found)} .solution files: {', '.join(path.name for path in found)}.",
            hint="Keep the one with the labels of the test subset.",
            file=str(root),
        )
    return found[0] if found else None


def _subset(path: Path) -> Path:
    if not path.exists():
        raise BundleError(
            "subset-missing",
            f"The dataset has no {path.name}.",
            hint=f"A dataset needs a train and a test subset. {_LAYOUT}",
            file=str(path),
        )
    return path


def _no_bundle(root: Path, entries: list[Path]) -> BundleError:
    names = [path.name for path in entries]
    hint = _LAYOUT
    if any(path.suffix == ".zip" for path in entries):
        hint = "Unzip the archives inside and zip their content."
    found = "the root holds " + (", ".join(names[:5]) or "nothing")
    if "[Content_Types].xml" in names:
        found = "this is an Office document"
        hint = "Save its table as CSV and make a dataset of it with `autodl format`."
    return BundleError("bundle-missing", f"No dataset: {found}.", hint=hint, file=str(root))


def _public_files(bundle: Bundle) -> list[tuple[Path, Path]]:
    """(source, place in the public part) of every file that a solution may see."""
    data = Path(f"{bundle.name}.data")
    if bundle.layout == "tfrecord":
        return [
            (path, data / subset / path.name)
            for subset, folder in bundle.subsets.items()
            for path in _entries(folder)
            if path.is_file()
        ]
    if bundle.layout == "automl":
        parts = ("train", "valid", "test", "unlabelled")
        kinds = [f"_{part}.data" for part in parts] + ["_train.solution", "_valid.solution"]
        kinds += ["_public.info", "_feat.type", "_feat.name", "_label.name"]
        places = [Path(bundle.name + kind) for kind in kinds]
        return [(bundle.root / p, p) for p in places if (bundle.root / p).is_file()]
    folder = bundle.train.parent
    found = [*bundle.subsets.values(), folder / "train.solution", folder / "meta.json"]
    return [(path, data / path.name) for path in found if path.is_file()]


def _link(source: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source.resolve(), place)
    except OSError:  # another file system, or one without hard links
        shutil.copy2(source, place)
