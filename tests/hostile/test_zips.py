"""Archives that nobody should unpack are refused, each for its own reason; odd ones unpack."""

import gzip
import io
import lzma
import stat
import struct
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from autodl.bundle import UnpackLimits, find_bundle, unpack_zip
from autodl.errors import BundleError

from .datasets import table

Fill = Callable[[zipfile.ZipFile], object]
Bytes = Callable[[], bytes]

BROKEN: list[tuple[str, str, Bytes]] = []


def refused(code: str) -> Callable[[Bytes], Bytes]:
    """Register a function that returns an archive's bytes."""

    def register(make: Bytes) -> Bytes:
        BROKEN.append((make.__name__, code, make))
        return make

    return register


def packed(fill: Fill) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        fill(archive)
    return out.getvalue()


def named(*names: str) -> bytes:
    return packed(lambda archive: [archive.writestr(name, "x") for name in names])


def with_mode(mode: int, content: str = "/etc/passwd") -> bytes:
    entry = zipfile.ZipInfo("d.data")
    entry.external_attr = mode << 16
    return packed(lambda archive: archive.writestr(entry, content))


@refused("zip-unsafe-path")
def leads_out() -> bytes:
    return named("d.data/../../evil")


@refused("zip-unsafe-path")
def leads_out_with_backslashes() -> bytes:
    return named("d.data\\..\\..\\evil")


@refused("zip-unsafe-path")
def absolute() -> bytes:
    return named("/etc/evil")


@refused("zip-unsafe-path")
def on_a_drive() -> bytes:
    return named("C:/evil")


@refused("zip-unsafe-path")
def on_a_share() -> bytes:
    return named("\\\\server\\share\\evil")


@refused("zip-unsafe-path")
def with_control_characters() -> bytes:
    return named("d.data/\x1b[2Jevil")


@refused("zip-link")
def symbolic_link() -> bytes:
    return with_mode(stat.S_IFLNK | 0o777)


@refused("zip-link")
def named_pipe() -> bytes:
    return with_mode(stat.S_IFIFO | 0o666)


@refused("zip-link")
def device() -> bytes:
    return with_mode(stat.S_IFCHR | 0o666)


@refused("zip-name-clash")
def twice_the_same_name() -> bytes:
    with pytest.warns(UserWarning, match="Duplicate"):
        return named("a/b", "a/b")


@refused("zip-name-clash")
def names_that_differ_in_case() -> bytes:
    return named("Train/a", "train/a")


@refused("zip-name-clash")
def names_that_differ_in_composition() -> bytes:
    return named("caf\u00e9", "cafe\u0301")


@refused("zip-name-clash")
def a_file_and_a_folder_of_one_name() -> bytes:
    return named("a", "a/b")


@refused("zip-name-clash")
def a_folder_and_a_file_of_one_name() -> bytes:
    return named("a/b", "a")


@refused("zip-name-too-long")
def a_name_too_long() -> bytes:
    return named("a" * 256)


@refused("zip-name-too-long")
def a_path_too_long() -> bytes:
    return named("/".join(["abc"] * 400))


@refused("zip-encrypted")
def encrypted() -> bytes:
    data = bytearray(named("d.solution"))
    data[6] |= 1  # the flag in the entry itself, and in the table of contents
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


@refused("zip-compression-unsupported")
def compressed_with_lzma() -> bytes:
    return packed(lambda a: a.writestr("d.solution", "x", compress_type=zipfile.ZIP_LZMA))


@refused("zip-compression-unsupported")
def compressed_with_an_unknown_method() -> bytes:
    data = bytearray(named("d.solution"))
    data[8] = data[data.index(b"PK\x01\x02") + 10] = 9  # Deflate64
    return bytes(data)


@refused("zip-bomb")
def a_bomb() -> bytes:
    return packed(lambda archive: archive.writestr("d.solution", bytes(4 << 20)))


@refused("zip-bomb")
def a_bomb_in_small_parts() -> bytes:
    return packed(lambda a: [a.writestr(f"{i}", bytes(1 << 16)) for i in range(90)])


@refused("zip-too-large")
def more_than_the_total() -> bytes:
    return packed(lambda a: a.writestr("d", bytes(9 << 20), compress_type=zipfile.ZIP_STORED))


@refused("zip-damaged")
def says_it_is_small() -> bytes:
    """A megabyte of noise that claims to be 10 bytes."""
    noise = b"".join(struct.pack("<I", i * 2654435761 % (1 << 32)) for i in range(1 << 18))
    data = bytearray(packed(lambda a: a.writestr("d", noise, compress_type=zipfile.ZIP_STORED)))
    table_at = data.rindex(b"PK\x01\x02")
    data[22:26] = data[table_at + 24 : table_at + 28] = struct.pack("<I", 10)
    return bytes(data)


@refused("zip-too-many-entries")
def too_many_entries() -> bytes:
    return packed(lambda archive: [archive.writestr(f"{i}", "") for i in range(200)])


@refused("zip-too-many-entries")
def a_million_entries() -> bytes:
    """A table of contents of a million entries, all of them the same file."""
    local = b"PK\x03\x04" + struct.pack("<5H3L2H", 20, 0, 0, 0, 0, 0, 0, 0, 1, 0) + b"a"
    entry = (
        b"PK\x01\x02" + struct.pack("<6H3L5H2L", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, *[0] * 6) + b"a"
    )
    contents = entry * 1_000_000
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 9, 9, len(contents), len(local), 0)
    return local + contents + end  # it claims nine


