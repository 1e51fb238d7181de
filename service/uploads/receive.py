"""Bytes from a request to the store: checked before the first is read, and none kept if wrong."""

from __future__ import annotations

import asyncio

from fastapi import Request
from fastapi.concurrency import run_in_threadpool

from autodl.errors import UsageError
from service.body import find_digest, find_length, read_body, stream_body
from service.context import Context
from service.models import Upload, new_id
from service.storage import Multipart, Part, PartWriter
from service.storage.parts import wrong_size
from service.uploads import service


async def receive_part(
    request: Request, context: Context, multipart: Multipart, part: Part
) -> None:
    """Store the body as that part. While one piece of it is written the next is received.

    Raises ``UsageError``: ``part-size-wrong``, ``digest-missing``, ``digest-invalid``,
    ``digest-mismatch``.
    """
    if find_length(request) not in (None, part.size_bytes):
        raise wrong_size(part)
    check_digest(find_digest(request), part.sha256, needed=True)
    writer = await run_in_threadpool(context.storage.write_part, multipart, part)
    writing: asyncio.Task[None] | None = None
    try:
        async for chunks in stream_body(request):
            if writing is not None:
                await writing
            writing = asyncio.create_task(run_in_threadpool(_write, writer, chunks))
        if writing is not None:
            await writing
        await run_in_threadpool(writer.commit)
    finally:
        if writing is not None and not writing.done():
            await asyncio.wait([writing])
        writer.close()


def _write(writer: PartWriter, chunks: list[bytes]) -> None:
    for chunk in chunks:
        writer.write(chunk)


def receive_whole(request: Request, context: Context, account_id: str, name: str) -> Upload:
    """Store the body as an upload of its own; of a refused one nothing is kept.

    Raises ``UsageError``: ``upload-too-large``, ``upload-empty``, ``digest-invalid``,
    ``digest-mismatch``; or ``LimitError`` (``quota-exceeded``).
    """
    length, digest = find_length(request), find_digest(request)
    with context.database.read() as session:
        service.check_room(session, context.settings, account_id, length or 0)
    upload_id, kept = new_id(), False
    try:
        stored = context.storage.put(
            service.upload_key(upload_id),
            read_body(request),
            max_bytes=context.settings.max_upload_bytes,
        )
        if stored.size_bytes == 0:
            raise UsageError("upload-empty", "The request has no body.", hint="curl -T bundle.zip")
        check_digest(digest, stored.sha256)
        with context.database.write() as session:
            upload = service.record_upload(session, context, account_id, name, stored)
        kept = upload.key == stored.key
        return upload
    finally:
        if not kept:
            context.storage.delete(service.upload_prefix(upload_id))


def check_digest(announced: str | None, sha256: str, *, needed: bool = False) -> None:
    """Compare what the sender says with what it should be, or is."""
    if announced is None and needed:
        raise UsageError(
            "digest-missing",
            "A part is sent with the digest of its bytes.",
            hint="Send the fields that came with the address: Content-Digest: sha-256=:BASE64:",
        )
    if announced not in (None, sha256):
        raise UsageError(
            "digest-mismatch",
            "The SHA-256 of the content is not the one that it was sent with.",
            hint="It was changed on the way: send it again.",
        )
