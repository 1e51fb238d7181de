"""Objects in an S3-compatible store; parts go there straight from whoever sends them.

Written to Amazon's API reference (2006-03-01). Each part is signed together with its length and its
SHA-256, so that the store itself refuses any other bytes.
"""

from __future__ import annotations

import base64
import hashlib
import io
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from autodl.errors import PlatformError, UsageError
from service.storage.base import (
    Multipart,
    Part,
    SignedPart,
    StoredObject,
    Upkeep,
    check_key,
)
from service.storage.counted import Counted
from service.storage.parts import check_part, wrong_size
from service.storage.rules import set_rules

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client

READ_URL_SECONDS = 24 * 3600
SINGLE_BYTES = 16 * 1024 * 1024  # up to there an object is sent in one request
BUFFER_BYTES = 1024 * 1024
DELETED_AT_ONCE = 1000  # the most that S3 takes
MISSING = frozenset({"404", "NoSuchBucket", "NoSuchKey", "NoSuchUpload"})
OPTIONS = frozenset({"endpoint", "region", "encryption"})


def open_s3(url: SplitResult) -> S3Storage:
    """The store of ``s3://[KEY:SECRET@]bucket[/prefix][?endpoint=URL&region=NAME&encryption=KIND]``.

    What the URL leaves out boto3 finds where it always does (environment, files, instance role).
    Raises ``UsageError`` (``storage-url-unknown``).
    """
    options = dict(parse_qsl(url.query))
    bucket = url.netloc.rpartition("@")[2]
    if not bucket or options.keys() - OPTIONS:
        raise UsageError(
            "storage-url-unknown",
            "The URL of the S3 store has no bucket, or an option that is not known.",
            hint="It is s3://bucket/prefix, with ?endpoint=, &region= and &encryption= if needed.",
        )
    client = boto3.client(
        "s3",
        endpoint_url=options.get("endpoint"),
        region_name=options.get("region"),
        aws_access_key_id=unquote(url.username) if url.username else None,
        aws_secret_access_key=unquote(url.password) if url.password else None,
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path" if "endpoint" in options else "auto"},
            retries={"mode": "standard", "total_max_attempts": 4},
            connect_timeout=10,
            read_timeout=60,
        ),
    )
    return S3Storage(client, bucket, url.path.strip("/"), encryption=options.get("encryption"))


