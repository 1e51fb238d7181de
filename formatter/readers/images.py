"""Folders of images with a ``labels.csv``, split or not.

Not split: ``SOURCE/labels.csv`` beside the images, and optionally ``SOURCE/unlabelled/``. Already
split: ``train/`` and ``test/`` with a ``labels.csv`` each. ``labels.csv`` has the columns
``FileName,Labels``, several labels separated by one space; ``unlabelled/`` may have a ``files.csv``
with a column ``FileName`` that gives the order.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL import Image, ImageOps

from autodl.errors import BundleError
from autodl.images import probe_image
from autodl.metadata import Format, MatrixSpec
from autodl.records import Example
from formatter.parallel import map_in_order
from formatter.source import Options, Row, Shape, Subset
from formatter.tables import find_column, read_csv_rows

LABELS_NAME = "labels.csv"
FILES_NAME = "files.csv"
SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"}
KEPT_FORMATS = {"JPEG", "PNG"}  # what every reader of the format decodes; others become PNG
JPEG_QUALITY = 95
_NUMBERS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class _Place:
    """Where a row's file is named: for its path, and for complaints."""

    path: Path
    file: str
    line: int | None


def detect(source: Path) -> bool:
    """Whether ``source`` is a folder of this kind."""
    folders = (source, source / "train")
    return any((folder / LABELS_NAME).is_file() for folder in folders)


class ImageSource:
    """See the module; implements ``formatter.source.Source``.

    Raises BundleError: ``labels-columns-missing``, ``labels-row-short``, ``labels-file-twice``,
    ``source-file-missing``, ``source-path-unsafe``, ``source-unreadable``, ``image-unreadable``,
    ``image-too-large``.
    """

    kind = "image"

    def __init__(self, source: Path, options: Options) -> None:
        self._options = options
        self._places: list[_Place] = []
        self.rows: list[Row] = []
        for subset, folder in _labelled_folders(source):
            self._add_labelled(folder, subset)
        unlabelled = options.unlabelled or source / "unlabelled"
        if unlabelled.is_dir():
            self._add_unlabelled(unlabelled)
        self.label_names = sort_labels({name for row in self.rows for name in row.labels})
        self._sizes: set[tuple[int, int]] = set()
        self._colour = False

    def read(self, rows: Sequence[int]) -> Iterator[Example]:
        """See ``Source``: each example is one frame."""
        places = (self._places[number] for number in rows)
        for data, size, colour in map_in_order(self._load, places, self._options.jobs):
            self._sizes.add(size)
            self._colour |= colour
            yield Example(compressed=[data])

    def shape(self) -> Shape:
        """Counts of -1 when the images' sizes differ; one channel when all are grey."""
        height, width = next(iter(self._sizes)) if len(self._sizes) == 1 else (-1, -1)
        return Shape(
            MatrixSpec(
                row_count=height,
                col_count=width,
                num_channels=3 if self._colour else 1,
                has_locality_row=True,
                has_locality_col=True,
                format=Format.COMPRESSED,
            )
        )

    def _add_labelled(self, folder: Path, subset: Subset | None) -> None:
        path = folder / LABELS_NAME
        lines = read_csv_rows(path)
        _, header = next(lines)
        names, labels = find_column(header, ("filename",)), find_column(header, ("labels", "label"))
        if names is None or labels is None:
            raise BundleError(
                "labels-columns-missing",
                f"The header is {','.join(header)}; FileName and Labels are needed.",
                hint="The first line of labels.csv must read: FileName,Labels",
                file=_relative(path),
                line=1,
            )
        seen: set[str] = set()
        for line, cells in lines:
            if len(cells) <= max(names, labels):
                raise BundleError(
                    "labels-row-short",
                    f"The line has {len(cells)} cells; the header has {len(header)}.",
                    hint="Leave the Labels cell empty, not out, where no label applies.",
                    file=_relative(path),
                    line=line,
                )
            self._add(folder, cells[names], path, line, seen)
            self.rows.append(Row(cells[names], tuple(cells[labels].split()), subset))

    def _add_unlabelled(self, folder: Path) -> None:
        path = folder / FILES_NAME
        seen: set[str] = set()
        if not path.is_file():
            for file in sorted(_files(folder), key=lambda f: natural_key(f.name)):
                self._add(folder, file.name, folder, None, seen)
                self.rows.append(Row(file.name, (), "unlabelled"))
            return
        lines = read_csv_rows(path)
        _, header = next(lines)
        column = find_column(header, ("filename",)) or 0
        for line, cells in lines:
            self._add(folder, cells[column], path, line, seen)
            self.rows.append(Row(cells[column], (), "unlabelled"))

    def _add(
        self, folder: Path, name: str, named_in: Path, line: int | None, seen: set[str]
    ) -> None:
        where = _relative(named_in)
        relative = PurePosixPath(name.replace("\\", "/"))
        if relative.is_absolute() or ".." in relative.parts or not relative.parts:
            raise BundleError(
                "source-path-unsafe",
                f"{name!r} is not the name of a file in this folder.",
                hint="Give paths relative to the folder of labels.csv.",
                file=where,
                line=line,
            )
        if name in seen:
            raise BundleError(
                "labels-file-twice",
                f"{name} is listed twice.",
                hint="One line a file; several labels are separated by one space.",
                file=where,
                line=line,
            )
        seen.add(name)
        path = folder / relative
        if not path.is_file():
            raise BundleError(
                "source-file-missing",
                f"There is no file {name}.",
                hint="Correct the name or remove the line.",
                file=where,
                line=line,
            )
        self._places.append(_Place(path, where, line))

    def _load(self, place: _Place) -> tuple[bytes, tuple[int, int], bool]:
        """The encoded bytes, (height, width), and whether there is colour."""
        try:
            data = place.path.read_bytes()
            if not data:
                raise BundleError("image-unreadable", "The file is empty.")
            data, colour = _prepare(data, self._options.max_side)
            size, _ = probe_image(data, 3)
        except BundleError as error:
            raise BundleError(
                error.code, error.message, hint=error.hint, file=_relative(place.path)
            ) from error
        except OSError as error:
            code = "image-unreadable" if error.errno is None else "source-unreadable"
            raise BundleError(
                code,
                f"The image cannot be read: {error.strerror or 'no known format, or damaged'}.",
                hint="Replace the file, or remove its line.",
                file=_relative(place.path),
            ) from error
        return data, size, colour


