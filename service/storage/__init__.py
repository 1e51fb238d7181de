"""Where bytes lie: one protocol, and the store that a URL names."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from autodl.errors import UsageError
from service.storage.base import Multipart as Multipart
from service.storage.base import Part as Part
from service.storage.base import PartWriter as PartWriter
from service.storage.base import SignedPart as SignedPart
from service.storage.base import Storage as Storage
from service.storage.base import StoredObject as StoredObject
from service.storage.base import Upkeep as Upkeep
from service.storage.files import FileStorage as FileStorage


def open_storage(url: str) -> Storage:
    """The store that ``url`` names: ``file:///folder``, or see ``service.storage.s3.open_s3``.

    Raises ``UsageError`` (``storage-url-unknown``).
    """
    parts = urlsplit(url)
    if parts.scheme == "s3":
        from service.storage.s3 import open_s3  # boto3 takes its time, and may not be there

        return open_s3(parts)
    if parts.scheme != "file":
        raise UsageError(
            "storage-url-unknown",
            f"There is no store for {parts.scheme or 'a bare path'!r} URLs.",
            hint="AUTODL_STORAGE takes file:///folder or s3://bucket/prefix.",
        )
    return FileStorage(Path(url2pathname(parts.path)))