class S3Storage:
    """Objects of one bucket whose keys begin with ``prefix/``."""

    def __init__(
        self, client: S3Client, bucket: str, prefix: str, *, encryption: str | None = None
    ) -> None:
        self.client = client
        self.bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._encryption: Any = {"ServerSideEncryption": encryption} if encryption else {}
        # Amazon wants to be told before that parts come with a SHA-256, and lists it with them.
        # Others (SeaweedFS) verify it all the same, and then want it again, but do not list it.
        self._declared: Any = {}
        if str(client.meta.endpoint_url).endswith("amazonaws.com"):
            self._declared = {"ChecksumAlgorithm": "SHA256"}

    @property
    def origin(self) -> str:
        """See ``Storage``."""
        where = {"Bucket": self.bucket, "Key": "any"}
        scheme, host, *_ = urlsplit(self.client.generate_presigned_url("get_object", Params=where))
        return f"{scheme}://{host}"

    def prepare(self, upkeep: Upkeep | None = None) -> None:
        """See ``Storage``; Amazon wants a region here unless it is us-east-1."""
        region = self.client.meta.region_name
        where: Any = {"CreateBucketConfiguration": {"LocationConstraint": region}}
        with _translated(self.bucket):
            try:
                self.client.head_bucket(Bucket=self.bucket)
            except ClientError as error:
                if error.response["Error"]["Code"] not in MISSING:
                    raise
                options = where if region not in (None, "us-east-1") else {}
                self.client.create_bucket(Bucket=self.bucket, **options)
            if upkeep is not None:
                set_rules(self.client, self.bucket, self._prefix, upkeep)

    def put(
        self, key: str, chunks: Iterable[bytes] | BinaryIO, *, max_bytes: int | None = None
    ) -> StoredObject:
        """See ``Storage``; a large object goes in parts, and appears with the last."""
        source = Counted(chunks, max_bytes)
        with _translated(key):
            self.client.upload_fileobj(
                cast(BinaryIO, io.BufferedReader(source, BUFFER_BYTES)),
                self.bucket,
                self._name(key),
                ExtraArgs=self._encryption,
                Config=TransferConfig(
                    multipart_threshold=SINGLE_BYTES,
                    multipart_chunksize=SINGLE_BYTES,
                    use_threads=False,
                ),
            )
        return StoredObject(key, source.size, source.digest.hexdigest())

    def open(self, key: str) -> BinaryIO:
        """See ``Storage``."""
        with _translated(key):
            answer = self.client.get_object(Bucket=self.bucket, Key=self._name(key))
        return cast(BinaryIO, io.BufferedReader(_Body(key, answer["Body"]), BUFFER_BYTES))

    def read(self, key: str) -> bytes:
        """See ``Storage``."""
        with self.open(key) as file:
            return file.read()

    def exists(self, key: str) -> bool:
        """See ``Storage``."""
        try:
            with _translated(key):
                self.client.head_object(Bucket=self.bucket, Key=self._name(key))
        except PlatformError as error:
            if error.code != "object-not-found":
                raise
            return False
        return True

    def list(self, prefix: str) -> list[str]:
        """See ``Storage``."""
        cut = len(self._prefix)
        return sorted(name[cut:] for name in self._list_names(f"{self._name(prefix)}/"))

    def list_folders(self, prefix: str) -> Sequence[str]:
        """See ``Storage``."""
        start = f"{self._name(prefix)}/"
        pages = self.client.get_paginator("list_objects_v2")
        with _translated(prefix):
            found = [
                folder["Prefix"][len(start) : -1]
                for page in pages.paginate(Bucket=self.bucket, Prefix=start, Delimiter="/")
                for folder in page.get("CommonPrefixes", ())
            ]
        return sorted(found)

    def delete(self, prefix: str) -> None:
        """See ``Storage``."""
        name = self._name(prefix)
        names = [name, *self._list_names(f"{name}/")]
        with _translated(prefix):
            for start in range(0, len(names), DELETED_AT_ONCE):
                batch: Any = [{"Key": key} for key in names[start : start + DELETED_AT_ONCE]]
                answer = self.client.delete_objects(
                    Bucket=self.bucket, Delete={"Objects": batch, "Quiet": True}
                )
                if answer.get("Errors"):
                    raise _unavailable(answer["Errors"][0].get("Code", "unknown"))

    def url(self, key: str) -> str:
        """See ``Storage``; good for a day."""
        return self.client.generate_presigned_url(
            "get_object",
            Params={"Bucket": self.bucket, "Key": self._name(key)},
            ExpiresIn=READ_URL_SECONDS,
        )

    def path(self, key: str) -> Path | None:
        """See ``Storage``."""
        return None

    def create_multipart(self, key: str, size_bytes: int, part_bytes: int) -> Multipart:
        """See ``Storage``."""
        with _translated(key):
            answer = self.client.create_multipart_upload(
                Bucket=self.bucket, Key=self._name(key), **self._declared, **self._encryption
            )
        return Multipart(key, answer["UploadId"], size_bytes, part_bytes)

    def sign_part(self, multipart: Multipart, part: Part, seconds: float) -> SignedPart | None:
        """See ``Storage``."""
        checksum = _base64(part.sha256)
        url = self.client.generate_presigned_url(
            "upload_part",
            Params={
                **self._multipart(multipart.key, multipart.id),
                "PartNumber": part.number,
                "ContentLength": part.size_bytes,
                "ChecksumSHA256": checksum,
            },
            ExpiresIn=int(seconds),
        )
        return SignedPart(url, {"x-amz-checksum-sha256": checksum})

    def write_part(self, multipart: Multipart, part: Part) -> S3PartWriter:
        """See ``Storage``."""
        return S3PartWriter(self, multipart, part)

    def send_part(self, multipart: Multipart, part: Part, body: BinaryIO) -> None:
        """Pass on a part that came through the service; the store verifies it again."""
        with _translated(multipart.key):
            self.client.upload_part(
                **self._multipart(multipart.key, multipart.id),
                PartNumber=part.number,
                ContentLength=part.size_bytes,
                ChecksumSHA256=_base64(part.sha256),
                Body=body,
            )

    def list_parts(self, multipart: Multipart) -> Sequence[Part]:
        """See ``Storage``; without SHA-256 where the store does not list it."""
        return [
            Part(part["PartNumber"], part["Size"], _hex(part.get("ChecksumSHA256", "")))
            for part in self._list_parts(multipart)
        ]

    def complete_multipart(self, multipart: Multipart, parts: Sequence[Part]) -> str | None:
        """See ``Storage``; what S3 has computed is a digest of its parts' digests."""
        try:
            kept: Any = [
                {name: p[name] for name in ("PartNumber", "ETag", "ChecksumSHA256") if name in p}
                for p in cast("list[dict[str, Any]]", self._list_parts(multipart))
            ]
            with _translated(multipart.key):
                self.client.complete_multipart_upload(
                    **self._multipart(multipart.key, multipart.id),
                    MultipartUpload={"Parts": kept},
                )
        except PlatformError as error:
            if error.code != "object-not-found" or not self.exists(multipart.key):
                raise
        return None

    def abort_multipart(self, key: str, multipart_id: str) -> None:
        """See ``Storage``."""
        try:
            with _translated(key):
                self.client.abort_multipart_upload(**self._multipart(key, multipart_id))
        except PlatformError as error:
            if error.code != "object-not-found":
                raise

    def list_multiparts(self) -> Sequence[tuple[str, str]]:
        """See ``Storage``."""
        pages = self.client.get_paginator("list_multipart_uploads")
        with _translated(self._prefix):
            return sorted(
                (upload["Key"].removeprefix(self._prefix), upload["UploadId"])
                for page in pages.paginate(Bucket=self.bucket, Prefix=self._prefix)
                for upload in page.get("Uploads", ())
            )

    def remove_leftovers(self, before: datetime) -> None:
        """See ``Storage``; S3 leaves nothing but multiparts, which are listed."""

    def _name(self, key: str) -> str:
        return self._prefix + check_key(key)

    def _multipart(self, key: str, multipart_id: str) -> Any:
        return {"Bucket": self.bucket, "Key": self._name(key), "UploadId": multipart_id}

    def _list_names(self, start: str) -> Sequence[str]:
        pages = self.client.get_paginator("list_objects_v2")
        with _translated(start):
            return [
                entry["Key"]
                for page in pages.paginate(Bucket=self.bucket, Prefix=start)
                for entry in page.get("Contents", ())
            ]

    def _list_parts(self, multipart: Multipart) -> Sequence[Any]:
        pages = self.client.get_paginator("list_parts")
        with _translated(multipart.key):
            parts = [
                part
                for page in pages.paginate(**self._multipart(multipart.key, multipart.id))
                for part in page.get("Parts", ())
            ]
        # Some stores list what a part has replaced, too.
        newest = {p["PartNumber"]: p for p in sorted(parts, key=lambda p: p["LastModified"])}
        return [newest[number] for number in sorted(newest)]