def sort_labels(names: set[str]) -> list[str]:
    """Label names in the order people expect: 2 before 10."""
    return sorted(names, key=natural_key)


def natural_key(text: str) -> tuple[list[tuple[int, int, str]], str]:
    """Sorts runs of digits by their value, and everything else as text."""
    parts = _NUMBERS.split(text)
    return [(0, int(p), "") if p.isdigit() else (1, 0, p.casefold()) for p in parts if p], text


def _labelled_folders(source: Path) -> Iterator[tuple[Subset | None, Path]]:
    if (source / "train" / LABELS_NAME).is_file():
        yield "train", source / "train"
        if (source / "test" / LABELS_NAME).is_file():
            yield "test", source / "test"
            return
        raise BundleError(
            "source-file-missing",
            f"There is train/{LABELS_NAME} but no test/{LABELS_NAME}.",
            hint="Bring both parts, or put all images and one labels.csv into one folder.",
            file=source.name,
        )
    yield None, source


def _files(folder: Path) -> Iterator[Path]:
    return (p for p in folder.iterdir() if p.is_file() and p.suffix.lower() in SUFFIXES)


def _relative(path: Path) -> str:
    """As people know it: the file with its folder."""
    return f"{path.parent.name}/{path.name}"


def _prepare(data: bytes, max_side: int | None) -> tuple[bytes, bool]:
    """The bytes as they are where they may stay so; otherwise encoded anew, upright."""
    with Image.open(io.BytesIO(data)) as image:
        colour = image.mode not in ("1", "L", "LA", "I", "I;16", "F")
        large = max_side is not None and max(image.size) > max_side
        if image.format in KEPT_FORMATS and not large:
            return data, colour
        lossy = image.format == "JPEG"
        upright = ImageOps.exif_transpose(image).convert("RGB" if colour else "L")
        if large and max_side is not None:
            upright.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    if lossy:
        upright.save(out, "JPEG", quality=JPEG_QUALITY)
    else:
        upright.save(out, "PNG")
    return out.getvalue(), colour
