"""Unpacking a zip that nobody vouches for, within limits that are counted while inflating.

What an archive says of itself (sizes, counts, ratios) is never believed. Refused: paths that leave
the target, links and special files, duplicates and names that differ in case only, encryption,
rare compression methods, and archives that are too large, too many or too dense.
"""

from __future__ import annotations

import errno
import hashlib
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from autodl.errors import BundleError

CHUNK_BYTES = 1 << 20
IGNORED_NAMES = {"__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini", "__pycache__"}
_DIRECTORY_BYTES_PER_ENTRY = 400  # of the zip's own directory: 46 and a long name
_BROKEN = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OverflowError, ValueError)
_END = struct.Struct("<4s4H2LH")  # end of central directory
_MAGIC = (
    (b"\x1f\x8b", "a gzip file"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ", "an xz file"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file"),
    (b"%PDF", "a PDF document"),
    (b"\xd0\xcf\x11\xe0", "an old Office document"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"PAR1", "a Parquet file"),
)


@dataclass(frozen=True)
class UnpackLimits:
    """How much an archive may unpack to."""

    max_entries: int = 10_000
    max_total_bytes: int = 50 << 30
    max_ratio: int = 200  # unpacked bytes per archive byte ...
    ratio_free_bytes: int = 200 << 20  # ... once more than this is unpacked
    max_path_bytes: int = 1000
    max_name_bytes: int = 255  # what file systems allow


def unpack_zip(source: Path, target: Path, limits: UnpackLimits | None = None) -> None:
    """Unpack ``source`` into the folder ``target``, which is created.

    Raises BundleError: ``not-a-zip``, ``zip-damaged``, ``zip-encrypted``, ``zip-unsafe-path``,
    ``zip-link``, ``zip-name-clash``, ``zip-name-too-long``, ``zip-compression-unsupported``,
    ``zip-too-many-entries``, ``zip-too-large``, ``zip-bomb``.
    """
    limits = limits or UnpackLimits()
    try:
        _check_directory(source, limits)
        with zipfile.ZipFile(source) as archive:
            entries = list(_safe_entries(archive, limits))
            _inflate_all(archive, entries, target, limits)
    except _BROKEN as error:
        raise _damaged(source, str(error)) from error
    except (NotImplementedError, RuntimeError) as error:
        raise _unsupported(source.name, str(error)) from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # the disk is full, or may not be written
            raise
        raise _damaged(source, "an entry lies outside the file") from error


def list_names(source: Path, limits: UnpackLimits | None = None) -> list[str]:
    """The names in a zip's own directory, unpacked or not.

    Raises BundleError: ``not-a-zip``, ``zip-damaged``, ``zip-too-many-entries``.
    """
    try:
        _check_directory(source, limits or UnpackLimits())
        with zipfile.ZipFile(source) as archive:
            return archive.namelist()
    except (*_BROKEN, NotImplementedError, OSError) as error:
        raise _damaged(source, str(error)) from error


