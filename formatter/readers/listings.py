"""What a folder of files says of itself: which file has which labels, in the forms in use.

- ``labels.csv``: columns ``FileName,Labels`` (one space between several labels), or the original
  formatter's ``LabelConfidencePairs``; ``file,label`` and the like, one label in each cell, blanks
  and all; an optional ``subset`` column with train and test;
- ``_classes.csv`` of Roboflow: a file name, then a column of 0 and 1 per class;
- COCO: a JSON file of ``images``, ``annotations`` and ``categories`` beside the files or in
  ``annotations/``; or several, one a split, which their names tell.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from autodl.errors import BundleError, UsageError
from formatter.csvs import find_column, read_csv_rows
from formatter.source import Options, Subset

CLASSES_NAME = "_classes.csv"
FILE_COLUMNS = ("filename", "file_name", "file", "path", "image", "audio", "video")
LABEL_COLUMNS = ("label", "class", "category")  #: one label a cell
SEVERAL = "labels"  #: the column whose cells hold several, blanks between them
ANNOTATIONS = "annotations"


class Listed(NamedTuple):
    """A file, its labels, and where this stands."""

    name: str
    labels: tuple[str, ...]
    subset: Subset | None
    line: int | None
    group: str | None = None


def find_listing(folder: Path) -> Path | None:
    """The file that lists the folder's files, or the folder of several; None without one."""
    for pattern in ("labels.csv", "*labels*.csv", CLASSES_NAME):
        tables = sorted(folder.glob(pattern))
        if tables:
            return tables[0]
    annotations = folder / ANNOTATIONS
    if any(map(_is_coco, annotations.glob("*.json"))):
        return annotations
    return next((p for p in sorted(folder.glob("*.json")) if _is_coco(p)), None)


def read_listing(path: Path, options: Options) -> Iterator[Listed]:
    """Every file listed there; the options may name the columns of labels and of the group, and
    what stands between several labels.

    Without it, blanks do in a column of ``Labels``, and a column of one ``label`` is not split.

    Raises BundleError: ``labels-columns-missing``, ``labels-row-short``, ``coco-malformed``, and
    those of ``read_csv_rows``; UsageError: ``group-column-unknown``, ``label-column-unknown``.
    """
    if path.suffix == ".json":
        return _read_coco(path, None)
    if path.name == ANNOTATIONS:
        parts = _split_coco([p for p in sorted(path.glob("*.json")) if _is_coco(p)])
        return itertools.chain.from_iterable(_read_coco(p, subset) for p, subset in parts)
    return _read_classes(path) if path.name == CLASSES_NAME else _read_labels(path, options)


def _read_labels(path: Path, options: Options) -> Iterator[Listed]:
    lines = read_csv_rows(path)
    _, header = next(lines)
    names = find_column(header, FILE_COLUMNS)
    columns = [_named(header, name, "label-column-unknown", path) for name in options.label]
    several = find_column(header, (SEVERAL,))
    one = find_column(header, LABEL_COLUMNS) if several is None else None
    pairs = find_column(header, ("labelconfidencepairs",))
    if columns:
        one, several, pairs = columns[0], None, None
    column = next((found for found in (several, one, pairs) if found is not None), None)
    subsets = find_column(header, ("subset",))
    wanted = [options.group] if options.group else []
    groups = [_named(header, name, "group-column-unknown", path) for name in wanted]
    if names is None or column is None:
        raise BundleError(
            "labels-columns-missing",
            f"The header is {','.join(header)}; FileName and Labels are needed.",
            hint="The first line of labels.csv must read: FileName,Labels",
            file=_name(path),
            line=1,
        )
    known = _read_label_names(path.parent)
    for line, cells in lines:
        if len(cells) < len(header):
            raise _short(path, line, cells, header)
        if len(columns) > 1:
            words = [header[c].strip() for c in columns if cells[c].strip() in ("1", "1.0")]
        elif column == pairs:
            words = cells[column].split()[::2]  # label numbers and confidences in turn
        elif column == one and options.separator is None:
            words = [word for word in (cells[column].strip(),) if word]
        else:
            words = split_labels(cells[column], options.separator)
        given = tuple(known.get(word, word) for word in words)
        subset = cells[subsets].strip().lower() if subsets is not None else ""
        kept: Subset | None = "train" if subset == "train" else "test" if subset == "test" else None
        group = cells[groups[0]].strip() if groups else None
        yield Listed(cells[names], given, kept, line, group)