class S3PartWriter:
    """See ``PartWriter``: the part waits in a nameless file until it has turned out right."""

    def __init__(self, storage: S3Storage, multipart: Multipart, part: Part) -> None:
        self._storage = storage
        self._multipart = multipart
        self._part = part
        self._digest = hashlib.sha256()
        self._file = tempfile.TemporaryFile()

    def write(self, data: bytes) -> None:
        """See ``PartWriter``."""
        if self._file.tell() + len(data) > self._part.size_bytes:
            raise wrong_size(self._part)
        self._digest.update(data)
        self._file.write(data)

    def commit(self) -> None:
        """See ``PartWriter``."""
        check_part(self._part, self._file.tell(), self._digest.hexdigest())
        self._file.seek(0)
        self._storage.send_part(self._multipart, self._part, cast(BinaryIO, self._file))

    def close(self) -> None:
        """See ``PartWriter``."""
        self._file.close()


class _Body(io.RawIOBase):
    """An object on its way from the store."""

    def __init__(self, key: str, body: StreamingBody) -> None:
        self._key = key
        self._body = body

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        with _translated(self._key):
            data = self._body.read(len(target))
        target[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._body.close()
        super().close()


@contextmanager
def _translated(key: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "unknown")
        if code in MISSING:
            raise PlatformError("object-not-found", f"There is no object {key}.") from error
        raise _unavailable(code) from error
    except (BotoCoreError, OSError) as error:
        raise _unavailable(type(error).__name__) from error


def _unavailable(why: str) -> PlatformError:
    return PlatformError(
        "storage-unavailable",
        f"The object store failed: {why}.",
        hint="It is tried again; if it lasts, see the service's log.",
    )


def _base64(digest: str) -> str:
    return base64.b64encode(bytes.fromhex(digest)).decode()


def _hex(digest: str) -> str:
    return base64.b64decode(digest).hex()