@refused("zip-damaged")
def content_changed() -> bytes:
    data = bytearray(packed(lambda a: a.writestr("d", "hello", zipfile.ZIP_STORED)))
    data[data.index(b"hello")] ^= 1
    return bytes(data)


@refused("zip-damaged")
def cut() -> bytes:
    return named("d.data/a", "d.data/b")[:-30]


@refused("zip-damaged")
def cut_at_its_start() -> bytes:
    return named("d.data/a", "d.data/b")[45:]


@refused("zip-damaged")
def table_of_contents_far_away() -> bytes:
    """A 64-bit locator that points beyond what a file can be."""
    locator = b"PK\x06\x07" + struct.pack("<LQL", 0, (1 << 63) - 1, 1)
    data = named("d.data/a")
    at = data.index(b"PK\x05\x06")
    return data[:at] + locator + data[at:]


@refused("zip-damaged")
def name_not_utf8() -> bytes:
    return named("d\u00e9").replace("d\u00e9".encode(), b"d\xff\xfe")


@refused("zip-damaged")
def table_of_contents_garbled() -> bytes:
    data = bytearray(named("d.data/a", "d.data/b"))
    data[data.index(b"PK\x01\x02")] ^= 0xFF
    return bytes(data)


@refused("not-a-zip")
def empty() -> bytes:
    return b""


@refused("not-a-zip")
def gzipped() -> bytes:
    return gzip.compress(b"x" * 999)


@refused("not-a-zip")
def tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a"))
    return out.getvalue()


@refused("not-a-zip")
def xz() -> bytes:
    return lzma.compress(b"x")


@refused("not-a-zip")
def rar() -> bytes:
    return b"Rar!\x1a\x07\x01\x00" + bytes(99)


@refused("not-a-zip")
def web_page() -> bytes:
    return b"\n<!DOCTYPE html><html><body>Please log in</body></html>"


@refused("not-a-zip")
def table_of_numbers() -> bytes:
    return b"a,b,c\n1,2,3\n"


LIMITS = UnpackLimits(
    max_entries=100, max_total_bytes=8 << 20, max_ratio=100, ratio_free_bytes=1 << 20
)


@pytest.mark.parametrize(("name", "code", "make"), BROKEN, ids=[name for name, _, _ in BROKEN])
def test_a_bad_archive_is_refused(name: str, code: str, make: Bytes, tmp_path: Path) -> None:
    source = tmp_path / f"{name}.zip"
    source.write_bytes(make())
    started = time.process_time()
    with pytest.raises(BundleError) as caught:
        unpack_zip(source, tmp_path / "in/target", LIMITS)
    assert time.process_time() - started < 5
    assert caught.value.code == code
    assert caught.value.hint
    inside = {path for path in tmp_path.rglob("*") if path.is_file()} - {source}
    assert all(path.is_relative_to(tmp_path / "in/target") for path in inside)
    assert not any(path.is_symlink() for path in tmp_path.rglob("*"))


def test_what_is_no_zip_is_named(tmp_path: Path) -> None:
    source = tmp_path / "d.zip"
    source.write_bytes(web_page())
    with pytest.raises(BundleError, match="web page"):
        unpack_zip(source, tmp_path / "target")


def test_an_office_file_is_named(tmp_path: Path) -> None:
    source = tmp_path / "d.csv"
    source.write_bytes(named("[Content_Types].xml", "xl/workbook.xml"))
    unpack_zip(source, tmp_path / "target")
    with pytest.raises(BundleError, match="Office"):
        find_bundle(tmp_path / "target")


def zip_of(root: Path, *, separator: str = "/", prefix: str = "") -> bytes:
    files = [path for path in sorted(root.rglob("*")) if path.is_file()]

    def fill(archive: zipfile.ZipFile) -> None:
        for path in files:
            name = prefix + str(path.relative_to(root))
            entry = zipfile.ZipInfo(name)
            entry.filename = name.replace("/", separator)
            archive.writestr(entry, path.read_bytes())

    return packed(fill)


@pytest.mark.parametrize(
    "options",
    [{}, {"separator": "\\"}, {"prefix": "dataset/"}, {"prefix": "./"}],
    ids=["plain", "backslashes", "in a folder", "from a dot"],
)
def test_an_odd_archive_is_unpacked(options: dict, tmp_path: Path) -> None:
    table(tmp_path / "source")
    (tmp_path / "source/__MACOSX").mkdir()
    (tmp_path / "source/__MACOSX/._d").write_bytes(b"x")
    archive = tmp_path / "d.zip"
    archive.write_bytes(zip_of(tmp_path / "source", **options))
    unpack_zip(archive, tmp_path / "target")
    bundle = find_bundle(tmp_path / "target")
    assert bundle.name == "d"
    assert bundle.labels is not None
    assert not (tmp_path / "target/__MACOSX").exists()
    sample = "train/sample-d-train.tfrecord"
    source = tmp_path / "source/d.data" / sample
    assert (bundle.train.parent / sample).read_bytes() == source.read_bytes()
