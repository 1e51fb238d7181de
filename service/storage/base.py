"""The seam between the service and its object store.

Objects are immutable in use: they appear whole or not at all, and a kill leaves no half of one.
A large one may come in parts, in the shape of S3's multipart upload, in any order and again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol

from autodl.errors import PlatformError, UsageError

KEY = re.compile(r"(?!.*(^|/)\.)[A-Za-z0-9._+=@-]+(/[A-Za-z0-9._+=@-]+)*")
CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True)
class StoredObject:
    """What is known of an object once it is stored."""

    key: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Part:
    """One part of an object; ``sha256`` in hexadecimal, empty where the store does not tell it."""

    number: int  #: from 1
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Multipart:
    """An object that comes in parts: all of ``part_bytes``, but for the last."""

    key: str
    id: str  #: the store's own name for it
    size_bytes: int
    part_bytes: int

    @property
    def count(self) -> int:
        """How many parts there are."""
        return -(-self.size_bytes // self.part_bytes)

    def size_of(self, number: int) -> int:
        """The bytes of that part; ``UsageError`` (``part-number-invalid``) where there is none."""
        if not 1 <= number <= self.count:
            raise UsageError(
                "part-number-invalid", f"The upload has the parts 1 to {self.count}, not {number}."
            )
        return min(self.part_bytes, self.size_bytes - (number - 1) * self.part_bytes)


@dataclass(frozen=True)
class SignedPart:
    """Where, and with which fields, the bytes of a part are to be ``PUT``."""

    url: str
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Upkeep:
    """What a store that has rules shall do by itself."""

    upload_seconds: float  #: after which an upload that was not completed is nobody's any more
    origin: str = ""  #: of the pages that send parts (RFC 6454)


class PartWriter(Protocol):
    """Takes the bytes of one part. Nothing of it counts before ``commit``."""

    def write(self, data: bytes) -> None:
        """Further bytes; ``UsageError`` (``part-size-wrong``) past the end of the part."""

    def commit(self) -> None:
        """Make the part durable and part of the object.

        Raises ``UsageError`` (``part-size-wrong``, ``digest-mismatch``) when it is another one.
        """

    def close(self) -> None:
        """Keep nothing of what was not committed."""


class Storage(Protocol):
    """The object store.

    Keys are ``/``-separated ASCII names, none of whose parts begins with a dot. Every method raises
    ``PlatformError``: ``storage-unavailable`` when the store fails, and those that read
    ``object-not-found`` when the key names nothing.
    """

    @property
    def origin(self) -> str:
        """Of the addresses that ``sign_part`` gives (RFC 6454); empty where it gives none."""

    def prepare(self, upkeep: Upkeep | None = None) -> None:
        """Make the place of the objects, if it is not there; a store with rules is given ours."""

    def put(
        self, key: str, chunks: Iterable[bytes] | BinaryIO, *, max_bytes: int | None = None
    ) -> StoredObject:
        """Store the bytes, atomically and durably.

        Raises ``UsageError`` (``upload-too-large``) past ``max_bytes``, and stores nothing then.
        """

    def open(self, key: str) -> BinaryIO:
        """The object as a binary stream, for reading."""

    def read(self, key: str) -> bytes:
        """The whole object."""

    def exists(self, key: str) -> bool:
        """Whether the key names an object."""

    def list(self, prefix: str) -> list[str]:
        """Every key below ``prefix/``, sorted."""

    def list_folders(self, prefix: str) -> Sequence[str]:
        """What follows ``prefix/`` in keys up to their next ``/``, each once, sorted.

        Some stores still name what has become empty.
        """

    def delete(self, prefix: str) -> None:
        """Remove the object ``prefix`` and everything below ``prefix/``; absent is success."""

    def url(self, key: str) -> str:
        """A URL that lets its holder read this one object."""

    def path(self, key: str) -> Path | None:
        """The object as a local file, or ``None`` in a store that is elsewhere."""

    def create_multipart(self, key: str, size_bytes: int, part_bytes: int) -> Multipart:
        """Begin an object that comes in parts; nobody can read it before it is complete."""

    def sign_part(self, multipart: Multipart, part: Part, seconds: float) -> SignedPart | None:
        """The store's own URL for just these bytes, good for so many seconds.

        ``None`` where the store cannot be reached from elsewhere: then the part comes through the
        service, and goes to ``write_part``.
        """

    def write_part(self, multipart: Multipart, part: Part) -> PartWriter:
        """Store a part that comes through the service; the same part again replaces it."""

    def list_parts(self, multipart: Multipart) -> Sequence[Part]:
        """The parts that are there, by number."""

    def complete_multipart(self, multipart: Multipart, parts: Sequence[Part]) -> str | None:
        """Make one object of all its parts; that it is one already is success.

        Returns the whole's SHA-256 in hexadecimal, ``None`` where the store has not computed it.
        """

    def abort_multipart(self, key: str, multipart_id: str) -> None:
        """Remove all parts; absent is success."""

    def list_multiparts(self) -> Sequence[tuple[str, str]]:
        """Key and id of everything begun and neither completed nor aborted."""

    def remove_leftovers(self, before: datetime) -> None:
        """Remove what writes that were killed before that time left aside."""


def check_key(key: str) -> str:
    """The key; ``PlatformError`` (``object-key-invalid``) if it is none."""
    if not KEY.fullmatch(key):
        raise PlatformError("object-key-invalid", f"{key!r} is not a storage key.")
    return key


def read_chunks(source: Iterable[bytes] | BinaryIO) -> Iterator[bytes]:
    """The bytes of either kind of source."""
    if not hasattr(source, "read"):
        yield from source
        return
    while chunk := source.read(CHUNK_BYTES):
        yield chunk


def too_large(max_bytes: int) -> UsageError:
    """The refusal of an object of more bytes."""
    return UsageError(
        "upload-too-large",
        f"The upload is larger than {max_bytes} bytes.",
        hint="Send a smaller bundle, or ask the operator to raise the limit.",
    )