def _named(header: list[str], name: str, code: str, path: Path) -> int:
    """The column that an option names."""
    column = find_column(header, (name.casefold(),))
    if column is None:
        raise UsageError(
            code,
            f"There is no column {name!r}.",
            hint=f"The columns are: {', '.join(header[:50])}.",
            file=_name(path),
        )
    return column


def split_labels(cell: str, separator: str | None) -> list[str]:
    """The labels in a cell; ``separator`` None: between blanks."""
    parts = cell.split(separator)
    return [part.strip() for part in parts if part.strip()]


def _read_label_names(folder: Path) -> dict[str, str]:
    """The original formatter's ``label.name``: line i names label number i."""
    path = folder / "label.name"
    if not path.is_file():
        return {}
    names = path.read_text(encoding="utf-8-sig").splitlines()
    return {str(number): name.strip() for number, name in enumerate(names) if name.strip()}


def _read_classes(path: Path) -> Iterator[Listed]:
    lines = read_csv_rows(path)
    _, header = next(lines)
    classes = [name.strip() for name in header[1:]]
    for line, cells in lines:
        if len(cells) < len(header):
            raise _short(path, line, cells, header)
        given = tuple(c for c, cell in zip(classes, cells[1:], strict=False) if cell.strip() == "1")
        yield Listed(cells[0], given, None, line)


def _split_coco(paths: list[Path]) -> list[tuple[Path, Subset | None]]:
    """The subset that each file's name tells; the validation part is the test part if none is."""
    words = [next((w for w in ("train", "test", "val") if w in p.stem.lower()), "") for p in paths]
    of_test = "test" if "test" in words else "val"
    if "train" not in words or of_test not in words:
        return [(path, None) for path in paths]
    return [(p, "test" if w == of_test else "train") for p, w in zip(paths, words, strict=True)]


def _read_coco(path: Path, subset: Subset | None) -> Iterator[Listed]:
    try:
        coco = json.loads(path.read_bytes())
        names = {int(c["id"]): str(c["name"]) for c in coco["categories"]}
        labels: dict[int, dict[str, None]] = {int(i["id"]): {} for i in coco["images"]}
        for annotation in coco["annotations"]:
            labels[int(annotation["image_id"])][names[int(annotation["category_id"])]] = None
        files = [(str(image["file_name"]), int(image["id"])) for image in coco["images"]]
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(
            "coco-malformed",
            f"The annotations cannot be read: {type(error).__name__} {error}.",
            hint="COCO has images (id, file_name), categories (id, name) and annotations"
            " (image_id, category_id).",
            file=_name(path),
        ) from error
    prefix = _find_images(path, files[0][0]) if files else ""
    for file, number in files:
        yield Listed(prefix + file, tuple(labels[number]), subset, None)


def _find_images(path: Path, file: str) -> str:
    """Where the files named in ``path`` lie, as seen from the source's folder."""
    root = path.parent.parent if path.parent.name == ANNOTATIONS else path.parent
    split = path.stem.rpartition("_")[2]  # instances_train2017 annotates train2017/
    places = ("", "images/", f"{split}/", f"images/{split}/")
    try:
        return next((place for place in places if (root / place / file).is_file()), "")
    except OSError:  # a name that no file can have
        return ""


def _is_coco(path: Path) -> bool:
    try:
        content: Any = json.loads(path.read_bytes())
    except ValueError:
        return False
    return isinstance(content, dict) and {"images", "annotations", "categories"} <= set(content)


def _short(path: Path, line: int, cells: list[str], header: list[str]) -> BundleError:
    return BundleError(
        "labels-row-short",
        f"The line has {len(cells)} cells; the header has {len(header)}.",
        hint="Leave the cell of the labels empty, not out, where no label applies.",
        file=_name(path),
        line=line,
    )


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"