def sha256_file(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_ignored(path: PurePosixPath) -> bool:
    """Whether an operating system or editor left this behind."""
    return any(part in IGNORED_NAMES or part.startswith("._") for part in path.parts)


def _check_directory(source: Path, limits: UnpackLimits) -> None:
    """Bound the archive's own directory before ``zipfile`` builds an object per entry."""
    with source.open("rb") as file:
        head = file.read(512)
        file.seek(0, 2)
        size = file.tell()
        file.seek(max(0, size - _END.size - 0xFFFF))
        tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        if head.startswith(b"PK\x03\x04"):
            raise _damaged(source, "it ends before its table of contents")
        raise _not_a_zip(source, head)
    _, _, _, _, count, directory_bytes, _, _ = _END.unpack_from(tail, at)
    locator = tail[max(0, at - 20) : at]
    if locator.startswith(b"PK\x06\x07"):
        with source.open("rb") as file:
            file.seek(struct.unpack_from("<Q", locator, 8)[0])
            record = file.read(56)
        if len(record) == 56 and record.startswith(b"PK\x06\x06"):
            count, directory_bytes = struct.unpack_from("<QQ", record, 32)
    if count > limits.max_entries or (
        directory_bytes > limits.max_entries * _DIRECTORY_BYTES_PER_ENTRY
    ):
        raise BundleError(
            "zip-too-many-entries",
            f"The archive has {count:,} entries; {limits.max_entries:,} are allowed.",
            hint="A bundle needs a handful of files: raw files must be formatted first.",
            file=source.name,
        )


def _safe_entries(
    archive: zipfile.ZipFile, limits: UnpackLimits
) -> Iterator[tuple[zipfile.ZipInfo, PurePosixPath]]:
    seen: dict[str, tuple[str, bool]] = {}
    for entry in archive.infolist():
        name = entry.filename.replace("\\", "/")
        path = _safe_path(name, limits)
        if is_ignored(path) or not path.parts:
            continue
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise BundleError(
                "zip-link",
                "The entry is a link or a special file.",
                hint="Zip the files themselves (without the option that keeps links).",
                file=name,
            )
        if entry.flag_bits & 0x1:
            raise BundleError(
                "zip-encrypted",
                "The entry is encrypted.",
                hint="Zip the bundle without a password.",
                file=name,
            )
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise _unsupported(name, f"method {entry.compress_type}")
        _note_name(seen, path, entry.is_dir() or name.endswith("/"))
        yield entry, path


def _safe_path(name: str, limits: UnpackLimits) -> PurePosixPath:
    path = PurePosixPath(name)
    drive = len(name) > 1 and name[1] == ":"
    if path.is_absolute() or drive or ".." in path.parts or any(ord(c) < 32 for c in name):
        raise BundleError(
            "zip-unsafe-path",
            "The entry's path is absolute, leaves the archive, or holds control characters.",
            hint="Zip the content of the dataset's folder with relative paths.",
            file=repr(name)[1:-1],
        )
    too_long = len(name.encode("utf-8", "replace")) > limits.max_path_bytes or any(
        len(part.encode("utf-8", "replace")) > limits.max_name_bytes for part in path.parts
    )
    if too_long:
        raise BundleError(
            "zip-name-too-long",
            f"A name has more than {limits.max_name_bytes} bytes"
            f" or a path more than {limits.max_path_bytes}.",
            hint="Shorten the dataset's name.",
            file=name[:80] + "...",
        )
    return path


def _note_name(seen: dict[str, tuple[str, bool]], path: PurePosixPath, is_folder: bool) -> None:
    """Remember a path and its folders; refuse what some file system would merge.

    ``seen`` maps the folded name to (name as written, whether it is a folder).
    """
    folders = [*path.parents][:-1] + ([path] if is_folder else [])
    names = [(str(folder), True) for folder in folders] + (
        [] if is_folder else [(str(path), False)]
    )
    for name, folder in names:
        key = unicodedata.normalize("NFC", name).casefold()
        known = seen.get(key)
        if known is None:
            seen[key] = (name, folder)
        elif known != (name, folder) or not folder:
            raise BundleError(
                "zip-name-clash",
                f"The entry is there twice, or clashes with {known[0]}.",
                hint="Names must differ in more than case.",
                file=str(path),
            )


def _inflate_all(
    archive: zipfile.ZipFile,
    entries: list[tuple[zipfile.ZipInfo, PurePosixPath]],
    target: Path,
    limits: UnpackLimits,
) -> None:
    meter = _Meter(Path(str(archive.filename)).stat().st_size, limits)
    target.mkdir(parents=True, exist_ok=True)
    for entry, path in entries:
        place = target / path
        if entry.is_dir():
            place.mkdir(parents=True, exist_ok=True)
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            with archive.open(entry) as packed, place.open("xb") as file:
                _inflate(packed, file, meter, str(path))  # type: ignore[arg-type]
        except _BROKEN as error:
            raise _damaged(Path(str(path)), str(error)) from error


def _inflate(packed: BinaryIO, file: BinaryIO, meter: _Meter, name: str) -> None:
    while chunk := packed.read(CHUNK_BYTES):
        meter.count(len(chunk), name)
        file.write(chunk)


class _Meter:
    """Counts what comes out, whatever the archive claims."""

    def __init__(self, archive_bytes: int, limits: UnpackLimits) -> None:
        self._archive_bytes = archive_bytes
        self._limits = limits
        self._total = 0

    def count(self, size: int, name: str) -> None:
        """Add ``size`` bytes of entry ``name``. Raises BundleError beyond the limits."""
        self._total += size
        if self._total > self._limits.max_total_bytes:
            raise BundleError(
                "zip-too-large",
                f"The archive unpacks to more than {self._limits.max_total_bytes:,} bytes.",
                hint="Reduce the dataset, or ask the operator for a larger limit.",
                file=name,
            )
        if self._total > max(
            self._limits.ratio_free_bytes, self._archive_bytes * self._limits.max_ratio
        ):
            raise BundleError(
                "zip-bomb",
                f"The archive unpacks to more than {self._limits.max_ratio} times its size.",
                hint="Zip without compression (`zip -0`) if the data really are so uniform.",
                file=name,
            )


def _not_a_zip(source: Path, head: bytes) -> BundleError:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        what = "an empty file"
    elif text.startswith((b"<!doctype", b"<html", b"<?xml")):
        what = "a web page"
    elif head[257:262] == b"ustar":
        what = "a tar archive"
    else:
        what = next((name for magic, name in _MAGIC if head.startswith(magic)), "something else")
    return BundleError(
        "not-a-zip",
        f"This is not a zip file but {what}.",
        hint="Upload a zip of the dataset's folder; `autodl format` makes one.",
        file=source.name,
    )


def _damaged(source: Path, why: str) -> BundleError:
    return BundleError(
        "zip-damaged",
        f"The zip file is damaged: {why}.",
        hint="Zip and upload it again.",
        file=str(source) if not source.is_absolute() else source.name,
    )


def _unsupported(name: str, why: str) -> BundleError:
    return BundleError(
        "zip-compression-unsupported",
        f"The entry uses a compression that is not supported: {why}.",
        hint="Use the methods store or deflate, as common zip programs do.",
        file=name,
    )
